/** Reads header blocks (RFC 7541). What was just said is not read twice: a block whose table has not changed means the same. */
import { CODE, ConnectionFault } from "./faults.ts";
import { type Field, FieldTable, FIRST_DYNAMIC, STATIC_FIELDS } from "./field_table.ts";
import { HeaderBlock, listBytesOf } from "./header_block.ts";
import { decodeHuffman } from "./huffman.ts";

/** What we say that we remember: the size that a peer assumes when nothing is said. */
export const TABLE_BYTES = 4096;
/** Names and values of a block that are kept, counted as RFC 9113 10.5.1 does. */
export const MOST_LIST_BYTES: number = 256 << 10;
const MOST_INTEGER = 1 << 28;
/** Blocks that are remembered, and how long such a block may be. */
const MOST_RECENT = 8;
const LONGEST_RECENT = 256;

interface Recent {
  readonly bytes: Uint8Array;
  readonly generation: number;
  readonly block: HeaderBlock;
}

export class FieldDecoder {
  readonly #table = new FieldTable(TABLE_BYTES);
  readonly #recent: Recent[] = [];
  #turn = 0;
  #bytes = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /** Throws `ConnectionFault`: after that the table is worth nothing. */
  decode(bytes: Uint8Array): HeaderBlock {
    const generation = this.#table.generation;
    for (const it of this.#recent) {
      if (it.generation === generation && isSame(it.bytes, bytes)) return it.block;
    }
    this.#bytes = bytes as Uint8Array<ArrayBuffer>;
    this.#at = 0;
    this.#end = bytes.length;
    const block = this.#block();
    if (this.#table.generation === generation && bytes.length <= LONGEST_RECENT) {
      this.#recent[this.#turn++ % MOST_RECENT] = { bytes: bytes.slice(), generation, block };
    }
    return block;
  }

  #block(): HeaderBlock {
    const fields: Field[] = [];
    let left = MOST_LIST_BYTES;
    while (this.#at < this.#end) {
      const field = this.#field(fields.length === 0);
      if (!field) continue;
      left -= listBytesOf(field);
      if (left >= 0) fields.push(field);
    }
    return new HeaderBlock(fields, left < 0);
  }

  /** Undefined: it was about the table. */
  #field(isFirst: boolean): Field | undefined {
    const first = this.#bytes[this.#at]!;
    if (first & 0x80) return this.#entry(this.#integer(7));
    if (first & 0x40) {
      const field = this.#literal(6, "yes");
      this.#table.insert(field);
      return field;
    }
    if (!(first & 0x20)) return this.#literal(4, first & 0x10 ? "never" : "no");
    const size = this.#integer(5);
    if (!isFirst) throw broken("The size of the table changes within a block");
    if (size > TABLE_BYTES) throw broken("The table becomes larger than was agreed");
    this.#table.resize(size);
    return undefined;
  }

  #literal(bits: number, indexing: Field["indexing"]): Field {
    const index = this.#integer(bits);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    return { name, value: this.#string(), indexing };
  }

  #entry(index: number): Field {
    const field = index < FIRST_DYNAMIC ? STATIC_FIELDS[index - 1] : this.#table.get(index - FIRST_DYNAMIC);
    if (!field) throw broken(`There is no field ${index} in the table`);
    return field;
  }

  /** RFC 7541 5.1 */
  #integer(bits: number): number {
    const mask = (1 << bits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let factor = 1;; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (value > MOST_INTEGER || factor > MOST_INTEGER) throw broken("A number is too big");
      if (byte < 0x80) return value;
    }
  }

  #string(): string {
    if (this.#at >= this.#end) throw broken("A block ends within a field");
    const isHuffman = this.#bytes[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const from = this.#at;
    if (length > this.#end - from) throw broken("A block ends within a string");
    this.#at += length;
    if (isHuffman) {
      const text = decodeHuffman(this.#bytes, from, this.#at);
      return latin1(text, 0, text.length);
    }
    return latin1(this.#bytes, from, this.#at);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw broken("A block ends within a field");
    return this.#bytes[this.#at++]!;
  }
}

function broken(message: string): ConnectionFault {
  return new ConnectionFault(CODE.compressionError, message);
}

const MOST_ARGUMENTS = 4096;

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (; to - from > MOST_ARGUMENTS; from += MOST_ARGUMENTS) {
    text += String.fromCharCode.apply(null, bytes.subarray(from, from + MOST_ARGUMENTS) as unknown as number[]);
  }
  return text + String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[]);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
