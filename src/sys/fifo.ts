/** Ends of FIFOs as ends of streams: native/sys/fifo.c for TypeScript. Bytes go one way only. */
import { ERRNO } from "../base/errors.ts";
import type { StreamEnd } from "../base/socket_end.ts";
import { closeFile, type PackedRights } from "./files.ts";
import { cString, loadSys } from "./load.ts";
import type { Sockets } from "./sockets.ts";

const sys = loadSys({
  fifo_find: { parameters: ["i32", "buffer", "u64", "u64", "buffer"], result: "i32", nonblocking: true },
  fifo_open_found: { parameters: ["i32", "u32", "buffer"], result: "i32", nonblocking: true },
  fifo_open: { parameters: ["buffer", "u32"], result: "i32" },
  fifo_make: { parameters: ["buffer"], result: "i32" },
  fifo_has_writer: { parameters: ["i32"], result: "i32" },
  fifo_read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  fifo_write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  fifo_watch: { parameters: ["buffer"], result: "i32" },
  readiness_close: { parameters: ["i32", "u32"], result: "i32" },
});

const EPOLL = { IN: 1, OUT: 4, ERR: 8, HUP: 0x10 } as const;
/** Access modes of open(2). */
export const FIFO_MODE = { reading: 0, writing: 1, both: 2 } as const;

/** A FIFO of the target, found. All give a descriptor or -errno. */
export function findFifo(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  { dev, ino }: { dev: bigint; ino: bigint },
  rights: PackedRights,
): Promise<number> {
  return sys.fifo_find(root, path, dev, ino, rights);
}

/** -ENXIO: to write, and nobody reads. */
export function openFound(found: number, isWriting: boolean, rights: PackedRights): Promise<number> {
  return sys.fifo_open_found(found, Number(isWriting), rights);
}

export function openFifo(path: string, mode: number): number {
  return sys.fifo_open(cString(path), mode);
}

export function makeFifo(path: string): number {
  return sys.fifo_make(cString(path));
}

export function hasWriter(fd: number): boolean {
  return sys.fifo_has_writer(fd) !== 0;
}

/** Calls back when something that was open in the directory is open no more. What it returns ends that; or -errno. */
export function watchCloses(directory: string, sockets: Sockets, onClose: () => void): (() => void) | number {
  const fd = sys.fifo_watch(cString(directory));
  if (fd < 0) return fd;
  const events = new Uint8Array(4096);
  const onReady = () => {
    while (sys.fifo_read(fd, events, events.length) > 0);
    onClose();
  };
  sockets.watch(fd, { onReady });
  return () => {
    sockets.forget(fd);
    closeFifo(fd);
  };
}

export function closeFifo(fd: number): void {
  sys.readiness_close(fd, 0);
}

/**
 * An end that was opened. One that reads ends with the last writer; one that writes is broken when the last reader has gone, and
 * has nothing to read until then.
 */
export class FifoEnd implements StreamEnd {
  readonly #fd: number;
  readonly #sockets: Sockets;
  readonly #isWriting: boolean;
  readonly #onGone: () => void;
  #isOpen = true;
  #isReady = false;
  #isBroken = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(sockets: Sockets, fd: number, isWriting: boolean, onGone: () => void = () => {}) {
    this.#fd = fd;
    this.#sockets = sockets;
    this.#isWriting = isWriting;
    this.#onGone = onGone;
    sockets.watch(fd, this);
  }

  onReady(events: number): void {
    if (this.#isWriting && events & EPOLL.ERR) this.#isBroken = true;
    if (!this.#isWriting || this.#isBroken) this.#isReady = true;
    if (this.#isReady) this.#awakenReader();
    if (events & (EPOLL.OUT | EPOLL.ERR)) this.#awakenWriter();
  }

  async readable(): Promise<void> {
    while (this.#isOpen && !this.#isReady) await new Promise<void>((resolve) => this.#wakeReader = resolve);
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    while (this.#isOpen) {
      await this.readable();
      if (!this.#isOpen) break;
      if (this.#isBroken) throw new Error("nobody reads the FIFO");
      const count = sys.fifo_read(this.#fd, into, into.length);
      if (count > 0) return count;
      if (count !== -ERRNO.EAGAIN) {
        // At once: who opens it to write from now on has to wait for another reader.
        this.close();
        if (count < 0) throw new Error(`The FIFO cannot be read: error ${-count}`);
      }
      this.#isReady = false;
    }
    return null;
  }

  async writeAll(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    while (bytes.length > 0) {
      if (!this.#isOpen) throw new Error("the FIFO is closed");
      const count = this.#isWriting ? sys.fifo_write(this.#fd, bytes, bytes.length) : -ERRNO.EBADF;
      if (count > 0) bytes = bytes.subarray(count);
      else if (count !== -ERRNO.EAGAIN) throw new Error(`The FIFO is broken: error ${-count}`);
      else await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
  }

  closeWrite(): void {
    if (this.#isWriting) this.close();
  }

  reset(): void {
    this.close();
  }

  /** Reads no more: the other side is told of an end. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#sockets.forget(this.#fd);
    closeFifo(this.#fd);
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

/** Found descriptors are the caller's. */
export function closeFound(fd: number): Promise<unknown> {
  return closeFile(fd);
}
