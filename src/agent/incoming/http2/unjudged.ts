/**
 * A stream about whose headers jq has not said its word: what comes of it waits, and is heard as if it came afterwards. Nothing of
 * it is credited before, so what waits is bounded by the windows that the client was given.
 */
import { ByteQueue } from "./byte_queue.ts";
import type { Asked, ClientStream } from "./exchange.ts";
import { CODE, StreamFault } from "./faults.ts";
import type { HeaderBlock } from "./header_block.ts";
import type { Link } from "./link.ts";
import { Waiting } from "./waiting.ts";

export interface UnjudgedOptions {
  readonly client: Link;
  /** It ends before jq has spoken. */
  onOver(): void;
}

export class Unjudged extends Waiting {
  readonly #options: UnjudgedOptions;
  readonly #body = new ByteQueue();
  /** Bytes of padding. */
  #overhead = 0;
  #trailers: { readonly block: HeaderBlock; readonly isEnd: boolean } | undefined;
  #isEnd: boolean;
  /** With or without bytes. */
  #isEndOfBody = false;
  #isOver = false;

  constructor(asked: Asked, options: UnjudgedOptions) {
    super(asked, options.client);
    this.#options = options;
    this.#isEnd = asked.isEnd;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  override onRequestData(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    if (this.#isEnd) {
      this.client.credit(bytes.length + overhead);
      throw new StreamFault(this.asked.stream, CODE.streamClosed, "A body goes on after its end");
    }
    this.#body.push(bytes);
    this.#overhead += overhead;
    this.#isEnd = this.#isEndOfBody = isEnd;
  }

  override onRequestTrailers(block: HeaderBlock, isEnd: boolean): void {
    if (this.#isEnd) throw new StreamFault(this.asked.stream, CODE.streamClosed, "Fields follow the end of a request");
    this.#isEnd = true;
    this.#trailers = { block, isEnd };
  }

  override cancel(): void {
    this.#isOver = true;
    this.tell(() => undefined);
    this.#options.onOver();
  }

  /** `next` finds who takes the next piece, for the one before may have changed that; or nobody does any more. */
  tell(next: () => ClientStream | undefined): void {
    const { client } = this;
    const first = next();
    if (first) this.goOn(first);
    const isEmpty = this.#body.length === 0 && (this.#isEndOfBody || this.#overhead > 0);
    const pieces = isEmpty ? [new Uint8Array(0)] : this.#body.chunks;
    let fault: unknown;
    pieces.forEach((bytes, at) => {
      const overhead = at === 0 ? this.#overhead : 0;
      const stream = fault === undefined ? next() : undefined;
      // It still takes room in the connection's window.
      if (!stream) return client.credit(bytes.length + overhead);
      try {
        stream.onRequestData(bytes, overhead, this.#isEndOfBody && at === pieces.length - 1);
      } catch (error) {
        fault = error;
      }
    });
    if (fault !== undefined) throw fault;
    const trailers = this.#trailers;
    if (trailers) next()?.onRequestTrailers(trailers.block, trailers.isEnd);
  }
}
