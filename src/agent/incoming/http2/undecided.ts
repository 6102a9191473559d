/**
 * A stream whose body decides whom it is for: what comes of it is held until it is whole, too long or too late. Then the stream
 * begins, and what was held goes ahead of what follows.
 *
 * What is held is credited to the connection at once (and to the stream, where its body may be longer than a window), and paid
 * back as it goes on: streams that wait hold up nobody else. Bounded here: what all streams of a connection hold.
 */
import { concatBytes, fromUtf8 } from "../../../base/bytes.ts";
import { whenLate } from "../../../base/late.ts";
import type { RequestFacts } from "../../../proto/http_filter.ts";
import { ByteQueue } from "./byte_queue.ts";
import type { Asked, Exchange } from "./exchange.ts";
import { STREAM_WINDOW } from "./flow.ts";
import { blockOf, type HeaderBlock } from "./header_block.ts";
import type { Link } from "./link.ts";
import type { BodyLimits } from "./routes.ts";
import { Waiting } from "./waiting.ts";

/** What the streams of a connection may hold together; one of them may always hold its own. */
export const MOST_HELD_BYTES: number = 4 << 20;

const CONTINUE = blockOf([":status", "100"]);

export interface UndecidedOptions {
  readonly client: Link;
  readonly limits: BodyLimits;
  /** Of all streams of the connection. */
  readonly held: { bytes: number };
  /** Now it is known what `body` says, or will not be. */
  begin(asked: Asked, body: RequestFacts["body"], heldBytes: number): Exchange;
  /** It ends before it has begun. */
  onOver(): void;
  /** Something was sent that nobody had asked for just then. */
  onTurn(): void;
}

export class Undecided extends Waiting {
  readonly #options: UndecidedOptions;
  readonly #body = new ByteQueue();
  readonly #inTime: () => void;
  /** Credit that the stream was given for what is held. */
  #lentBytes = 0;

  constructor(asked: Asked, options: UndecidedOptions) {
    super({ ...asked, isContinued: asked.request.awaitsContinue }, options.client);
    this.#options = options;
    if (asked.request.awaitsContinue) options.client.sendHeaders(asked.stream, CONTINUE, false);
    this.#inTime = whenLate(options.limits.bodyMs, () => {
      this.#begin(undefined);
      options.onTurn();
    });
  }

  override onRequestData(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const { limits, held } = this.#options;
    const most = Math.max(MOST_HELD_BYTES, limits.bodyBytes);
    const isFull = this.#body.length + bytes.length > limits.bodyBytes || held.bytes + bytes.length > most;
    // The last piece goes on at once, and so need not be held.
    if (isFull) this.#begin(undefined).onRequestData(bytes, overhead, isEnd);
    else if (isEnd) this.#begin(this.#jsonWith(bytes)).onRequestData(bytes, overhead, true);
    else this.#hold(bytes, overhead);
  }

  override onRequestTrailers(block: HeaderBlock, isEnd: boolean): void {
    this.#begin(this.#jsonWith(new Uint8Array(0))).onRequestTrailers(block, isEnd);
  }

  override cancel(): void {
    this.#forget();
    this.#options.onOver();
  }

  #hold(bytes: Uint8Array, overhead: number): void {
    const { limits, held } = this.#options;
    this.#body.push(bytes);
    held.bytes += bytes.length;
    this.client.credit(bytes.length + overhead);
    const lent = limits.bodyBytes > STREAM_WINDOW ? bytes.length : 0;
    this.#lentBytes += lent;
    if (lent + overhead > 0) this.client.creditStream(this.asked.stream, lent + overhead);
  }

  #jsonWith(last: Uint8Array): RequestFacts["body"] {
    try {
      return { json: JSON.parse(fromUtf8(concatBytes([...this.#body.chunks, last]))) };
    } catch {
      return undefined;
    }
  }

  #begin(body: RequestFacts["body"]): Exchange {
    const { begin } = this.#options;
    this.#forget();
    const exchange = begin(this.asked, body, this.#body.length);
    this.goOn(exchange);
    exchange.onHeld(this.#body.chunks, this.#lentBytes);
    return exchange;
  }

  #forget(): void {
    this.#inTime();
    this.#options.held.bytes -= this.#body.length;
  }
}
