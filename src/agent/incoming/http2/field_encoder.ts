/**
 * Writes header blocks (RFC 7541). Fields enter the table where their sender put them into its own; strings are written
 * plain, unless Huffman's code is asked for: both peers are near.
 */
import { type Field, FieldTable, FIRST_DYNAMIC, sizeOf, STATIC_FIELDS } from "./field_table.ts";
import { TABLE_BYTES } from "./field_decoder.ts";
import type { HeaderBlock } from "./header_block.ts";
import { encodeHuffman, huffmanLength } from "./huffman.ts";

/** Blocks that are remembered in the form that was written. */
const LONGEST_REMEMBERED = 256;

/** What a name has in the tables: the index of a static field with it, and numbers of fields by value. */
interface Named {
  readonly staticIndex: number;
  readonly staticValues: Map<string, number>;
  readonly numbers: Map<string, number>;
}

const STATIC_NAMES: ReadonlyMap<string, Omit<Named, "numbers">> = staticNames();

function staticNames(): Map<string, Omit<Named, "numbers">> {
  const names = new Map<string, Omit<Named, "numbers">>();
  STATIC_FIELDS.forEach(({ name, value }, at) => {
    if (!names.has(name)) names.set(name, { staticIndex: at + 1, staticValues: new Map() });
    names.get(name)!.staticValues.set(value, at + 1);
  });
  return names;
}

export class FieldEncoder {
  readonly #names = new Map<string, Named>();
  readonly #table = new FieldTable(TABLE_BYTES, (field, number) => this.#forget(field, number));
  readonly #isHuffman: boolean;
  #bytes = new Uint8Array(1 << 10);
  #length = 0;
  /** The smallest and the last size that the peer asked for since the last block. */
  #asked: { least: number; last: number } | undefined;

  constructor({ isHuffman = false }: { isHuffman?: boolean } = {}) {
    this.#isHuffman = isHuffman;
  }

  /** The peer remembers so much; said at the beginning of the next block (RFC 7541 4.2). */
  resize(peerBytes: number): void {
    const size = Math.min(peerBytes, TABLE_BYTES);
    if (!this.#asked && size === this.#table.capacity) return;
    this.#asked = { least: Math.min(size, this.#asked?.least ?? size), last: size };
  }

  /** Good until the next call. */
  encode(block: HeaderBlock): Uint8Array {
    const { encoded } = block;
    const generation = this.#table.generation;
    if (encoded?.encoder === this && encoded.generation === generation && !this.#asked) return encoded.bytes;
    this.#length = 0;
    if (this.#asked) this.#sayResize(this.#asked);
    const settled = this.#table.generation;
    for (const field of block.fields) this.#field(field);
    const bytes = this.#bytes.subarray(0, this.#length);
    if (settled === this.#table.generation && settled === generation && bytes.length <= LONGEST_REMEMBERED) {
      block.encoded = { encoder: this, generation, bytes: bytes.slice() };
    }
    return bytes;
  }

  #sayResize({ least, last }: { least: number; last: number }): void {
    this.#asked = undefined;
    for (const size of least < last ? [least, last] : [last]) {
      this.#table.resize(size);
      this.#integer(0x20, 5, size);
    }
  }

  #field(field: Field): void {
    const { name, value, indexing } = field;
    const named = this.#names.get(name);
    const fixed = named ?? STATIC_NAMES.get(name);
    if (indexing !== "never") {
      const index = fixed?.staticValues.get(value) ?? this.#indexOf(named?.numbers.get(value));
      if (index !== undefined) return this.#integer(0x80, 7, index);
    }
    const nameIndex = fixed?.staticIndex || this.#anyIndexOf(named?.numbers);
    const isInserted = indexing === "yes" && sizeOf(field) <= this.#table.capacity / 2;
    if (isInserted) this.#integer(0x40, 6, nameIndex);
    else this.#integer(indexing === "never" ? 0x10 : 0, 4, nameIndex);
    if (nameIndex === 0) this.#string(name);
    this.#string(value);
    if (isInserted) this.#remember(field);
  }

  #indexOf(number: number | undefined): number | undefined {
    return number === undefined ? undefined : FIRST_DYNAMIC + this.#table.ageOf(number);
  }

  #anyIndexOf(numbers: ReadonlyMap<string, number> | undefined): number {
    for (const number of numbers?.values() ?? []) return this.#indexOf(number)!;
    return 0;
  }

  #remember(field: Field): void {
    const number = this.#table.insert(field);
    let named = this.#names.get(field.name);
    if (!named) {
      const { staticIndex = 0, staticValues = new Map() } = STATIC_NAMES.get(field.name) ?? {};
      named = { staticIndex, staticValues, numbers: new Map() };
      this.#names.set(field.name, named);
    }
    named.numbers.set(field.value, number);
  }

  #forget({ name, value }: Field, number: number): void {
    const named = this.#names.get(name);
    if (named?.numbers.get(value) !== number) return;
    named.numbers.delete(value);
    if (named.numbers.size === 0) this.#names.delete(name);
  }

  #string(text: string): void {
    const coded = this.#isHuffman ? huffmanLength(text) : Infinity;
    if (coded <= text.length) {
      this.#integer(0x80, 7, coded);
      this.#reserve(coded);
      encodeHuffman(text, this.#bytes, this.#length);
      this.#length += coded;
      return;
    }
    this.#integer(0, 7, text.length);
    this.#reserve(text.length);
    for (let at = 0; at < text.length; at++) this.#bytes[this.#length++] = text.charCodeAt(at);
  }

  /** RFC 7541 5.1 */
  #integer(pattern: number, bits: number, value: number): void {
    this.#reserve(8);
    const mask = (1 << bits) - 1;
    if (value < mask) {
      this.#bytes[this.#length++] = pattern | value;
      return;
    }
    this.#bytes[this.#length++] = pattern | mask;
    let left = value - mask;
    for (; left >= 128; left >>>= 7) this.#bytes[this.#length++] = left & 0x7f | 0x80;
    this.#bytes[this.#length++] = left;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + count));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
