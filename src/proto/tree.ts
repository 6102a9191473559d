/**
 * Calls that change the target's tree or the metadata of what is in it: the same messages on both wires.
 *
 * Paths are absolute; the agent resolves them below the target's root, and the last component as the system call does: a
 * slash at the end, `.` and `..` arrive as the program gave them. Those of TREE are answered by Done.
 * `dev` and `ino` are those of an open file that the call is about, or 0: when the path leads to another one by now, the
 * answer is ESTALE. Where the path of such a file is empty, `ino` is its number as one that is written: on the shelf, or its
 * handle at the agent. `isFollowing` says whether a symbolic link at the end is followed.
 */
import type { Schema } from "./schema.ts";

export const TREE = {
  Rename: { id: 80, doc: "renameat2(2)", fields: { flags: "u32", from: "bytes", to: "bytes" } },
  Link: {
    id: 81,
    doc: "linkat(2); `dev` and `ino` tell what `from` has to be",
    fields: { isFollowing: "bool", dev: "u64", ino: "u64", from: "bytes", to: "bytes" },
  },
  Symlink: { id: 82, doc: "symlink(2): `text` becomes its contents", fields: { path: "bytes", text: "bytes" } },
  MakeNode: {
    id: 83,
    doc: "mkdir(2) when `mode` says S_IFDIR, else mknod(2); `umask` is the program's",
    fields: { mode: "u32", umask: "u32", device: "u64", path: "bytes" },
  },
  Remove: {
    id: 84,
    doc: "`kinds` 0: unlink(2); 1: rmdir(2); 2: remove(3), whichever it is",
    fields: { kinds: "u8", path: "bytes" },
  },
  SetMode: {
    id: 85,
    doc: "chmod(2)",
    fields: { isFollowing: "bool", dev: "u64", ino: "u64", mode: "u32", path: "bytes" },
  },
  SetOwner: {
    id: 86,
    doc: "chown(2); 2^32-1 leaves an id as it is",
    fields: { isFollowing: "bool", dev: "u64", ino: "u64", uid: "u32", gid: "u32", path: "bytes" },
  },
  SetTimes: {
    id: 87,
    doc: "utimensat(2), with UTIME_NOW and UTIME_OMIT among the nanoseconds",
    fields: {
      isFollowing: "bool",
      dev: "u64",
      ino: "u64",
      atimeSec: "i64",
      atimeNsec: "u32",
      mtimeSec: "i64",
      mtimeNsec: "u32",
      path: "bytes",
    },
  },
  Truncate: { id: 88, doc: "truncate(2)", fields: { size: "i64", path: "bytes" } },
  SetAttribute: {
    id: 89,
    doc: "setxattr(2); `how` are its flags",
    fields: { isFollowing: "bool", dev: "u64", ino: "u64", how: "u32", name: "bytes", path: "bytes", value: "bytes" },
  },
  RemoveAttribute: {
    id: 90,
    doc: "removexattr(2)",
    fields: { isFollowing: "bool", dev: "u64", ino: "u64", name: "bytes", path: "bytes" },
  },
} as const satisfies Schema;

/** Questions about extended attributes, on both wires, too. */
export const ATTRIBUTES = {
  GetAttribute: {
    id: 91,
    doc: "getxattr(2); listxattr(2) when `name` is empty",
    fields: { isFollowing: "bool", dev: "u64", ino: "u64", name: "bytes", path: "bytes" },
  },
  AttributeReply: { id: 92, doc: "", fields: { errno: "i32", value: "bytes" } },
} as const satisfies Schema;

/** What `Remove` takes away. */
export const REMOVES = { file: 0, directory: 1, either: 2 } as const;
