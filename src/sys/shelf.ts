/**
 * The files that a run's programs write (native/sys/shelf.c): memory files that the intproxy holds, hands out to shims by
 * descriptor, and compares with what the target already has. Numbers are chosen by the caller; results as files.ts has them.
 */
import { cString, loadSys } from "./load.ts";

const sys = loadSys({
  shelf_open: { parameters: ["buffer", "buffer"], result: "pointer" },
  shelf_close: { parameters: ["pointer"], result: "void" },
  shelf_put: { parameters: ["pointer", "u64", "buffer"], result: "i32" },
  shelf_drop: { parameters: ["pointer", "u64"], result: "void" },
  shelf_look: { parameters: ["pointer", "u64", "u32", "buffer"], result: "i32" },
  shelf_fill: { parameters: ["pointer", "u64", "u64", "buffer", "u32"], result: "i32" },
  shelf_resize: { parameters: ["pointer", "u64", "u64"], result: "i32" },
  shelf_scan: {
    parameters: ["pointer", "u64", "u64", "u64", "buffer", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  shelf_read: { parameters: ["pointer", "u64", "u64", "buffer", "u32"], result: "i32", nonblocking: true },
  shelf_cut: { parameters: ["pointer", "u64", "u64"], result: "void" },
  shelf_doubt: { parameters: ["pointer", "u64", "u64", "u64"], result: "void" },
  shelf_merge: { parameters: ["pointer", "u64", "u64", "buffer", "u32"], result: "i32" },
  shelf_append: { parameters: ["pointer", "u64", "buffer", "u32"], result: "i64" },
  shelf_mark: { parameters: ["pointer", "u64", "u32"], result: "void" },
});

export interface Look {
  size: number;
  /** When it was last written, by the kernel's coarse clock. */
  mtimeNs: bigint;
  /** How often it was handed out. */
  handed: number;
  /** Whether anybody can write it, or the kernel does not tell; true unless it was asked for. */
  hasWriters: boolean;
  /** The same of anybody who has it open. */
  isOpen: boolean;
}

/** Bytes that the target has not: in the buffer given, from its beginning. */
export interface Difference {
  offset: number;
  /** Bytes in the buffer. */
  count: number;
  /** How many ranges they are, as Patch of the agent's wire has them; 0: one. */
  ranges: number;
  /** Where in the file the last of them ends. */
  end: number;
  /** Where to look on. */
  next: number;
}

export class Shelf implements Disposable {
  readonly #shelf: Deno.PointerObject;
  readonly #words = new BigInt64Array(5);

  /** Serves at a socket of this path. Throws when that cannot be. */
  constructor(path: string) {
    const error = new Int32Array(1);
    const shelf = sys.shelf_open(cString(path), error);
    if (!shelf) throw new Error(`Cannot serve written files at "${path}": error ${-error[0]!}`);
    this.#shelf = shelf;
  }

  /** A new, empty file. `name` is what the kernel calls it. 0 or -errno. */
  put(number: bigint, name: string): number {
    return sys.shelf_put(this.#shelf, number, cString(name));
  }

  /** Nobody gets it any more. No scan of it may be under way. */
  drop(number: bigint): void {
    sys.shelf_drop(this.#shelf, number);
  }

  look(number: bigint, asksWriters: boolean): Look {
    const status = sys.shelf_look(this.#shelf, number, Number(asksWriters), this.#words);
    if (status < 0) throw new Error(`Cannot look at written file ${number}: error ${-status}`);
    const [size, mtimeNs, handed, hasWriters, isOpen] = this.#words as unknown as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    return {
      size: Number(size),
      mtimeNs,
      handed: Number(handed),
      hasWriters: hasWriters !== 0n,
      isOpen: isOpen !== 0n,
    };
  }

  /** Bytes that the target has, at a multiple of 4096. */
  fill(number: bigint, offset: number, data: Uint8Array<ArrayBuffer>): number {
    return sys.shelf_fill(this.#shelf, number, BigInt(offset), data, data.length);
  }

  resize(number: bigint, size: number): number {
    return sys.shelf_resize(this.#shelf, number, BigInt(size));
  }

  /** The next bytes in [from, until) that differ, which count as sent from now on; undefined at the end; or -errno. */
  async difference(
    number: bigint,
    from: number,
    until: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<Difference | undefined | number> {
    const words = new BigUint64Array(4);
    const [first, last] = [BigInt(from), BigInt(until)];
    const count = await sys.shelf_scan(this.#shelf, number, first, last, into, into.length, words);
    if (count <= 0) return count < 0 ? count : undefined;
    const [offset, next, ranges, end] = Array.from(words, Number) as [number, number, number, number];
    return { offset, count, ranges, end, next };
  }

  /** Bytes as they are; their number, or -errno. */
  read(number: bigint, from: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
    return sys.shelf_read(this.#shelf, number, BigInt(from), into, into.length);
  }

  /** The target's file ends at `size` now. */
  cut(number: bigint, size: number): void {
    sys.shelf_cut(this.#shelf, number, BigInt(size));
  }

  /** What the target has in [from, until) is not sure any more. */
  doubt(number: bigint, from: number, until: number): void {
    sys.shelf_doubt(this.#shelf, number, BigInt(from), BigInt(until));
  }

  /** Others have written these bytes at the target: they become the file's where no program of the run has written. */
  merge(number: bigint, offset: number, data: Uint8Array<ArrayBuffer>): number {
    return sys.shelf_merge(this.#shelf, number, BigInt(offset), data, data.length);
  }

  /** Puts bytes behind all others of the file; where they lie, or -errno. */
  append(number: bigint, data: Uint8Array<ArrayBuffer>): number {
    return Number(sys.shelf_append(this.#shelf, number, data, data.length));
  }

  /** Whether programs ask after each write to it. */
  mark(number: bigint, isAsking: boolean): void {
    sys.shelf_mark(this.#shelf, number, Number(isAsking));
  }

  /** No scan may be under way. */
  [Symbol.dispose](): void {
    sys.shelf_close(this.#shelf);
  }
}
