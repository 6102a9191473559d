/** The tables of HPACK (RFC 7541 2.3): the static one, and one that grows with what is said on a connection. */

/** Strings hold one byte a character. */
export interface Field {
  readonly name: string;
  readonly value: string;
  /** RFC 7541 6.2: may it enter a table? What says "never" has to be passed on so. */
  readonly indexing: "yes" | "no" | "never";
}

const STATIC: readonly (readonly [string, string?])[] = [
  [":authority"],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset"],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language"],
  ["accept-ranges"],
  ["accept"],
  ["access-control-allow-origin"],
  ["age"],
  ["allow"],
  ["authorization"],
  ["cache-control"],
  ["content-disposition"],
  ["content-encoding"],
  ["content-language"],
  ["content-length"],
  ["content-location"],
  ["content-range"],
  ["content-type"],
  ["cookie"],
  ["date"],
  ["etag"],
  ["expect"],
  ["expires"],
  ["from"],
  ["host"],
  ["if-match"],
  ["if-modified-since"],
  ["if-none-match"],
  ["if-range"],
  ["if-unmodified-since"],
  ["last-modified"],
  ["link"],
  ["location"],
  ["max-forwards"],
  ["proxy-authenticate"],
  ["proxy-authorization"],
  ["range"],
  ["referer"],
  ["refresh"],
  ["retry-after"],
  ["server"],
  ["set-cookie"],
  ["strict-transport-security"],
  ["transfer-encoding"],
  ["user-agent"],
  ["vary"],
  ["via"],
  ["www-authenticate"],
];

export const STATIC_FIELDS: readonly Field[] = STATIC.map(([name, value = ""]) => ({ name, value, indexing: "yes" }));
export const FIRST_DYNAMIC: number = STATIC_FIELDS.length + 1;

/** RFC 7541 4.1 */
export function sizeOf({ name, value }: Field): number {
  return name.length + value.length + 32;
}

export class FieldTable {
  readonly #fields: Field[] = [];
  readonly #onGone: (field: Field, number: number) => void;
  #capacity: number;
  #size = 0;
  #inserted = 0;
  #generation = 0;

  /** `onGone` hears of each field that leaves, with the number that `insert` gave it. */
  constructor(capacity: number, onGone: (field: Field, number: number) => void = () => {}) {
    this.#capacity = capacity;
    this.#onGone = onGone;
  }

  get capacity(): number {
    return this.#capacity;
  }

  get size(): number {
    return this.#size;
  }

  /** Changes with everything that changes the table. */
  get generation(): number {
    return this.#generation;
  }

  /** The field that was inserted so many before the last one. */
  get(age: number): Field | undefined {
    return this.#fields[this.#fields.length - 1 - age];
  }

  /** How many were inserted after the one with this number. */
  ageOf(number: number): number {
    return this.#inserted - 1 - number;
  }

  /** Answers its number. One that is too big empties the table, and is not in it (RFC 7541 4.4). */
  insert(field: Field): number {
    const size = sizeOf(field);
    this.#generation++;
    this.#shrink(this.#capacity - size);
    const number = this.#inserted++;
    if (size > this.#capacity) return number;
    this.#fields.push(field);
    this.#size += size;
    return number;
  }

  resize(capacity: number): void {
    this.#generation++;
    this.#capacity = capacity;
    this.#shrink(capacity);
  }

  #shrink(most: number): void {
    while (this.#size > most && this.#fields.length > 0) {
      const number = this.#inserted - this.#fields.length;
      const gone = this.#fields.shift()!;
      this.#size -= sizeOf(gone);
      this.#onGone(gone, number);
    }
  }
}
