/**
 * Which HTTP requests a subscription is about, as Subscribe carries it: regular expressions come as tables of states made by
 * the client (src/config/regex/dfa.ts says how), so that the agent spends one look-up a byte whatever the expression is.
 */
import { utf8 } from "../base/bytes.ts";
import { parseJsonPath, selectJson } from "../base/json_path.ts";

export type HttpFilter =
  | {
    readonly kind: "header" | "path" | "method";
    /** Base64. */
    readonly table: string;
    /** What matches has one of these in it, as it came, whatever their case. Without: that is not known. */
    readonly needs?: readonly string[];
  }
  | { readonly kind: "body"; /** JSONPath. */ readonly query: string; readonly table: string }
  | { readonly kind: "jq"; readonly program: string }
  | { readonly kind: "all" | "any"; readonly of: readonly HttpFilter[] };

/** What goes with the filter of a subscription. */
export interface FilterSettings {
  /** How much of a body is waited for, and how long, before it is said not to match. */
  readonly bodyBytes: number;
  readonly bodyMs: number;
  /** How long jq may think about a request, before it is said not to match. */
  readonly jqMs: number;
  /** How long a connection may take to say whether it is HTTP. */
  readonly detectionMs: number;
  /** Answers say in a header of their own which way they came. */
  readonly marksAnswers: boolean;
  /** What the run's program answers is not to be kept by anybody. */
  readonly forbidsCaching: boolean;
}

export type FilterText = { readonly filter: HttpFilter } & FilterSettings;

/** What a filter looks at. */
export interface RequestFacts {
  readonly method: Uint8Array;
  /** As in the request line; with its query. */
  readonly target: Uint8Array;
  /** "Name: value" each. */
  readonly headers: readonly Uint8Array[];
  /** What it says in JSON; without, no filter of bodies matches. "any": all of them do. */
  readonly body?: { readonly json: unknown } | "any" | undefined;
  /** Which programs of jq its headers match; without, none. "any": all of them do. */
  readonly jq?: ReadonlyMap<string, boolean> | "any" | undefined;
}

export type RequestTest = (request: RequestFacts) => boolean;

const HEAD_BYTES = 8 + 256;
const RESTING = 5;
const MOST_NESTED = 8;
/** Of one filter; src/config/incoming.ts has the same. */
const MOST_PROGRAMS = 8;
const QUESTION_MARK = 0x3f;

export interface ReadFilter extends FilterSettings {
  readonly filter: HttpFilter;
  readonly test: RequestTest;
  readonly hasBody: boolean;
  /** Of jq. */
  readonly programs: readonly string[];
}

const MOST_BODY_BYTES = 16 << 20;
const MOST_MS = 86_400_000;
/** Of all that a query leads to, as text. */
const MOST_FOUND_CHARACTERS = 1 << 20;

/** Reads what Subscribe carries. Throws `TypeError` or `SyntaxError` when it is no filter. */
export function readHttpFilter(text: string): ReadFilter {
  const { filter, ...settings } = JSON.parse(text) as FilterText;
  const { bodyBytes, bodyMs, jqMs, detectionMs } = settings;
  const times = [bodyMs, jqMs, detectionMs].map((it) => [it, MOST_MS] as const);
  const limits = [[bodyBytes, MOST_BODY_BYTES] as const, ...times];
  if (!limits.every(([value, most]) => Number.isInteger(value) && value >= 0 && value <= most)) {
    throw new TypeError("A limit is out of range");
  }
  const marksAnswers = settings.marksAnswers === true;
  const forbidsCaching = settings.forbidsCaching === true;
  const test = testOf(filter, 0);
  const leaves = leavesOf(filter);
  const programs = [...new Set(leaves.flatMap((it) => it.kind === "jq" ? [it.program] : []))];
  if (programs.length > MOST_PROGRAMS) throw new TypeError("It has too many jq programs");
  const hasBody = leaves.some((it) => it.kind === "body");
  return { filter, test, hasBody, programs, bodyBytes, bodyMs, jqMs, detectionMs, marksAnswers, forbidsCaching };
}

function leavesOf(filter: HttpFilter): readonly HttpFilter[] {
  return filter.kind === "all" || filter.kind === "any" ? filter.of.flatMap(leavesOf) : [filter];
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
    case "body": {
      const [path, matches] = [parseJsonPath(filter.query), matcherOf(filter.table)];
      return ({ body }) => body !== undefined && (body === "any" || hasMatch(selectJson(path, body.json), matches));
    }
    case "jq": {
      const { program } = filter;
      if (typeof program !== "string") throw new TypeError("A program is no text");
      return ({ jq }) => jq === "any" || (jq?.get(program) ?? false);
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

/** Does any of these values match, as text? */
function hasMatch(values: readonly unknown[], matches: (text: Uint8Array) => boolean): boolean {
  let left = MOST_FOUND_CHARACTERS;
  for (const value of values) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    left -= text.length;
    if (left < 0) return false;
    if (matches(utf8(text))) return true;
  }
  return false;
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
