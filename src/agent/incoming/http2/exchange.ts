/**
 * One stream of a client, from its request to the end of both directions: who answers it, and what it is told when nobody does.
 *
 * What is lost before an answer began is answered here, in words: 502, and for gRPC status 14 (UNAVAILABLE), for that is what
 * its clients show. What is refused unseen says REFUSED_STREAM: clients may ask again, and do.
 *
 * When who is to answer has left before, somebody else is asked, if that may be: see docs/decisions/0053.
 *
 * Whose answer is complete and whose request is not is heard to its end, as far as that is near: RST_STREAM is allowed then (RFC
 * 9113 8.1), but there are clients (Node's) that lose the answer by it, and never come to the end of such a stream.
 */
import { utf8 } from "../../../base/bytes.ts";
import { isIdempotent } from "../may_say_again.ts";
import type { Copy } from "./copy.ts";
import { CODE, StreamFault } from "./faults.ts";
import { Flow } from "./flow.ts";
import { blockOf, type HeaderBlock, type StreamRequest } from "./header_block.ts";
import type { Link } from "./link.ts";
import type { AnswerField } from "./routes.ts";
import type { Call, Caller, Loss, Upstream } from "./upstream.ts";

const GRPC_UNAVAILABLE = "14";
/** Of one request's body, and of all that a connection's streams hold. */
const MOST_KEPT_BYTES = 64 << 10;
const MOST_HELD_BYTES = 4 << 20;
/** How much of a request is heard that goes nowhere, and how long. */
const MOST_SWALLOWED_BYTES = 16 << 20;
const MOST_SWALLOWED_MS = 10_000;

const REASONS: Readonly<Record<Loss, string>> = {
  unreachable: "cannot be reached",
  "no HTTP/2": "does not speak HTTP/2",
  gone: "ended the connection without an answer",
  refused: "takes no more requests on this connection",
  broken: "gave an answer that is no HTTP/2",
};

export interface Asked {
  readonly stream: number;
  readonly request: StreamRequest;
  readonly block: HeaderBlock;
  readonly isEnd: boolean;
  /** It has been told to send its body, which was to decide whom it is for. */
  readonly isContinued?: boolean;
}

export interface ExchangeOptions {
  readonly client: Link;
  readonly upstream: Upstream;
  /** Whose program is to answer, in words. */
  readonly who: string;
  /** What its answer is to say. */
  readonly fields: readonly AnswerField[];
  readonly copies: readonly Copy[];
  /** What streams of the connection keep of bodies. */
  readonly held: { bytes: number };
  /** Another exchange of this stream, which has begun as this one has; undefined: who is to answer has not left, or never does. */
  another?: (() => Exchange | undefined) | undefined;
  /** Both directions have ended; `isAbrupt`: before the client has said all. */
  onOver(isAbrupt: boolean): void;
}

/** Whom the client's frames of one stream are for. */
export interface ClientStream {
  onRequestData(bytes: Uint8Array, overhead: number, isEnd: boolean): void;
  onRequestTrailers(block: HeaderBlock, isEnd: boolean): void;
  /** What it lets us send has changed by so much. */
  onWindow(bytes: number): void;
  /** It does not want the answer any more, or must not have it. */
  cancel(code: number): void;
  /** Its answer is complete, as far as it came from who gives it. */
  readonly isAnswered: boolean;
}

export class Exchange implements Caller, ClientStream {
  readonly #asked: Asked;
  readonly #options: ExchangeOptions;
  /** What the client says, and what it is told. */
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #answerer: { readonly link: Link; stream: number };
  #call: Call | undefined;
  #hasAnswer = false;
  #isRequestOver: boolean;
  #requestBytes = 0;
  /** To be said when the answer has been: nobody wants more of the request. */
  #resetAfter: number | undefined;
  #swallowedBytes = 0;
  #swallowTimer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;
  /** Of the request, while it may have to be said to somebody else; undefined: it is too much, or answered. */
  #kept: Uint8Array[] | undefined;
  #keptBytes = 0;
  #trailers: HeaderBlock | undefined;
  /** What the client lets us send. */
  #window: number;

  constructor(asked: Asked, options: ExchangeOptions) {
    this.#asked = asked;
    this.#options = options;
    this.#isRequestOver = asked.isEnd;
    const { client, upstream } = options;
    const settle = () => this.#settle();
    this.#answerer = { link: upstream.link, stream: 0 };
    this.#up = new Flow({ link: client, stream: asked.stream }, upstream.link, settle);
    this.#down = new Flow(this.#answerer, client, settle);
    this.#down.open(asked.stream, false);
    this.#window = client.peer.initialWindow;
    if (options.another) this.#kept = [];
  }

