/**
 * A stream about whose headers jq has not said its word: what comes of it waits, and is heard as if it came afterwards. Nothing of
 * it is credited before, so what waits is bounded by the windows that the client was given.
 */
import type { Asked, ClientStream } from "./exchange.ts";
import { CODE, StreamFault } from "./faults.ts";
import { MOST_WINDOW } from "./frames.ts";
import type { HeaderBlock } from "./header_block.ts";
import type { Link } from "./link.ts";

export interface UnjudgedOptions {
  readonly client: Link;
  /** It ends before jq has spoken. */
  onOver(): void;
}

export class Unjudged implements ClientStream {
  readonly isAnswered = false;
  readonly #asked: Asked;
  readonly #options: UnjudgedOptions;
  readonly #heard: { readonly bytes: number; tell(stream: ClientStream): void }[] = [];
  /** How much of the answer may be sent. */
  #window: number;
  #isOver = false;

  constructor(asked: Asked, options: UnjudgedOptions) {
    this.#asked = asked;
    this.#options = options;
    this.#window = options.client.peer.initialWindow;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  onRequestData(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const kept = bytes.slice();
    this.#heard.push({
      bytes: bytes.length + overhead,
      tell: (stream) => stream.onRequestData(kept, overhead, isEnd),
    });
  }

  onRequestTrailers(block: HeaderBlock, isEnd: boolean): void {
    this.#heard.push({ bytes: 0, tell: (stream) => stream.onRequestTrailers(block, isEnd) });
  }

  onWindow(bytes: number): void {
    this.#window += bytes;
    if (this.#window > MOST_WINDOW) {
      throw new StreamFault(this.#asked.stream, CODE.flowControlError, "A window becomes too large");
    }
  }

  cancel(): void {
    this.#isOver = true;
    this.tell(() => undefined);
    this.#options.onOver();
  }

  /** `next` finds who takes the next piece, for the one before may have changed that; or nobody does any more. */
  tell(next: () => ClientStream | undefined): void {
    next()?.onWindow(this.#window - this.#options.client.peer.initialWindow);
    for (const it of this.#heard) {
      const stream = next();
      if (stream) it.tell(stream);
      // It still takes room in the connection's window.
      else this.#options.client.credit(it.bytes);
    }
  }
}
