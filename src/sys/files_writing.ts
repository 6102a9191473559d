/**
 * Files below the root of another process that are written: native/sys/files_writing.c for TypeScript. As files.ts, which
 * says what paths, rights and results are.
 */
import type { PackedRights, StatWords } from "./files.ts";
import { loadSys } from "./load.ts";

const sys = loadSys({
  files_open_writing: {
    parameters: ["i32", "buffer", "u32", "u32", "u32", "buffer", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_write: {
    parameters: ["i32", "u32", "u64", "u64", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_allocate: { parameters: ["i32", "u32", "u64", "u64", "buffer"], result: "i32", nonblocking: true },
});

/** Fields of C's struct file_stat. */
const STAT_WORDS = 18;

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
): Promise<OpenedForWriting | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const fds = new Int32Array(2);
  const count = await sys.files_open_writing(root, path, flags, mode, umask, rights, into, into.length, stat, fds);
  if (count < 0) return count;
  return { stat, count, fd: fds[0]!, rest: fds[1]! < 0 ? undefined : fds[1]! };
}

export interface Writing {
  /** Bits as the wire's Write has them. */
  then: number;
  size: bigint;
  offset: bigint;
  data: Uint8Array<ArrayBuffer>;
}

/** Sets the size, writes, synchronizes and stats, as `then` says. -errno of what failed first; nothing follows it. */
export async function writeFile(fd: number, what: Writing, rights: PackedRights): Promise<StatWords | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const { then, size, offset, data } = what;
  const status = await sys.files_write(fd, then, size, offset, data, data.length, rights, stat);
  return status < 0 ? status : stat;
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
