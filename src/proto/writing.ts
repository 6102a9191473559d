/** The part of the agent's wire about files that a run writes (docs/decisions/0011, 0041). */
import type { Schema } from "./schema.ts";

/** A file system of which nobody knows that it has an end. */
export const UNBOUNDED = 0x7fff_ffff_ffff_ffffn;

/** Bits of `then` in Write. */
export const WRITE = { setSize: 1, sync: 2, syncData: 4, stat: 8, close: 16 } as const;

export const WRITING = {
  OpenWriting: {
    id: 70,
    doc: "open(2) for writing or creating; `umask` is the program's. With `inlineBytes` 0 the contents are " +
      "not wanted",
    fields: { path: "bytes", flags: "u32", mode: "u32", umask: "u32", inlineBytes: "u32" },
  },
  WritingReply: {
    id: 71,
    doc:
      "`handle` serves Write. `restHandle` is 0 when `data` is all of the contents, else it serves ReadAt. `free`: bytes " +
      "that its file system can still take, of this user; canPatch: Patch and ReadWriting are known here",
    fields: {
      errno: "i32",
      stat: "stat",
      handle: "u64",
      restHandle: "u64",
      free: "u64",
      canPatch: "bool",
      data: "bytes",
    },
    absent: { free: UNBOUNDED, canPatch: false },
  },
  Write: {
    id: 72,
    doc:
      "as `then` says: 1 ftruncate(2) to `size` first; the data at `offset` (at the end, if O_APPEND); then 2 fsync(2), " +
      "4 fdatasync(2), 8 stat, 16 close, whatever went wrong before. Those of one handle happen in their order",
    fields: { handle: "u64", then: "u32", size: "u64", offset: "u64", data: "bytes" },
  },
  Written: {
    id: 73,
    doc: "the stat is there if it was asked for. `done`: bytes that were written, also before an error; `free` as in " +
      "WritingReply; isChanged: by size or time, others have changed the file since this handle was opened or last used",
    fields: { errno: "i32", stat: "stat", done: "u64", free: "u64", isChanged: "bool" },
    absent: { done: 0n, free: UNBOUNDED, isChanged: false },
  },
  Patch: {
    id: 190,
    doc: "Write of several ranges: `data` are their bytes, then for each two u32, distance from `offset` and length",
    fields: { handle: "u64", then: "u32", size: "u64", offset: "u64", ranges: "u32", data: "bytes" },
  },
  ReadWriting: {
    id: 191,
    doc: "pread(2) of a handle that serves Write, after what was asked of it before; answered by ReadReply",
    fields: { handle: "u64", offset: "u64", length: "u32" },
  },
  Allocate: {
    id: 74,
    doc: "fallocate(2) of a handle that serves Write",
    fields: { handle: "u64", mode: "u32", offset: "u64", length: "u64" },
  },
} as const satisfies Schema;
