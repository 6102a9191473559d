/**
 * One direction of one stream: what its sender says, until its reader may have it. Never more than a window lies here: the
 * sender is given credit for what has gone on. So a stream whose reader is slow holds up nobody else.
 */
import { ByteQueue } from "./byte_queue.ts";
import { CODE, StreamFault } from "./faults.ts";
import type { HeaderBlock } from "./header_block.ts";
import type { Link } from "./link.ts";

/** How much of a stream may be under way to us. */
export const STREAM_WINDOW: number = 256 << 10;
const CREDIT_BYTES = STREAM_WINDOW / 4;

interface Sender {
  readonly link: Link;
  readonly stream: number;
}

export class Flow {
  readonly #from: Sender | undefined;
  readonly #to: Link;
  readonly #onDone: () => void;
  /** The stream at the reader's link; 0: it is not open yet. */
  #stream = 0;
  /** What the reader lets us send. */
  #window = 0;
  readonly #queue = new ByteQueue();
  #trailers: HeaderBlock | undefined;
  #allowance = STREAM_WINDOW;
  #uncredited = 0;
  #creditedBytes = 0;
  #isEnded = false;
  #isSwallowed = false;
  #isDone = false;

  /** Without a sender nobody is given credit: the owner looks at `queuedBytes`. */
  constructor(from: Sender | undefined, to: Link, onDone: () => void) {
    this.#from = from;
    this.#to = to;
    this.#onDone = onDone;
  }

  get queuedBytes(): number {
    return this.#queue.length;
  }

  /** What the sender was given for this stream. */
  get creditedBytes(): number {
    return this.#creditedBytes;
  }

  /** Its sender has said all. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** All of it has gone on, or nothing will. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Its headers have been sent at the reader's link. */
  open(stream: number, isEnd: boolean): void {
    this.#stream = stream;
    this.#window = this.#to.peer.initialWindow;
    if (isEnd) this.#end();
    else if (this.#queue.length > 0 || this.#isEnded) this.#to.block(this);
  }

  /** Headers were sent that say that nothing follows. */
  endWithHeaders(): void {
    this.#end();
  }

  /** So much more than a window was given as credit ahead: it is paid back by what goes on. */
  lend(bytes: number): void {
    this.#allowance += bytes;
    this.#uncredited -= bytes;
    this.#creditedBytes += bytes;
  }

  /** `overhead`: bytes of padding, which count too. Throws `StreamFault` when the sender ignores the window. */
  data(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const counted = bytes.length + overhead;
    this.#allowance -= counted;
    if (this.#from && this.#allowance < 0) {
      this.#from.link.credit(counted);
      throw new StreamFault(this.#from.stream, CODE.flowControlError, "A stream ignores its window");
    }
    this.#isEnded ||= isEnd;
    if (this.#isDone || this.#isSwallowed) {
      this.#credit(counted);
      return this.#isEnded ? this.#end() : undefined;
    }
    if (overhead > 0) this.#credit(overhead);
    if (this.#isFree(bytes.length)) return this.#send(bytes, isEnd);
    this.#queue.push(bytes);
    if (bytes.length > 0 || isEnd) this.#to.block(this);
  }

  /** The last word of a stream. */
  trailers(block: HeaderBlock): void {
    this.#isEnded = true;
    if (this.#isDone) return;
    if (this.#isSwallowed) return this.#end();
    if (this.#queue.length > 0 || this.#stream === 0) {
      this.#trailers = block;
      return this.#to.block(this);
    }
    this.#to.sendHeaders(this.#stream, block, true);
    this.#end();
  }

  /** The reader lets us send more, or (after a change of its settings) less. */
  addWindow(bytes: number): void {
    if (this.#window + bytes > 0x7fff_ffff) {
      throw new StreamFault(this.#stream, CODE.flowControlError, "A window becomes too large");
    }
    this.#window += bytes;
    if (this.#window > 0 && this.#queue.length > 0) this.#to.block(this);
  }

  /** Sends a frame's worth of what waits. False: there is nothing to send now. */
  advance(): boolean {
    if (this.#isDone || this.#stream === 0) return false;
    if (this.#queue.length === 0) {
      if (!this.#isEnded) return false;
      if (this.#trailers) this.#to.sendHeaders(this.#stream, this.#trailers, true);
      else this.#to.sendData(this.#stream, new Uint8Array(0), true);
      this.#end();
      return false;
    }
    const count = Math.min(this.#queue.firstLength, this.#window, this.#to.dataRoom);
    if (count <= 0) return false;
    const bytes = this.#queue.take(count);
    const isLast = this.#queue.length === 0 && this.#isEnded && !this.#trailers;
    this.#send(bytes, isLast);
    return !isLast;
  }

  /** The rest goes nowhere, and nobody hears it. */
  drop(): void {
    if (this.#isDone) return;
    const bytes = this.#queue.length;
    this.#queue.clear();
    this.#from?.link.credit(bytes);
    this.#end();
  }

  /** The rest goes nowhere, but its sender may say it to the end. */
  swallow(): void {
    if (this.#isDone) return;
    const bytes = this.#queue.length;
    this.#queue.clear();
    this.#isSwallowed = true;
    this.#credit(bytes);
    if (this.#isEnded) this.#end();
  }

  #isFree(count: number): boolean {
    // Whoever waits already is first.
    if (this.#stream === 0 || this.#queue.length > 0 || this.#to.isCrowded) return false;
    return count === 0 || (count <= this.#window && count <= this.#to.dataRoom);
  }

  #send(bytes: Uint8Array, isEnd: boolean): void {
    // A frame without bytes and without an end says nothing.
    if (bytes.length > 0 || isEnd) this.#to.sendData(this.#stream, bytes, isEnd);
    this.#window -= bytes.length;
    this.#credit(bytes.length);
    if (isEnd) this.#end();
  }

  #credit(bytes: number): void {
    if (!this.#from || bytes === 0) return;
    const { link, stream } = this.#from;
    link.credit(bytes);
    if (this.#isEnded || this.#isDone) return;
    this.#uncredited += bytes;
    if (this.#uncredited < CREDIT_BYTES) return;
    link.creditStream(stream, this.#uncredited);
    this.#allowance += this.#uncredited;
    this.#creditedBytes += this.#uncredited;
    this.#uncredited = 0;
  }

  #end(): void {
    if (this.#isDone) return;
    this.#isEnded = this.#isDone = true;
    this.#onDone();
  }
}
