/**
 * Changes of the tree below the root of another process: native/sys/files_tree.c for TypeScript.
 *
 * As in files.ts everything runs on a thread of Deno's pool; paths are NUL-terminated bytes; results are 0 or -errno.
 */
import type { PackedRights } from "./files.ts";
import { loadSys } from "./load.ts";

const sys = loadSys({
  files_rename: { parameters: ["i32", "buffer", "buffer", "u32", "buffer"], result: "i32", nonblocking: true },
  files_link: {
    parameters: ["i32", "buffer", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_link_opened: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32", nonblocking: true },
  files_symlink: { parameters: ["i32", "buffer", "buffer", "buffer"], result: "i32", nonblocking: true },
  files_make: { parameters: ["i32", "buffer", "u32", "u32", "u64", "buffer"], result: "i32", nonblocking: true },
  files_remove: { parameters: ["i32", "buffer", "u32", "buffer"], result: "i32", nonblocking: true },
  files_set_mode: {
    parameters: ["i32", "buffer", "u32", "buffer", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_set_owner: {
    parameters: ["i32", "buffer", "u32", "buffer", "u32", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_set_times: {
    parameters: ["i32", "buffer", "u32", "buffer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_truncate: { parameters: ["i32", "buffer", "i64", "buffer"], result: "i32", nonblocking: true },
  files_set_attribute: {
    parameters: ["i32", "buffer", "u32", "buffer", "buffer", "buffer", "u32", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_remove_attribute: {
    parameters: ["i32", "buffer", "u32", "buffer", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_get_attribute: {
    parameters: ["i32", "buffer", "u32", "buffer", "buffer", "buffer", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  files_entry_attributes: {
    parameters: ["i32", "buffer", "buffer", "u32", "buffer", "u32", "buffer", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
});

export type Path = Uint8Array<ArrayBuffer>;

/** Below which root, and with whose rights. */
export interface Place {
  readonly root: number;
  readonly rights: PackedRights;
}

/** What a path leads to, if that matters: see src/proto/tree.ts. */
export interface Subject {
  readonly isFollowing: boolean;
  readonly dev: bigint;
  readonly ino: bigint;
}

/** C's flag and struct identity. */
function packed({ isFollowing, dev, ino }: Subject): [number, BigUint64Array<ArrayBuffer>] {
  return [isFollowing ? 1 : 0, new BigUint64Array([dev, ino])];
}

export function rename({ root, rights }: Place, from: Path, to: Path, flags: number): Promise<number> {
  return sys.files_rename(root, from, to, flags, rights);
}

export function link({ root, rights }: Place, from: Path, subject: Subject, to: Path): Promise<number> {
  return sys.files_link(root, from, to, ...packed(subject), rights);
}

/** A name for the file that this descriptor has open. */
export function linkOpened({ root, rights }: Place, fd: number, to: Path): Promise<number> {
  return sys.files_link_opened(root, fd, to, rights);
}

export function symlink({ root, rights }: Place, text: Path, path: Path): Promise<number> {
  return sys.files_symlink(root, text, path, rights);
}

export function makeNode(
  { root, rights }: Place,
  path: Path,
  { mode, umask, device }: { mode: number; umask: number; device: bigint },
): Promise<number> {
  return sys.files_make(root, path, mode, umask, device, rights);
}

/** `kinds` is one of REMOVES. */
export function remove({ root, rights }: Place, path: Path, kinds: number): Promise<number> {
  return sys.files_remove(root, path, kinds, rights);
}

export function setMode({ root, rights }: Place, path: Path, subject: Subject, mode: number): Promise<number> {
  return sys.files_set_mode(root, path, ...packed(subject), mode, rights);
}

export function setOwner(
  { root, rights }: Place,
  path: Path,
  subject: Subject,
  { uid, gid }: { uid: number; gid: number },
): Promise<number> {
  return sys.files_set_owner(root, path, ...packed(subject), uid, gid, rights);
}

export interface Times {
  readonly atimeSec: bigint;
  readonly atimeNsec: number;
  readonly mtimeSec: bigint;
  readonly mtimeNsec: number;
}

export function setTimes({ root, rights }: Place, path: Path, subject: Subject, times: Times): Promise<number> {
  const { atimeSec, atimeNsec, mtimeSec, mtimeNsec } = times;
  const words = new BigInt64Array([atimeSec, BigInt(atimeNsec), mtimeSec, BigInt(mtimeNsec)]);
  return sys.files_set_times(root, path, ...packed(subject), words, rights);
}

export function truncate({ root, rights }: Place, path: Path, size: bigint): Promise<number> {
  return sys.files_truncate(root, path, size, rights);
}

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of Linux. */
export const ATTRIBUTE_BYTES = 65536;

/** `name` is NUL-terminated. */
export function setAttribute(
  { root, rights }: Place,
  path: Path,
  subject: Subject,
  { name, value, how }: { name: Path; value: Path; how: number },
): Promise<number> {
  return sys.files_set_attribute(root, path, ...packed(subject), name, value, value.length, how, rights);
}

export function removeAttribute({ root, rights }: Place, path: Path, subject: Subject, name: Path): Promise<number> {
  return sys.files_remove_attribute(root, path, ...packed(subject), name, rights);
}

/** Bytes put into `into`, which has ATTRIBUTE_BYTES; the names when `name` is empty but for its NUL. */
export function getAttribute(
  { root, rights }: Place,
  path: Path,
  subject: Subject,
  name: Path,
  into: Path,
): Promise<number> {
  return sys.files_get_attribute(root, path, ...packed(subject), name, into, into.length, rights);
}

/** For each entry with one of these NUL-terminated names a byte per attribute. More than `into` holds is EINVAL. */
export function entryAttributes(
  { root, rights }: Place,
  path: Path,
  { names, attributes }: { names: Path; attributes: Path },
  into: Path,
): Promise<number> {
  const sizes = [names.length, attributes.length] as const;
  return sys.files_entry_attributes(root, path, names, sizes[0], attributes, sizes[1], rights, into, into.length);
}
