/**
 * A node:net socket as the end of a relayed stream: pull bytes, push bytes, half-close, reset.
 *
 * Deno.Conn cannot adopt a raw descriptor and cannot send a RST, node:net in Deno does both: `new Socket({ fd })`, and
 * resetAndDestroy() is SO_LINGER{1,0} and close (a test looks at the peer). Sockets must be made with
 * `allowHalfOpen: true`, servers also with `pauseOnConnect: true`, or bytes and ends are lost before this sees them.
 */
import type { Socket } from "node:net";

/** What may lie here unread before the kernel is told to hold the peer back. */
const HELD_BYTES = 256 << 10;

/** The part of a socket that a relay needs. Calls of `read` must not overlap, nor calls of `writeAll`. */
export interface StreamEnd {
  /** Resolves when `read` would have something to tell at once: until then it needs no memory to read into. */
  readable?(): Promise<void>;
  /** Resolves with the bytes put at the front of `into`, null at the peer's end of writing; rejects when it is broken. */
  read(into: Uint8Array): Promise<number | null>;
  /** What was read last is one byte, sent with MSG_OOB. Not every end can tell. */
  readonly isUrgent?: boolean;
  /** Resolves once the kernel has all of it. `bytes` must stay as they are until then. `isUrgent`: the last of them, if it can. */
  writeAll(bytes: Uint8Array, isUrgent?: boolean): Promise<void>;
  /** Half-close: the peer reads an end, its bytes still arrive. */
  closeWrite(): void | Promise<void>;
  /** Nobody has ever seen what was said at the other end of the stream; it is broken off next. */
  leaveUntouched?(): void;
  /** Breaks it off: the peer sees a RST. A pending read or write ends. */
  reset(): void;
  /** Gives it back; a pending read or write ends. Safe to call twice, and after reset. */
  close(): void;
}

export class SocketEnd implements StreamEnd {
  readonly #socket: Socket;
  readonly #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isEnded = false;
  #isFlowing = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.pause();
    socket.on("data", (bytes: Uint8Array) => this.#hold(bytes));
    socket.on("end", () => this.#finish(undefined));
    socket.on("error", (error: Error) => this.#finish(error));
    socket.on("close", () => this.#finish(undefined));
  }

  async readable(): Promise<void> {
    if (this.#heldBytes > 0 || this.#isEnded) return;
    const arrival = Promise.withResolvers<void>();
    this.#wake = arrival.resolve;
    this.#flow(true);
    await arrival.promise;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#heldBytes === 0 && !this.#isEnded) await this.readable();
    if (this.#heldBytes > 0) {
      const count = this.#take(into);
      if (this.#heldBytes < HELD_BYTES / 2 && !this.#isEnded) this.#flow(true);
      return count;
    }
    if (this.#failure) throw this.#failure;
    return null;
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return Promise.resolve();
    const written = Promise.withResolvers<void>();
    this.#socket.write(bytes, (error) => error ? written.reject(error) : written.resolve());
    return written.promise;
  }

  closeWrite(): Promise<void> {
    const ended = Promise.withResolvers<void>();
    // The callback may come with an error: then there is nothing left to end.
    this.#socket.end(() => ended.resolve());
    this.#socket.once("close", () => ended.resolve());
    if (this.#socket.destroyed) ended.resolve();
    return ended.promise;
  }

  reset(): void {
    this.#heldBytes = 0;
    this.#held.length = 0;
    if (!this.#socket.destroyed) this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  #hold(bytes: Uint8Array): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= HELD_BYTES) this.#flow(false);
    this.#awaken();
  }

  #take(into: Uint8Array): number {
    let count = 0;
    while (count < into.length) {
      const first = this.#held[0];
      if (!first) break;
      const room = into.length - count;
      if (first.length <= room) {
        into.set(first, count);
        count += first.length;
        this.#held.shift();
      } else {
        into.set(first.subarray(0, room), count);
        count += room;
        this.#held[0] = first.subarray(room);
      }
    }
    this.#heldBytes -= count;
    return count;
  }

  #flow(isFlowing: boolean): void {
    if (this.#isFlowing === isFlowing) return;
    this.#isFlowing = isFlowing;
    if (isFlowing) this.#socket.resume();
    else this.#socket.pause();
  }

  #finish(error: Error | undefined): void {
    this.#isEnded = true;
    this.#failure ??= error;
    this.#awaken();
  }

  #awaken(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
