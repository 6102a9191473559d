/**
 * News of directories: native/sys/watch.c for TypeScript. Waiting and adding happen on threads of Deno's pool; reading is done
 * at once, so that what is news is known before anything else is said. What fails is a negative errno.
 */
import type { PackedRights } from "./files.ts";
import { loadSys } from "./load.ts";

const sys = loadSys({
  watch_open: { parameters: [], result: "i32" },
  watch_waker: { parameters: [], result: "i32" },
  watch_wake: { parameters: ["i32"], result: "i32" },
  watch_close: { parameters: ["i32"], result: "i32" },
  watch_wait: { parameters: ["i32", "i32"], result: "i32", nonblocking: true },
  watch_read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  watch_add: { parameters: ["i32", "i32", "buffer", "buffer", "buffer", "u32"], result: "i32", nonblocking: true },
  watch_subject: {
    parameters: ["i32", "i32", "buffer", "u32", "buffer", "buffer", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  replay_make: { parameters: ["buffer"], result: "i32" },
  replay_modify: { parameters: ["buffer"], result: "i32" },
  replay_access: { parameters: ["buffer"], result: "i32" },
  watch_remove: { parameters: ["i32", "i32"], result: "i32" },
});

/** struct inotify_event. */
export interface WatchEvent {
  /** Of the watch; -1: events were lost. */
  readonly number: number;
  readonly mask: number;
  /** What belongs together: IN_MOVED_FROM and IN_MOVED_TO. */
  readonly cookie: number;
  /** Of the entry, empty: the directory itself. */
  readonly name: Uint8Array;
}

export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_CLOSE_WRITE = 0x8;
export const IN_CLOSE_NOWRITE = 0x10;
export const IN_OPEN = 0x20;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_IGNORED = 0x8000;
export const IN_ONLYDIR = 0x100_0000;
export const IN_DONT_FOLLOW = 0x200_0000;
export const IN_ISDIR = 0x4000_0000;
const HEAD_BYTES = 16;
/** For a path and what a directory holds that a program watches by itself. */
const SUBJECT_BYTES = 256 << 10;

/** What a program watches: where it is, and, as "d" or "f" and a NUL-terminated name each, what is in it. */
export interface Followed {
  readonly number: number;
  readonly path: Uint8Array<ArrayBuffer>;
  readonly isDirectory: boolean;
  readonly entries: Uint8Array<ArrayBuffer>;
}
/** Watches of one path, it and the directories above it. */
const MOST_NUMBERS = 64;

/** One inotify instance. Throws `WatchError` when there is none to be had. */
export class Inotify implements Disposable {
  readonly #fd: number;
  readonly #waker: number;
  readonly #buffer = new Uint8Array(64 << 10);

  constructor() {
    this.#fd = sys.watch_open();
    if (this.#fd < 0) throw new WatchError(-this.#fd);
    this.#waker = sys.watch_waker();
    if (this.#waker >= 0) return;
    sys.watch_close(this.#fd);
    throw new WatchError(-this.#waker);
  }

  /** The numbers of the root, the directories on the way and `path` (NUL-terminated), and whether these are all. */
  async add(
    root: number,
    path: Uint8Array<ArrayBuffer>,
    rights: PackedRights,
  ): Promise<{ numbers: number[]; isWhole: boolean }> {
    const numbers = new Int32Array(1 + MOST_NUMBERS);
    const status = await sys.watch_add(this.#fd, root, path, rights, numbers, numbers.length);
    return { numbers: [...numbers.subarray(1, 1 + numbers[0]!)], isWhole: status === 0 };
  }

  /** Watches what `path` (NUL-terminated) leads to, for these events and the flags of a path: a negative errno, or ... */
  async follow(
    root: number,
    path: Uint8Array<ArrayBuffer>,
    mask: number,
    rights: PackedRights,
  ): Promise<number | Followed> {
    const into = new Uint8Array(SUBJECT_BYTES);
    const told = new Uint32Array(3);
    const number = await sys.watch_subject(this.#fd, root, path, mask, rights, into, into.length, told);
    if (number < 0) return number;
    const [pathBytes, entryBytes, isDirectory] = [told[0]!, told[1]!, told[2] === 1];
    const entries = into.slice(pathBytes, pathBytes + entryBytes);
    return { number, path: into.slice(0, pathBytes), isDirectory, entries };
  }

  remove(number: number): void {
    sys.watch_remove(this.#fd, number);
  }

  /** What there is, without waiting. Names are good until the next call. */
  *read(): Generator<WatchEvent, void, void> {
    while (true) {
      const count = sys.watch_read(this.#fd, this.#buffer, this.#buffer.length);
      if (count <= 0) return;
      const view = new DataView(this.#buffer.buffer);
      for (let at = 0; at < count;) {
        const length = view.getUint32(at + 12, true);
        const name = this.#buffer.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
        const end = name.indexOf(0);
        yield {
          number: view.getInt32(at, true),
          mask: view.getUint32(at + 4, true),
          cookie: view.getUint32(at + 8, true),
          name: name.subarray(0, end < 0 ? 0 : end),
        };
        at += HEAD_BYTES + length;
      }
    }
  }

  /** Resolves when there is something to read: true; or after wake(). */
  async wait(): Promise<boolean> {
    return await sys.watch_wait(this.#fd, this.#waker) === 1;
  }

  wake(): void {
    sys.watch_wake(this.#waker);
  }

  /** When nobody waits any more. */
  [Symbol.dispose](): void {
    sys.watch_close(this.#fd);
    sys.watch_close(this.#waker);
  }
}

export class WatchError extends Error {
  constructor(readonly errno: number) {
    super(`Cannot watch directories: errno ${errno}`);
  }
}

/** One event each, at what stands for a file: a path that is NUL-terminated. What cannot be done is not. */
export const replay: Readonly<Record<"make" | "modify" | "access", (path: Uint8Array<ArrayBuffer>) => void>> = {
  make: sys.replay_make,
  modify: sys.replay_modify,
  access: sys.replay_access,
};
