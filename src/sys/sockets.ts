/**
 * TCP sockets by descriptor, as ends of streams: native/sys/readiness.c for TypeScript. A thread of Deno's pool waits for all of
 * them at once; bytes are read and written here, on the main thread, without a promise of the runtime for each piece. Under
 * load one wait tells of many sockets.
 */
import { ERRNO } from "../base/errors.ts";
import type { StreamEnd } from "../base/socket_end.ts";
import { loadSys } from "./load.ts";

const sys = loadSys({
  readiness_open: { parameters: [], result: "i32" },
  readiness_watch: { parameters: ["i32", "i32", "u32"], result: "i32" },
  readiness_forget: { parameters: ["i32", "i32"], result: "i32" },
  readiness_wait: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32", nonblocking: true },
  readiness_receive: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  readiness_adopt: { parameters: ["i32", "i32", "u32", "u32"], result: "i32" },
  readiness_want_room: { parameters: ["i32", "i32", "u32"], result: "i32" },
  readiness_receive_marked: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  readiness_send_urgent: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  readiness_send: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  readiness_end: { parameters: ["i32"], result: "i32" },
  readiness_close: { parameters: ["i32", "u32"], result: "i32" },
  readiness_own_end: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  readiness_low_water: { parameters: ["i32", "i32"], result: "i32" },
  redirected_waker: { parameters: [], result: "i32" },
  redirected_wake: { parameters: ["i32"], result: "i32" },
});

const MOST_AT_ONCE = 256;
const EVENT_WORDS = 2;
const EPOLL = { IN: 1, OUT: 4, ERR: 8, HUP: 0x10, RDHUP: 0x2000 } as const;
const READABLE = EPOLL.IN | EPOLL.ERR | EPOLL.HUP | EPOLL.RDHUP;
const ENDING = EPOLL.ERR | EPOLL.HUP | EPOLL.RDHUP;
/** As readiness.c has it. */
const URGENT = 0x4000_0000;
const WRITABLE = EPOLL.OUT | EPOLL.ERR | EPOLL.HUP;

/** What is waited for: told the events of its descriptor. */
interface Watched {
  onReady(events: number): void;
}

export class Sockets {
  readonly #poll: number;
  readonly #waker: number;
  readonly #watched = new Map<number, Watched>();
  #running: Promise<void> | undefined;
  #isClosed = false;

  private constructor(poll: number, waker: number) {
    this.#poll = poll;
    this.#waker = waker;
  }

  /** Or -errno. */
  static open(): Sockets | number {
    const poll = sys.readiness_open();
    if (poll < 0) return poll;
    const waker = sys.redirected_waker();
    const error = waker < 0 ? waker : sys.readiness_watch(poll, waker, waker);
    if (error === 0) return new Sockets(poll, waker);
    sys.readiness_close(poll, 0);
    return error;
  }

