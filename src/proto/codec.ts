/**
 * The binary codec of the layer wire: walks any schema, so it is written once for all messages.
 *
 * Little-endian. `str` and `bytes` are a u32 length and that many bytes; `bool` is one byte, 0 or 1. What is decoded is
 * checked: a frame that is too short, too long or holds an unknown type is a `WireError`.
 */
import { WireError } from "../base/errors.ts";
import { utf8 } from "../base/bytes.ts";
import { type FieldKind, type MessageOf, type Schema, type Stat, STAT_FIELDS } from "./schema.ts";

/** Bytes before a frame's fields: u32 length of what follows it, u8 type, u32 id. */
export const FRAME_HEAD_BYTES = 9;

type Value = boolean | number | bigint | string | Uint8Array | Stat;

export interface Codec<M> {
  /** A whole frame, length word included. */
  encode(message: M, id: number): Uint8Array<ArrayBuffer>;
  /** `frame` is what follows the length word. Byte fields share its memory. Throws `WireError`. */
  decode(frame: Uint8Array): M & { id: number };
}

export function makeCodec<S extends Schema>(schema: S): Codec<MessageOf<S>> {
  const known = Object.entries(schema).map(([type, { id, fields }]) => ({ type, id, fields: fieldsOf(fields) }));
  const byId = new Map(known.map((it) => [it.id, it]));
  const byType = new Map(known.map((it) => [it.type, it]));
  return {
    encode(message, id) {
      const decl = byType.get(message.type as string)!;
      const values: Value[] = [];
      let size = FRAME_HEAD_BYTES;
      for (const { name, kind } of decl.fields) {
        const value = prepare((message as unknown as Record<string, Value>)[name], kind);
        values.push(value);
        size += sizeOf(value, kind);
      }
      const writer = new Writer(size);
      writer.u32(size - 4);
      writer.u8(decl.id);
      writer.u32(id);
      for (let at = 0; at < values.length; at++) writer.put(values[at]!, decl.fields[at]!.kind);
      return writer.bytes;
    },
    decode(frame) {
      const reader = new Reader(frame);
      const typeId = reader.u8();
      const decl = byId.get(typeId);
      if (!decl) throw new WireError(`Unknown message type ${typeId}`);
      const message: Record<string, unknown> = { type: decl.type, id: reader.u32() };
      for (const { name, kind } of decl.fields) message[name] = reader.take(kind);
      if (!reader.isAtEnd()) throw new WireError(`A "${decl.type}" frame has bytes too many`);
      return message as MessageOf<S> & { id: number };
    },
  };
}

/** Once: every message of its type is walked by it. */
function fieldsOf(fields: Readonly<Record<string, FieldKind>>): { name: string; kind: FieldKind }[] {
  return Object.entries(fields).map(([name, kind]) => ({ name, kind }));
}

function prepare(value: Value | undefined, kind: FieldKind): Value {
  if (value === undefined) throw new TypeError(`Cannot encode: a field of kind "${kind}" is missing`);
  return kind === "str" ? utf8(value as string) : value;
}

const FIXED_SIZES = { bool: 1, u8: 1, u16: 2, u32: 4, u64: 8, i32: 4, i64: 8 } as const;
const STAT_BYTES = STAT_FIELDS.reduce((sum, [, kind]) => sum + FIXED_SIZES[kind], 0);

function sizeOf(value: Value, kind: FieldKind): number {
  if (kind === "str" || kind === "bytes") return 4 + (value as Uint8Array).length;
  return kind === "stat" ? STAT_BYTES : FIXED_SIZES[kind];
}

class Writer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  put(value: Value, kind: FieldKind): void {
    switch (kind) {
      case "bool":
        return this.u8(value ? 1 : 0);
      case "u8":
        return this.u8(value as number);
      case "u16":
        this.#view.setUint16(this.#at, value as number, true);
        this.#at += 2;
        return;
      case "u32":
      case "i32":
        return this.u32(value as number);
      case "u64":
      case "i64":
        this.#view.setBigUint64(this.#at, BigInt.asUintN(64, value as bigint), true);
        this.#at += 8;
        return;
      case "str":
      case "bytes":
        this.u32((value as Uint8Array).length);
        this.bytes.set(value as Uint8Array, this.#at);
        this.#at += (value as Uint8Array).length;
        return;
      case "stat":
        for (const [name, fieldKind] of STAT_FIELDS) this.put((value as Stat)[name], fieldKind);
    }
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  take(kind: FieldKind): unknown {
    switch (kind) {
      case "bool":
        return this.u8() !== 0;
      case "u8":
        return this.u8();
      case "u16":
        return this.#view.getUint16(this.#advance(2), true);
      case "u32":
        return this.u32();
      case "i32":
        return this.#view.getInt32(this.#advance(4), true);
      case "u64":
        return this.#view.getBigUint64(this.#advance(8), true);
      case "i64":
        return this.#view.getBigInt64(this.#advance(8), true);
      case "str":
        return decodeText(this.#take(this.u32()));
      case "bytes":
        return this.#take(this.u32());
      case "stat":
        return Object.fromEntries(STAT_FIELDS.map(([name, fieldKind]) => [name, this.take(fieldKind)]));
    }
  }

  #take(length: number): Uint8Array {
    const from = this.#advance(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** Where the next `length` bytes begin, having stepped over them. */
  #advance(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) throw new WireError("A frame ends in the middle of a field");
    this.#at = from + length;
    return from;
  }
}

const strictText = new TextDecoder("utf-8", { fatal: true });

function decodeText(bytes: Uint8Array): string {
  try {
    return strictText.decode(bytes);
  } catch (error) {
    throw new WireError("A text field is not UTF-8", { cause: error });
  }
}
