/**
 * JSONPath (RFC 9535) without its filter expressions: names, indices, slices, wildcards, descendants. The work is bounded by the
 * size of the value times the length of the path: a container is looked at once for each segment, however it was reached.
 */

type Selector =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "slice"; readonly from?: number; readonly to?: number; readonly step: number }
  | { readonly kind: "any" };

interface Segment {
  readonly isDeep: boolean;
  readonly selectors: readonly Selector[];
}

export type JsonPath = readonly Segment[];

const MOST_CHARACTERS = 4096;
const NAME = /[\p{L}_][\p{L}\p{N}_]*|\*/uy;
const QUOTED = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/uy;
const SLICE = /(-?\d{1,15})?\s*:\s*(-?\d{1,15})?\s*(?::\s*(-?\d{1,15})?)?/y;
const INDEX = /-?\d{1,15}|\*/y;
const BLANKS = /\s*/y;

class Reader {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#text.length;
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.#text);
    if (!match) return undefined;
    this.at = pattern.lastIndex;
    return match;
  }

  takeText(text: string): boolean {
    if (!this.#text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  fail(what: string): never {
    throw new SyntaxError(`${what} at character ${this.at + 1}`);
  }
}

/** Throws `SyntaxError`. */
export function parseJsonPath(text: string): JsonPath {
  if (text.length > MOST_CHARACTERS) throw new SyntaxError(`it is longer than ${MOST_CHARACTERS} characters`);
  const reader = new Reader(text.trim());
  if (!reader.takeText("$")) reader.fail('there is no "$"');
  const segments: Segment[] = [];
  while (!reader.isAtEnd) segments.push(readSegment(reader));
  return segments;
}

function readSegment(reader: Reader): Segment {
  reader.take(BLANKS);
  const isDeep = reader.takeText("..");
  if (reader.takeText("[")) return { isDeep, selectors: readSelectors(reader) };
  if (!isDeep && !reader.takeText(".")) reader.fail('there is neither "." nor "["');
  const name = reader.take(NAME)?.[0] ?? reader.fail("there is no name");
  return { isDeep, selectors: [name === "*" ? { kind: "any" } : { kind: "name", name }] };
}

function readSelectors(reader: Reader): Selector[] {
  const selectors: Selector[] = [];
  do {
    reader.take(BLANKS);
    selectors.push(readSelector(reader));
    reader.take(BLANKS);
  } while (reader.takeText(","));
  if (!reader.takeText("]")) reader.fail('there is no "]"');
  return selectors;
}

function readSelector(reader: Reader): Selector {
  if (reader.takeText("?")) reader.fail("filter expressions are not supported");
  const quoted = reader.take(QUOTED)?.[0];
  if (quoted !== undefined) return { kind: "name", name: unquoted(quoted) };
  const slice = reader.take(SLICE);
  if (slice) {
    const [, from, to, step] = slice;
    return {
      kind: "slice",
      ...(from === undefined ? {} : { from: Number(from) }),
      ...(to === undefined ? {} : { to: Number(to) }),
      step: Number(step ?? 1),
    };
  }
  const index = reader.take(INDEX)?.[0] ?? reader.fail("there is no name, index or slice");
  return index === "*" ? { kind: "any" } : { kind: "index", index: Number(index) };
}

function unquoted(quoted: string): string {
  const inner = quoted.slice(1, -1);
  if (quoted[0] === '"') return JSON.parse(quoted) as string;
  return JSON.parse(`"${inner.replaceAll("\\'", "'").replaceAll('"', '\\"')}"`) as string;
}

/** What the path leads to. */
export function selectJson(path: JsonPath, root: unknown): unknown[] {
  let found: unknown[] = [root];
  for (const { isDeep, selectors } of path) {
    const next: unknown[] = [];
    for (const container of isDeep ? withDescendants(found) : containersOf(found)) {
      for (const selector of selectors) select(selector, container, next);
    }
    found = next;
  }
  return found;
}

function containersOf(values: readonly unknown[]): Set<object> {
  return new Set(values.filter((it): it is object => typeof it === "object" && it !== null));
}

function withDescendants(values: readonly unknown[]): Set<object> {
  const all = containersOf(values);
  // A set hands out what is added while it is gone through.
  for (const container of all) {
    for (const inner of Object.values(container)) if (typeof inner === "object" && inner !== null) all.add(inner);
  }
  return all;
}

function select(selector: Selector, container: object, into: unknown[]): void {
  if (selector.kind === "any") {
    for (const value of Object.values(container)) into.push(value);
  } else if (selector.kind === "name") {
    if (!Array.isArray(container) && Object.hasOwn(container, selector.name)) {
      into.push((container as Record<string, unknown>)[selector.name]);
    }
  } else if (Array.isArray(container)) {
    if (selector.kind === "slice") return selectSlice(selector, container, into);
    const at = selector.index < 0 ? container.length + selector.index : selector.index;
    if (at >= 0 && at < container.length) into.push(container[at]);
  }
}

/** RFC 9535 2.3.4.2.2 */
function selectSlice(
  { from, to, step }: Extract<Selector, { kind: "slice" }>,
  array: readonly unknown[],
  into: unknown[],
): void {
  const { length } = array;
  const within = (at: number, least: number, most: number) =>
    Math.min(Math.max(at < 0 ? length + at : at, least), most);
  if (step > 0) {
    const end = within(to ?? length, 0, length);
    for (let at = within(from ?? 0, 0, length); at < end; at += step) into.push(array[at]);
  } else if (step < 0) {
    const end = to === undefined ? -1 : within(to, -1, length - 1);
    for (let at = within(from ?? length - 1, -1, length - 1); at > end; at += step) into.push(array[at]);
  }
}
