/**
 * Which HTTP requests a subscription is about, as Subscribe carries it: regular expressions come as tables of states made by
 * the client (src/config/regex/dfa.ts says how), so that the agent spends one look-up a byte whatever the expression is.
 */

export type HttpFilter =
  | { readonly kind: "header" | "path" | "method"; /** Base64. */ readonly table: string }
  | { readonly kind: "all" | "any"; readonly of: readonly HttpFilter[] };

/** What a filter looks at. */
export interface RequestFacts {
  readonly method: Uint8Array;
  /** As in the request line; with its query. */
  readonly target: Uint8Array;
  /** "Name: value" each. */
  readonly headers: readonly Uint8Array[];
}

export type RequestTest = (request: RequestFacts) => boolean;

const HEAD_BYTES = 8 + 256;
const RESTING = 5;
const MOST_NESTED = 8;
const QUESTION_MARK = 0x3f;

/** Reads what Subscribe carries. Throws `TypeError` or `SyntaxError` when it is no filter. */
export function readHttpFilter(text: string): RequestTest {
  return testOf(JSON.parse(text) as HttpFilter, 0);
}

function testOf(filter: HttpFilter, depth: number): RequestTest {
  if (depth > MOST_NESTED) throw new TypeError("A filter is nested too deeply");
  switch (filter.kind) {
    case "header": {
      const matches = matcherOf(filter.table);
      return ({ headers }) => headers.some(matches);
    }
    case "path": {
      const matches = matcherOf(filter.table);
      return ({ target }) => matches(pathOf(target)) || matches(target);
    }
    case "method": {
      const matches = matcherOf(filter.table);
      return ({ method }) => matches(method);
    }
    case "all": {
      const tests = filter.of.map((it) => testOf(it, depth + 1));
      return (request) => tests.every((test) => test(request));
    }
    case "any": {
      const tests = filter.of.map((it) => testOf(it, depth + 1));
      return (request) => tests.some((test) => test(request));
    }
    default:
      throw new TypeError("There is no such kind of filter");
  }
}

function pathOf(target: Uint8Array): Uint8Array {
  const end = target.indexOf(QUESTION_MARK);
  return end < 0 ? target : target.subarray(0, end);
}

function matcherOf(table64: string): (text: Uint8Array) => boolean {
  const table = Uint8Array.fromBase64(table64);
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  if (table.length < HEAD_BYTES) throw new TypeError("A table is too short");
  const count = view.getUint32(0, true);
  const shift = table[4]!;
  const nextAt = (HEAD_BYTES + count + 1) & ~1;
  if (shift > 8 || table.length !== nextAt + 2 * count * (1 << shift)) throw new TypeError("A table is not sound");
  return (text) => {
    let state = view.getUint16(6, true);
    for (const byte of text) {
      if (state < RESTING) break;
      state = view.getUint16(nextAt + 2 * ((state << shift) + table[8 + byte]!), true);
    }
    return table[HEAD_BYTES + state]! > 0;
  };
}
