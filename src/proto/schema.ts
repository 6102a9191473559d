/**
 * The vocabulary in which both wires are declared: a schema is a table of messages, a message a table of fields.
 *
 * TypeScript types come from it by inference, the C of the shim is printed from it (emit_c.ts), docs/wire.md too.
 */

/** Kinds of field. `u64`/`i64` are bigint; `str` is UTF-8; `bytes` is anything, paths above all: Linux paths are bytes. */
export type FieldKind = "bool" | "u8" | "u16" | "u32" | "u64" | "i32" | "i64" | "str" | "bytes" | "stat";

export interface MessageDecl {
  /** Never reused for another meaning. 1 to 255. */
  readonly id: number;
  readonly doc: string;
  readonly fields: Readonly<Record<string, FieldKind>>;
  /** On the agent's wire: fields that an older agent does not send, and what they are then. */
  readonly absent?: Readonly<Record<string, bigint | number | boolean>>;
}

export type Schema = Readonly<Record<string, MessageDecl>>;

/** What stat(2) tells, as statx(2) has it: times in seconds and nanoseconds, `blocks` of 512 bytes. */
export interface Stat {
  dev: bigint;
  ino: bigint;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: bigint;
  size: bigint;
  blksize: number;
  blocks: bigint;
  atimeSec: bigint;
  atimeNsec: number;
  mtimeSec: bigint;
  mtimeNsec: number;
  ctimeSec: bigint;
  ctimeNsec: number;
  btimeSec: bigint;
  btimeNsec: number;
}

/** The fields of `Stat` in their order on both wires and in the C struct. */
export const STAT_FIELDS = [
  ["dev", "u64"],
  ["ino", "u64"],
  ["mode", "u32"],
  ["nlink", "u32"],
  ["uid", "u32"],
  ["gid", "u32"],
  ["rdev", "u64"],
  ["size", "i64"],
  ["blksize", "u32"],
  ["blocks", "u64"],
  ["atimeSec", "i64"],
  ["atimeNsec", "u32"],
  ["mtimeSec", "i64"],
  ["mtimeNsec", "u32"],
  ["ctimeSec", "i64"],
  ["ctimeNsec", "u32"],
  ["btimeSec", "i64"],
  ["btimeNsec", "u32"],
] as const satisfies readonly (readonly [keyof Stat, "u32" | "u64" | "i64"])[];

interface KindTypes {
  bool: boolean;
  u8: number;
  u16: number;
  u32: number;
  u64: bigint;
  i32: number;
  i64: bigint;
  str: string;
  bytes: Uint8Array;
  stat: Stat;
}

/** The union of all messages of a schema, told apart by `type`. */
export type MessageOf<S extends Schema> = {
  [T in keyof S & string]: { type: T } & { -readonly [F in keyof S[T]["fields"]]: KindTypes[S[T]["fields"][F]] };
}[keyof S & string];

/** One message of a schema by its name. */
export type MessageNamed<S extends Schema, T extends keyof S & string> = Extract<MessageOf<S>, { type: T }>;

/** A stat of nothing: what an answer with an errno carries. */
export const NO_STAT: Stat = Object.freeze({
  dev: 0n,
  ino: 0n,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0n,
  size: 0n,
  blksize: 0,
  blocks: 0n,
  atimeSec: 0n,
  atimeNsec: 0,
  mtimeSec: 0n,
  mtimeNsec: 0,
  ctimeSec: 0n,
  ctimeNsec: 0,
  btimeSec: 0n,
  btimeNsec: 0,
});