  /**
   * Takes a connected socket over. `onGone` is called when it is closed; `keepsUrgent`: urgent bytes are told from the others, in
   * their place.
   */
  adopt(fd: number, onGone: () => void = () => {}, keepsUrgent = false): FdEnd {
    const isUrgentKept = sys.readiness_adopt(this.#poll, fd, fd, keepsUrgent ? 1 : 0) === 1;
    const end = new FdEnd(fd, this, onGone, isUrgentKept);
    this.#watched.set(fd, end);
    this.#running ??= this.#run();
    return end;
  }

  /** What was adopted is told too when there is room to write. */
  wantRoom(fd: number): void {
    if (!this.#isClosed) sys.readiness_want_room(this.#poll, fd, fd);
  }

  /**
   * Resolves when a connect that is under way has ended; SO_ERROR tells how. `onWaiting` gets what ends the wait before. The
   * descriptor stays the caller's.
   */
  async connected(fd: number, onWaiting: (giveUp: () => void) => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.watch(fd, { onReady: (events) => events & WRITABLE ? resolve() : undefined });
    onWaiting(resolve);
    await promise;
    this.forget(fd);
  }

  /** Tells of a descriptor that stays the caller's. */
  watch(fd: number, watched: Watched): void {
    this.#watched.set(fd, watched);
    sys.readiness_watch(this.#poll, fd, fd);
    this.#running ??= this.#run();
  }

  /** No more of what is watched. */
  forget(fd: number): void {
    this.#watched.delete(fd);
    if (!this.#isClosed) sys.readiness_forget(this.#poll, fd);
  }

  /** Nothing is told any more; what was adopted stays to be closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    sys.redirected_wake(this.#waker);
    await this.#running;
    sys.readiness_close(this.#waker, 0);
    sys.readiness_close(this.#poll, 0);
  }

  async #run(): Promise<void> {
    const events = new Uint32Array(MOST_AT_ONCE * EVENT_WORDS);
    while (!this.#isClosed) {
      const count = await sys.readiness_wait(this.#poll, events, MOST_AT_ONCE, -1);
      for (let at = 0; at < count * EVENT_WORDS; at += EVENT_WORDS) {
        this.#watched.get(events[at]!)?.onReady(events[at + 1]!);
      }
    }
  }
}

/** Our own end of a socket. */
export function ownEndOf(fd: number): { address: Uint8Array<ArrayBuffer>; port: number } {
  const port = new Uint16Array(1);
  const address = new Uint8Array(16);
  const length = sys.readiness_own_end(fd, port, address);
  return { address: address.slice(0, Math.max(0, length)), port: port[0]! };
}

/** A byte that is urgent to the peer, never waiting: whether it was taken. */
export function sendUrgent(fd: number, bytes: Uint8Array<ArrayBuffer>): boolean {
  return sys.readiness_send_urgent(fd, bytes, bytes.length) === bytes.length;
}

/** How many bytes the kernel takes without waiting, or -errno. */
export function sendAtOnce(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  return sys.readiness_send(fd, bytes, bytes.length);
}

/** A socket whose bytes nobody is in a hurry for is read when there are so many, or when it has ended. */
export function setLowWater(fd: number, bytes: number): void {
  sys.readiness_low_water(fd, bytes);
}

export class FdEnd implements StreamEnd, Watched {
  readonly #fd: number;
  readonly #sockets: Sockets;
  readonly #onGone: () => void;
  readonly #isUrgentKept: boolean;
  #isOpen = true;
  /** What is there when it is adopted is told like what comes later (epoll_ctl(2), EPOLL_CTL_ADD). */
  #isReadable = false;
  #isWritable = true;
  #isRoomTold = false;
  /** No more will come when what is there was read. */
  #isEnding = false;
  isUrgent = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** By `Sockets.adopt`. */
  constructor(fd: number, sockets: Sockets, onGone: () => void, isUrgentKept: boolean) {
    this.#fd = fd;
    this.#sockets = sockets;
    this.#onGone = onGone;
    this.#isUrgentKept = isUrgentKept;
  }

  onReady(events: number): void {
    if (events & ENDING) this.#isEnding = true;
    if (events & READABLE) {
      this.#isReadable = true;
      this.#awakenReader();
    }
    if (events & WRITABLE) {
      this.#isWritable = true;
      this.#awakenWriter();
    }
  }

  readable(): Promise<void> {
    if (!this.#isOpen || this.#isReadable) return DONE;
    return new Promise((resolve) => this.#wakeReader = resolve);
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    while (this.#isOpen) {
      if (this.#isReadable) {
        const count = this.#receive(into);
        if (count > 0) return count;
        if (count === 0) return null;
        if (count !== -ERRNO.EAGAIN) throw broken(count);
        this.#isReadable = false;
      }
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    return null;
  }

  #receive(into: Uint8Array<ArrayBuffer>): number {
    if (this.#isUrgentKept) {
      const count = sys.readiness_receive_marked(this.#fd, into, into.length);
      this.isUrgent = count >= URGENT;
      return this.isUrgent ? 1 : count;
    }
    const count = sys.readiness_receive(this.#fd, into, into.length);
    // Less than there is room for: it is empty, and the kernel tells when there is more (epoll(7)).
    if (count > 0 && count < into.length && !this.#isEnding) this.#isReadable = false;
    return count;
  }

  writeAll(bytes: Uint8Array<ArrayBuffer>, isUrgent = false): Promise<void> {
    const count = this.#send(bytes, isUrgent);
    if (count === bytes.length) return DONE;
    return count < 0 ? Promise.reject(broken(count)) : this.#writeRest(bytes.subarray(count), isUrgent);
  }

  closeWrite(): void {
    if (this.#isOpen) sys.readiness_end(this.#fd);
  }

  reset(): void {
    this.#leave(true);
  }

  close(): void {
    this.#leave(false);
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** The descriptor is the caller's from now on. A read that waits waits for ever; no write may wait. */
  release(): number {
    this.#isOpen = false;
    this.#sockets.forget(this.#fd);
    this.#wakeReader = undefined;
    this.#onGone();
    return this.#fd;
  }

  /** How many were taken, or -errno. */
  #send(bytes: Uint8Array<ArrayBuffer>, isUrgent: boolean): number {
    if (!this.#isOpen) return -ERRNO.EPIPE;
    if (!this.#isWritable) return 0;
    const send = isUrgent ? sys.readiness_send_urgent : sys.readiness_send;
    const count = send(this.#fd, bytes, bytes.length);
    if (count < bytes.length) this.#awaitRoom();
    return count === -ERRNO.EAGAIN ? 0 : count;
  }

  #awaitRoom(): void {
    this.#isWritable = false;
    if (!this.#isRoomTold) this.#sockets.wantRoom(this.#fd);
    this.#isRoomTold = true;
  }

  async #writeRest(rest: Uint8Array<ArrayBuffer>, isUrgent: boolean): Promise<void> {
    while (rest.length > 0) {
      if (!this.#isWritable && this.#isOpen) await new Promise<void>((resolve) => this.#wakeWriter = resolve);
      const count = this.#send(rest, isUrgent);
      if (count < 0) throw broken(count);
      rest = rest.subarray(count);
    }
  }

  #leave(isReset: boolean): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#sockets.forget(this.#fd);
    sys.readiness_close(this.#fd, isReset ? 1 : 0);
    this.#awakenReader();
    this.#awakenWriter();
    this.#onGone();
  }

  #awakenReader(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }

  #awakenWriter(): void {
    const wake = this.#wakeWriter;
    this.#wakeWriter = undefined;
    wake?.();
  }
}

const DONE: Promise<void> = Promise.resolve();

function broken(status: number): Error {
  return new Error(`The socket is broken: error ${-status}`);
}
