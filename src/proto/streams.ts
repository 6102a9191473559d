/**
 * The streams of one link: bytes between sockets here and sockets at the peer. The same code runs at both ends.
 *
 * Each direction has a window: a side has at most `streamWindowBytes` under way that the other has not written to its
 * socket yet (Credit says when it has). So a socket that does not read holds up its own peer and nobody else, and what lies
 * here unwritten is bounded. A peer that ignores the window breaks the wire (`WireError`).
 *
 * State      event                        action > next
 * OPEN       socket's bytes, window open  Data > OPEN
 * OPEN       socket's end                 End > ENDED (we send no more)
 * OPEN       peer's End                   write what is queued, half-close the socket > HEARD (it sends no more)
 * ENDED      peer's End                   write what is queued, half-close, close > gone
 * HEARD      socket's end                 End, close > gone
 * any        peer's Data                  queue, write, Credit > same
 * any        socket broken                Reset, close > gone
 * any        peer's Reset                 write what is queued (RESET_GRACE_MS at most), reset the socket > gone
 * any        resetAll                     reset the socket (close, when HEARD and all written) > gone
 * gone       anything of the peer         dropped: it was under way
 */
import { BufferPool } from "../base/buffer_pool.ts";
import { WireError } from "../base/errors.ts";
import type { StreamEnd } from "../base/socket_end.ts";
import { type AGENT, AGENT_LIMITS } from "./agent.ts";
import { DATA_HEAD_BYTES, writeDataHead } from "./agent_codec.ts";
import type { AgentLink } from "./agent_link.ts";
import type { MessageNamed } from "./schema.ts";

export type { StreamEnd } from "../base/socket_end.ts";
export type StreamMessage = MessageNamed<typeof AGENT, "Urgent" | "Untouched" | "Data" | "End" | "Reset" | "Credit">;

/** Credit is given in pieces of this size: few messages, and the window never closes for want of one. */
const CREDIT_BYTES = AGENT_LIMITS.streamWindowBytes / 8;
/** Chunks begin small (thousands of idle streams) and grow while the socket fills them. */
const LEAST_CHUNK_BYTES = 16 << 10;
const MOST_CHUNK_BYTES = AGENT_LIMITS.chunkBytes;
/** Queued pieces are joined up to this size into one write. */
const JOINED_BYTES = 64 << 10;
/** For bytes on their way from the link to a socket. */
const pool = new BufferPool(MOST_CHUNK_BYTES, 32);
/** How long a socket that does not read may delay a reset. */
const RESET_GRACE_MS = 1000;

export class Streams {
  readonly #link: AgentLink;
  readonly #streams = new Map<number, Stream>();
  readonly #pumps = new Set<Promise<void>>();
  /** Counts up with every byte that the link, a socket here or the peer's socket takes: tells whether anything moves. */
  movedBytes = 0;

