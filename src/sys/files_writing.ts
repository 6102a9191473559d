/**
 * Files below the root of another process that are written: native/sys/files_writing.c for TypeScript. As files.ts, which
 * says what paths, rights and results are.
 */
import type { PackedRights, StatWords } from "./files.ts";
import { loadSys } from "./load.ts";

const sys = loadSys({
  files_open_writing: {
    parameters: ["i32", "buffer", "u32", "u32", "u32", "buffer", "buffer", "u32", "buffer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_write: {
    parameters: ["i32", "u32", "u64", "u64", "buffer", "u32", "u32", "buffer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_reopen: { parameters: ["i32", "buffer"], result: "i32", nonblocking: true },
  files_allocate: { parameters: ["i32", "u32", "u64", "u64", "buffer"], result: "i32", nonblocking: true },
});

/** Fields of C's struct file_stat. */
const STAT_WORDS = 18;

/**
 * C's struct written: what one use of a descriptor tells and the next one needs. Words: bytes that were written, bytes that are
 * free there, whether others have changed the file since; the rest is C's own.
 */
export type WrittenWords = BigUint64Array<ArrayBuffer>;

export function newWrittenWords(): WrittenWords {
  return new BigUint64Array(7);
}

export interface OpenedForWriting {
  stat: StatWords;
  /** Bytes put into the buffer. */
  count: number;
  fd: number;
  /** Descriptor for readFileAt, undefined when all contents are in the buffer or none were wanted. */
  rest: number | undefined;
}

/** Opens or creates the file at `path` (NUL-terminated), and reads what `into` holds of it. -errno when that fails. */
export async function openForWriting(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  { flags, mode, umask }: { flags: number; mode: number; umask: number },
  rights: PackedRights,
  into: Uint8Array<ArrayBuffer>,
  news: WrittenWords,
): Promise<OpenedForWriting | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const fds = new Int32Array(2);
  const how = [flags, mode, umask] as const;
  const count = await sys.files_open_writing(root, path, ...how, rights, into, into.length, stat, fds, news);
  if (count < 0) return count;
  return { stat, count, fd: fds[0]!, rest: fds[1]! < 0 ? undefined : fds[1]! };
}

export interface Writing {
  /** Bits as the wire's Write has them. */
  then: number;
  size: bigint;
  offset: bigint;
  data: Uint8Array<ArrayBuffer>;
  /** How many ranges `data` is, as the wire's Patch has them; 0: it is one. */
  ranges: number;
}

/** Sets the size, writes and synchronizes, as `then` says; what follows a failure is not done, but for the stat. */
export async function writeFile(
  fd: number,
  what: Writing,
  rights: PackedRights,
  news: WrittenWords,
): Promise<{ status: number; stat: StatWords }> {
  const stat = new BigUint64Array(STAT_WORDS);
  const { then, size, offset, data, ranges } = what;
  const status = await sys.files_write(fd, then, size, offset, data, data.length, ranges, rights, stat, news);
  return { status, stat };
}

/** A descriptor that reads what `fd` writes; -errno when that is not allowed. */
export function reopenForReading(fd: number, rights: PackedRights): Promise<number> {
  return sys.files_reopen(fd, rights);
}

export function allocateFile(
  fd: number,
  mode: number,
  offset: bigint,
  length: bigint,
  rights: PackedRights,
): Promise<number> {
  return sys.files_allocate(fd, mode, offset, length, rights);
}