  get isAnswered(): boolean {
    return this.#down.isEnded;
  }

  begin(): void {
    const { block, isEnd } = this.#asked;
    const call = this.#options.upstream.call(this, this.#up, block, isEnd);
    if (this.#isOver) this.#options.upstream.forget(call);
    else this.#call = call;
  }

  /** The beginning of the body, for which the client has been given its credit, and `lentBytes` of the stream's. */
  onHeld(chunks: readonly Uint8Array[], lentBytes: number): void {
    this.#up.lend(lentBytes);
    for (const chunk of chunks) {
      this.#options.client.credit(-chunk.length);
      this.onRequestData(chunk, 0, false);
    }
  }

  onRequestData(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const { stream, request } = this.#asked;
    this.#requestBytes += bytes.length;
    const isWrong = isEnd && request.length !== undefined && request.length !== this.#requestBytes;
    if (isWrong || this.#isRequestOver) {
      this.#options.client.credit(bytes.length + overhead);
      if (isWrong) throw new StreamFault(stream, CODE.protocolError, "A body is not as long as it was said to be");
      throw new StreamFault(stream, CODE.streamClosed, "A body goes on after its end");
    }
    this.#isRequestOver ||= isEnd;
    this.#keep(bytes);
    for (const copy of this.#options.copies) copy.data(bytes, isEnd);
    this.#up.data(bytes, overhead, isEnd);
    if (this.#swallowTimer === undefined || isEnd) return;
    this.#swallowedBytes += bytes.length;
    if (this.#swallowedBytes > MOST_SWALLOWED_BYTES) this.#up.drop();
  }

  onRequestTrailers(block: HeaderBlock, isEnd: boolean): void {
    const { stream, request } = this.#asked;
    if (this.#isRequestOver) throw new StreamFault(stream, CODE.streamClosed, "Fields follow the end of a request");
    const isWhole = request.length === undefined || request.length === this.#requestBytes;
    if (!isEnd || !block.isTrailer || !isWhole) {
      throw new StreamFault(stream, CODE.protocolError, "Fields after a body are not as they have to be");
    }
    this.#isRequestOver = true;
    this.#trailers = block;
    for (const copy of this.#options.copies) copy.trailers(block);
    this.#up.trailers(block);
  }

  onWindow(bytes: number): void {
    this.#window += bytes;
    this.#down.addWindow(bytes);
  }

  cancel(code: number): void {
    if (this.#isOver) return;
    for (const copy of this.#options.copies) copy.cancel();
    if (this.#call) this.#options.upstream.cancel(this.#call, code);
    this.#over();
  }

  onAnswer(block: HeaderBlock, isEnd: boolean): void {
    const { client, fields } = this.#options;
    const stream = this.#answerer.stream = this.#call!.stream;
    if (this.#hasAnswer) {
      const isTrailer = isEnd && block.isTrailer && !this.#down.isEnded;
      if (!isTrailer) throw new StreamFault(stream, CODE.protocolError, "Fields after an answer have no place there");
      return this.#down.trailers(block);
    }
    const { status } = block;
    // RFC 9113 8.6: there is no 101; 8.1: an interim answer does not end the stream.
    if (status === 0 || status === 101 || block.isTooLarge || (status < 200 && isEnd)) {
      throw new StreamFault(stream, CODE.protocolError, "An answer has no proper head");
    }
    if (status === 100 && this.#asked.isContinued) return;
    this.#hasAnswer = status >= 200;
    if (this.#hasAnswer) this.#forget();
    const said = this.#hasAnswer
      ? fields.reduce((it, [name, value]) => it.with(name.toLowerCase(), value), block)
      : block;
    client.sendHeaders(this.#asked.stream, said, isEnd);
    if (isEnd) this.#down.endWithHeaders();
  }

  onAnswerData(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    if (!this.#hasAnswer || this.#down.isEnded) {
      this.#options.upstream.link.credit(bytes.length + overhead);
      throw new StreamFault(this.#call!.stream, CODE.protocolError, "A body has no place there");
    }
    this.#down.data(bytes, overhead, isEnd);
  }

  onReset(code: number): void {
    this.#call = undefined;
    if (this.#isOver) return;
    if (this.#down.isEnded) return this.#endAfter(code);
    if (code === CODE.refusedStream && this.#goElsewhere(true)) return;
    this.#options.client.sendReset(this.#asked.stream, code);
    this.#over();
  }

  onLost(loss: Loss, isUnseen: boolean): void {
    this.#call = undefined;
    if (this.#isOver) return;
    if (this.#down.isEnded) return this.#hearOut();
    if (this.#goElsewhere(isUnseen)) return;
    if (!this.#hasAnswer && loss !== "refused") return this.#explain(loss);
    const code = loss === "refused" ? CODE.refusedStream : CODE.internalError;
    this.#options.client.sendReset(this.#asked.stream, code);
    this.#over();
  }

  #keep(bytes: Uint8Array): void {
    const { held } = this.#options;
    if (!this.#kept || bytes.length === 0) return;
    if (this.#keptBytes + bytes.length > MOST_KEPT_BYTES || held.bytes + bytes.length > MOST_HELD_BYTES) {
      return this.#forget();
    }
    this.#kept.push(bytes.slice());
    this.#keptBytes += bytes.length;
    held.bytes += bytes.length;
  }

  #forget(): void {
    this.#kept = undefined;
    this.#options.held.bytes -= this.#keptBytes;
    this.#keptBytes = 0;
  }

  /** Who was to answer has left, and it can be asked of somebody else. */
  #goElsewhere(isUnseen: boolean): boolean {
    const kept = this.#kept;
    if (this.#hasAnswer || !kept || !(isUnseen || isIdempotent(this.#asked.request))) return false;
    const next = this.#options.another?.();
    if (!next) return false;
    this.#isOver = true;
    this.#forget();
    this.#up.drop();
    this.#down.drop();
    if (!this.#isRequestOver) { for (const copy of this.#options.copies) copy.cancel(); }
    next.onWindow(this.#window - this.#options.client.peer.initialWindow);
    const isEndOfBody = this.#isRequestOver && !this.#trailers && !this.#asked.isEnd;
    next.onHeld(kept, this.#up.creditedBytes);
    if (isEndOfBody) next.onRequestData(new Uint8Array(0), 0, true);
    if (this.#trailers) next.onRequestTrailers(this.#trailers, true);
    return true;
  }

  #explain(loss: Loss): void {
    const { client, who } = this.#options;
    const { stream, request } = this.#asked;
    const text = `mirrord: ${who} ${REASONS[loss]}`;
    this.#hasAnswer = true;
    if (request.isGrpc) {
      const status = ["grpc-status", GRPC_UNAVAILABLE] as const;
      const head = [[":status", "200"], ["content-type", "application/grpc"], status, ["grpc-message", text]] as const;
      client.sendHeaders(stream, blockOf(...head), true);
      this.#down.endWithHeaders();
    } else {
      const body = utf8(text + "\n");
      const length = ["content-length", String(body.length)] as const;
      client.sendHeaders(stream, blockOf([":status", "502"], ["content-type", "text/plain"], length), request.isHead);
      if (request.isHead) this.#down.endWithHeaders();
      else this.#down.data(body, 0, true);
    }
    this.#hearOut();
  }

  /** The answer is complete, and nobody is there to hear the rest of the request. */
  #hearOut(): void {
    this.#resetAfter = CODE.noError;
    if (!this.#isRequestOver) {
      this.#swallowTimer = setTimeout(() => {
        this.#up.drop();
        this.#options.client.flush();
      }, MOST_SWALLOWED_MS);
    }
    this.#up.swallow();
    this.#settle();
  }

  /** What of the answer is here still goes to the client, but the request goes nowhere any more. */
  #endAfter(code: number): void {
    this.#resetAfter = code;
    this.#up.drop();
    this.#settle();
  }

  #settle(): void {
    if (!this.#down.isDone || !this.#up.isDone || this.#isOver) return;
    if (!this.#isRequestOver && this.#resetAfter !== undefined) {
      this.#options.client.sendReset(this.#asked.stream, this.#resetAfter);
    }
    this.#over();
  }

  #over(): void {
    this.#isOver = true;
    this.#forget();
    clearTimeout(this.#swallowTimer);
    this.#up.drop();
    this.#down.drop();
    if (!this.#isRequestOver) { for (const copy of this.#options.copies) copy.cancel(); }
    if (this.#call) this.#options.upstream.forget(this.#call);
    this.#options.onOver(!this.#isRequestOver);
  }
}
