/**
 * Files below the root of another process: native/sys/files.c for TypeScript.
 *
 * Every function that may wait for a disk runs on a thread of Deno's pool, never on the main thread. Paths and results
 * are bytes; what fails is a negative errno, never an exception.
 */
import { loadSys } from "./load.ts";

const sys = loadSys({
  files_open_root: { parameters: ["buffer"], result: "i32" },
  files_set_network: { parameters: ["i32"], result: "void" },
  files_can_take_rights: { parameters: ["buffer"], result: "i32" },
  files_open: {
    parameters: ["i32", "buffer", "u32", "buffer", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_list: {
    parameters: ["i32", "buffer", "u32", "buffer", "u32", "u32", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_stat_entries: {
    parameters: ["i32", "buffer", "buffer", "u32", "buffer", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  files_read_entries: {
    parameters: ["i32", "buffer", "buffer", "u32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  files_read_at: { parameters: ["i32", "u64", "buffer", "u32"], result: "i32", nonblocking: true },
  files_stat_open: { parameters: ["i32", "buffer"], result: "i32", nonblocking: true },
  files_close: { parameters: ["i32"], result: "i32", nonblocking: true },
  files_stat: { parameters: ["i32", "buffer", "u32", "buffer", "buffer"], result: "i32", nonblocking: true },
  files_stat_fs: { parameters: ["i32", "buffer", "buffer", "buffer"], result: "i32", nonblocking: true },
  files_access: { parameters: ["i32", "buffer", "u32", "u32", "buffer"], result: "i32", nonblocking: true },
  files_read_link: { parameters: ["i32", "buffer", "buffer", "buffer", "u32"], result: "i32", nonblocking: true },
  files_real_path: { parameters: ["i32", "buffer", "buffer", "buffer", "u32"], result: "i32", nonblocking: true },
});

/** Fields of C's struct file_stat, all of 64 bits. */
const STAT_WORDS = 18;
/** C's words of a struct statfs. */
const STATFS_BYTES = 11 * 8;
/** PATH_MAX, the NUL included. */
const PATH_BYTES = 4096;

/** Whose file-system rights a process has. */
export interface Rights {
  uid: number;
  gid: number;
  groups: readonly number[];
}

/** `Rights` as the C functions want them: see `packRights`; null means this process's own. */
export type PackedRights = Uint32Array<ArrayBuffer> | null;

/** The target's rights and our own, to go back to. */
export function packRights(target: Rights, own: Rights): Uint32Array<ArrayBuffer> {
  return new Uint32Array([target, own].flatMap(({ uid, gid, groups }) => [uid, gid, groups.length, ...groups]));
}

/** Whether this process may act with these rights (it needs CAP_SETUID and CAP_SETGID). */
export function canTakeRights(rights: Uint32Array<ArrayBuffer>): boolean {
  return sys.files_can_take_rights(rights) === 1;
}

/** A descriptor for a directory that becomes "/" for the functions below, or -errno. */
export function openRoot(path: Uint8Array<ArrayBuffer>): number {
  return sys.files_open_root(path);
}

/** From now on `/proc/net` is this directory, whatever the root. False: it cannot be had. */
export function setNetworkFiles(path: Uint8Array<ArrayBuffer>): boolean {
  const directory = openRoot(path);
  if (directory >= 0) sys.files_set_network(directory);
  return directory >= 0;
}

/** C's struct file_stat: what statx(2) told, field by field. */
export type StatWords = BigUint64Array<ArrayBuffer>;

export interface Opened {
  stat: StatWords;
  /** Bytes put into the buffer. */
  count: number;
  /** Descriptor that serves the rest, undefined when all of it is in the buffer. */
  handle: number | undefined;
}

/**
 * Opens the object at `path` (NUL-terminated) and reads as much of it as `into` holds. The promise resolves to -errno
 * when that fails. `into` must be left alone until then.
 */
export async function openFile(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  flags: number,
  rights: PackedRights,
  into: Uint8Array<ArrayBuffer>,
): Promise<Opened | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const handle = new Int32Array(1);
  const count = await sys.files_open(root, path, flags, rights, into, into.length, stat, handle);
  if (count < 0) return count;
  return { stat, count, handle: handle[0]! < 0 ? undefined : handle[0]! };
}

export interface Listed extends Opened {
  /** How many of the bytes are entries; the rest are records of ENTRY_RECORD_BYTES. */
  entryBytes: number;
  /** Any other name in the directory is ENOENT. */
  isAll: boolean;
}

/** C's struct entry_record: errno and stat as the layer wire has them. */
export const ENTRY_RECORD_BYTES = 112;

/** Opens the directory at `path` as openFile does, and stats its first `statEntries` entries; `isWatched`: see watch.ts. */
export async function listDirectory(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  flags: number,
  rights: PackedRights,
  statEntries: number,
  into: Uint8Array<ArrayBuffer>,
  isWatched = false,
): Promise<Listed | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const listed = new Int32Array(3);
  const entries = [statEntries, isWatched ? 1 : 0] as const;
  const count = await sys.files_list(root, path, flags, rights, ...entries, into, into.length, stat, listed);
  if (count < 0) return count;
  const [handle, entryBytes, isAll] = listed as unknown as [number, number, number];
  return { stat, count, handle: handle < 0 ? undefined : handle, entryBytes, isAll: isAll === 1 };
}

/** Records of the entries with these NUL-terminated names of the directory at `path`; their bytes, or -errno. */
export function statEntries(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  names: Uint8Array<ArrayBuffer>,
  rights: PackedRights,
  into: Uint8Array<ArrayBuffer>,
): Promise<number> {
  return sys.files_stat_entries(root, path, names, names.length, rights, into, into.length);
}

/**
 * The small files of the directory at `path` with these NUL-terminated names, for as many as have room: record, u32 length,
 * contents, end to end. Of what is bigger than `each` bytes, or no file, the record has an errno. The bytes put; or -errno.
 */
export function readEntries(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  names: Uint8Array<ArrayBuffer>,
  rights: PackedRights,
  each: number,
  into: Uint8Array<ArrayBuffer>,
): Promise<number> {
  return sys.files_read_entries(root, path, names, names.length, rights, each, into, into.length);
}

/** Bytes read into `into`, fewer than it holds only at the end; or -errno. */
export function readFileAt(fd: number, offset: bigint, into: Uint8Array<ArrayBuffer>): Promise<number> {
  return sys.files_read_at(fd, offset, into, into.length);
}

export function closeFile(fd: number): Promise<number> {
  return sys.files_close(fd);
}

/** statfs(2): words of 64 bits, little-endian, in the order of StatFsReply; or -errno. */
export async function statFileSystem(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  rights: PackedRights,
): Promise<Uint8Array<ArrayBuffer> | number> {
  const words = new Uint8Array(STATFS_BYTES);
  const status = await sys.files_stat_fs(root, path, rights, words);
  return status < 0 ? status : words;
}

export async function statFile(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  flags: number,
  rights: PackedRights,
): Promise<StatWords | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const status = await sys.files_stat(root, path, flags, rights, stat);
  return status < 0 ? status : stat;
}

/** fstat(2). */
export async function statOpenFile(fd: number): Promise<StatWords | number> {
  const stat = new BigUint64Array(STAT_WORDS);
  const status = await sys.files_stat_open(fd, stat);
  return status < 0 ? status : stat;
}

export function accessFile(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  mode: number,
  flags: number,
  rights: PackedRights,
): Promise<number> {
  return sys.files_access(root, path, mode, flags, rights);
}

export function readLink(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  rights: PackedRights,
): Promise<Uint8Array | number> {
  return pathFrom((into, room) => sys.files_read_link(root, path, rights, into, room));
}

export function realPath(
  root: number,
  path: Uint8Array<ArrayBuffer>,
  rights: PackedRights,
): Promise<Uint8Array | number> {
  return pathFrom((into, room) => sys.files_real_path(root, path, rights, into, room));
}

/** The path that a call writes, or its -errno. */
async function pathFrom(
  call: (into: Uint8Array<ArrayBuffer>, room: number) => Promise<number>,
): Promise<Uint8Array | number> {
  const text = new Uint8Array(PATH_BYTES);
  const length = await call(text, text.length);
  return length < 0 ? length : text.subarray(0, length);
}