  constructor(link: AgentLink) {
    this.#link = link;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Whether bytes of a socket here are still on their way, as far as credit tells: less than an eighth of a window may be. */
  get isSending(): boolean {
    return [...this.#streams.values()].some((stream) => stream.isSending);
  }

  has(stream: number): boolean {
    return this.#streams.has(stream);
  }

  /** Joins `end`, which is owned from now on, to the peer's socket of the same number. */
  add(stream: number, end: StreamEnd): void {
    if (this.#streams.has(stream)) throw new WireError(`Stream ${stream} is open already`);
    const added = new Stream(stream, end, this.#link, {
      onMoved: (bytes) => this.movedBytes += bytes,
      onGone: () => this.#streams.delete(stream),
    });
    this.#streams.set(stream, added);
    const pump = added.pump();
    this.#pumps.add(pump);
    pump.finally(() => this.#pumps.delete(pump));
  }

  /** Takes a message of the peer; its bytes are copied. Throws `WireError` when the peer ignores the window. */
  onMessage(message: StreamMessage): void {
    const stream = this.#streams.get(message.stream);
    if (!stream) return;
    switch (message.type) {
      case "Urgent":
        return stream.onUrgent();
      case "Untouched":
        return stream.onUntouched();
      case "Data":
        return stream.onData(message.data);
      case "End":
        return stream.onEnd();
      case "Reset":
        return stream.onReset();
      case "Credit":
        return stream.onCredit(message.bytes);
    }
  }

  /** Breaks off one stream, at both ends. */
  reset(stream: number): void {
    this.#streams.get(stream)?.breakOff();
  }

  /**
   * The link is gone or going, the peer is told nothing: sockets are closed where all that the peer wanted to say was
   * written, the others reset.
   */
  resetAll(): void {
    for (const stream of [...this.#streams.values()]) stream.abandon();
  }

  /** Resolves when nothing of the streams that are gone by then runs any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#pumps);
  }
}

interface Observer {
  onMoved(bytes: number): void;
  onGone(): void;
}

class Stream {
  readonly #number: number;
  readonly #end: StreamEnd;
  readonly #link: AgentLink;
  readonly #observer: Observer;

  /** What we may send, and who waits for more of it. */
  #windowBytes: number = AGENT_LIMITS.streamWindowBytes;
  #onWindow: (() => void) | undefined;
  #hasSentEnd = false;

  /** What the peer sent and the socket has not taken yet. */
  readonly #queue: Uint8Array[] = [];
  /** Those of them that are a byte sent with MSG_OOB. */
  readonly #urgent = new Set<Uint8Array>();
  #isNextUrgent = false;
  #writing: Promise<void> | undefined;
  /** Received and not credited back: queued, being written, or written but not worth a message yet. */
  #uncreditedBytes = 0;
  #writtenBytes = 0;
  #hasHeardEnd = false;
  #isWriteClosed = false;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;

  #isGone = false;

  constructor(number: number, end: StreamEnd, link: AgentLink, observer: Observer) {
    this.#number = number;
    this.#end = end;
    this.#link = link;
    this.#observer = observer;
  }

  get isSending(): boolean {
    return !this.#hasSentEnd || this.#windowBytes <= AGENT_LIMITS.streamWindowBytes - CREDIT_BYTES;
  }

  /** Socket to peer, until its end; never rejects. Resolves when writing to the socket is over too. */
  async pump(): Promise<void> {
    try {
      await this.#send();
    } catch {
      this.breakOff();
    }
    await this.#writing;
  }

  async #send(): Promise<void> {
    // Two frames take turns: one is filled while the other leaves.
    const frames = [new Frame(), new Frame()] as const;
    let chunkBytes = LEAST_CHUNK_BYTES;
    for (let turn = 0; !this.#isGone; turn ^= 1) {
      if (this.#windowBytes === 0) await this.#window();
      const frame = frames[turn as 0 | 1];
      await frame.left;
      if (this.#isGone) return;
      await this.#end.readable?.();
      if (this.#isGone) return;
      const room = frame.room(chunkBytes).subarray(0, Math.min(chunkBytes, this.#windowBytes));
      const count = await this.#end.read(room);
      if (this.#isGone || count === null) frame.release();
      if (this.#isGone) return;
      if (count === null) return this.#sendEnd();
      this.#windowBytes -= count;
      if (this.#end.isUrgent) this.#link.send({ type: "Urgent", id: 0, stream: this.#number });
      this.#observer.onMoved(count);
      frame.left = this.#link.sendBulkFrame(frame.filled(this.#number, count));
      // Thousands of idle streams need no memory.
      if (chunkBytes === LEAST_CHUNK_BYTES) frame.left = frame.left.then(() => frame.release());
      if (count === chunkBytes) chunkBytes = Math.min(chunkBytes * 4, MOST_CHUNK_BYTES);
      else if (count < chunkBytes / 8) chunkBytes = Math.max(chunkBytes / 4, LEAST_CHUNK_BYTES);
    }
  }

  #sendEnd(): void {
    this.#hasSentEnd = true;
    this.#link.send({ type: "End", id: 0, stream: this.#number });
    if (this.#isWriteClosed) this.#leave();
  }

  async #window(): Promise<void> {
    while (this.#windowBytes === 0 && !this.#isGone) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onWindow = resolve;
      await promise;
    }
  }

  onCredit(bytes: number): void {
    this.#windowBytes += bytes;
    this.#observer.onMoved(bytes);
    if (this.#windowBytes > AGENT_LIMITS.streamWindowBytes) {
      throw new WireError("Credit for bytes that were never sent");
    }
    this.#onWindow?.();
  }

  onUrgent(): void {
    this.#isNextUrgent = true;
  }

  onUntouched(): void {
    this.#end.leaveUntouched?.();
  }

  onData(bytes: Uint8Array): void {
    if (this.#hasHeardEnd) throw new WireError(`Data after the end of stream ${this.#number}`);
    this.#uncreditedBytes += bytes.length;
    if (this.#uncreditedBytes > AGENT_LIMITS.streamWindowBytes) {
      throw new WireError(`Stream ${this.#number} has sent more than its window`);
    }
    const copy = pool.copyOf(bytes);
    this.#queue.push(copy);
    if (this.#isNextUrgent) this.#urgent.add(copy);
    this.#isNextUrgent = false;
    this.#writing ??= this.#write();
  }

  onEnd(): void {
    this.#hasHeardEnd = true;
    this.#writing ??= this.#write();
  }

  onReset(): void {
    if (!this.#writing) return this.reset();
    this.#graceTimer ??= setTimeout(() => this.reset(), RESET_GRACE_MS);
  }

  /** Queue to socket while there is any; never rejects. */
  async #write(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#isGone) {
        const bytes = this.#takeQueued();
        await this.#end.writeAll(bytes, this.#urgent.delete(bytes));
        pool.giveBack(bytes);
        this.#observer.onMoved(bytes.length);
        this.#credit(bytes.length);
      }
      if (this.#graceTimer !== undefined) this.reset();
      else if (this.#hasHeardEnd && !this.#isGone) {
        await this.#end.closeWrite();
        this.#isWriteClosed = true;
        if (this.#hasSentEnd) this.#leave();
      }
    } catch {
      this.breakOff();
    } finally {
      this.#writing = undefined;
    }
  }

  #takeQueued(): Uint8Array {
    const first = this.#queue[0]!;
    let count = 1;
    let size = first.length;
    while (count < this.#queue.length && !this.#urgent.has(first)) {
      const next = this.#queue[count]!;
      if (size + next.length > JOINED_BYTES || this.#urgent.has(next)) break;
      size += next.length;
      count++;
    }
    const taken = this.#queue.splice(0, count);
    if (count === 1) return first;
    const joined = new Uint8Array(size);
    let at = 0;
    for (const piece of taken) {
      joined.set(piece, at);
      at += piece.length;
      pool.giveBack(piece);
    }
    return joined;
  }

  #credit(bytes: number): void {
    this.#writtenBytes += bytes;
    if (this.#writtenBytes < CREDIT_BYTES || this.#isGone) return;
    this.#link.send({ type: "Credit", id: 0, stream: this.#number, bytes: this.#writtenBytes });
    this.#uncreditedBytes -= this.#writtenBytes;
    this.#writtenBytes = 0;
  }

  /** Our socket is broken, or is to be: the peer's will be too. */
  breakOff(): void {
    if (this.#isGone) return;
    this.#link.send({ type: "Reset", id: 0, stream: this.#number });
    this.reset();
  }

  /** The peer's socket is broken: so is ours. */
  reset(): void {
    if (this.#isGone) return;
    this.#end.reset();
    this.#leave();
  }

  abandon(): void {
    if (this.#isWriteClosed) this.#leave();
    else this.reset();
  }

  #leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#graceTimer);
    this.#queue.length = 0;
    this.#onWindow?.();
    this.#end.close();
    this.#observer.onGone();
  }
}

const DONE: Promise<void> = Promise.resolve();
const NOTHING = new Uint8Array(0);
const LEAST_FRAME_BYTES = DATA_HEAD_BYTES + LEAST_CHUNK_BYTES;
/** Frames of the least size that nobody fills just now. */
const spare: Uint8Array<ArrayBuffer>[] = [];
const MOST_SPARE = 32;

/** Memory into which a socket reads and which leaves as a Data frame, uncopied. */
class Frame {
  #bytes = NOTHING;
  /** Resolves when it may be filled again. */
  left: Promise<void> = DONE;

  room(chunkBytes: number): Uint8Array {
    const size = DATA_HEAD_BYTES + chunkBytes;
    if (this.#bytes.length !== size) {
      this.#bytes = (size === LEAST_FRAME_BYTES ? spare.pop() : undefined) ?? new Uint8Array(size);
    }
    return this.#bytes.subarray(DATA_HEAD_BYTES);
  }

  /** It has left, and another may use its memory. */
  release(): void {
    if (this.#bytes.length === 0) return;
    if (this.#bytes.length === DATA_HEAD_BYTES + LEAST_CHUNK_BYTES && spare.length < MOST_SPARE) {
      spare.push(this.#bytes);
    }
    this.#bytes = NOTHING;
  }

  filled(stream: number, count: number): Uint8Array {
    const frame = this.#bytes.subarray(0, DATA_HEAD_BYTES + count);
    writeDataHead(frame, stream);
    return frame;
  }
}
