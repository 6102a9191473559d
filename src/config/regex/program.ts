/**
 * A regular expression as a machine over bytes: paths are bytes, UTF-8 most of them.
 *
 * A character is matched as the bytes of its UTF-8. Where a loop runs over a set that holds every character beyond ASCII
 * (`.*`, `[^/]+`) it takes single bytes of them too: for UTF-8 that is the same, and names in other encodings match as well.
 */
import { type Assertion, type Node, type Parsed, parseRegex, RegexError } from "./parse.ts";
import { MAX_CODE_POINT, type Ranges } from "./ranges.ts";

export type State =
  /** Reads a byte; no two arms take the same. */
  | { readonly op: "byte"; readonly arms: readonly Arm[] }
  /** The first is preferred. */
  | { readonly op: "split"; nexts: readonly number[] }
  | { readonly op: "assert"; readonly what: Assertion; readonly next: number }
  /** Even slots are where a group begins, odd ones where it ends; 0 and 1 are the whole match. */
  | { readonly op: "save"; readonly slot: number; readonly next: number }
  | { readonly op: "match" };

export interface Arm {
  readonly low: number;
  readonly high: number;
  readonly next: number;
}

export interface Program {
  readonly source: string;
  readonly states: readonly State[];
  readonly start: number;
  readonly groupCount: number;
  readonly names: ReadonlyMap<string, number>;
  /** It can only match at the beginning of the text. */
  readonly isAnchored: boolean;
}

const MAX_STATES = 50_000;

/** Throws `RegexError`. */
export function compileRegex(source: string, options: { isCaseIgnored?: boolean } = {}): Program {
  const parsed = parseRegex(source, options.isCaseIgnored ?? false);
  return new Compiler(source, parsed).compile();
}

class Compiler {
  readonly #states: State[] = [];
  readonly #known = new Map<string, number>();

  constructor(readonly source: string, readonly parsed: Parsed) {}

  compile(): Program {
    const { node, groupCount, names } = this.parsed;
    const end = this.#add({ op: "save", slot: 1, next: this.#add({ op: "match" }) });
    const start = this.#add({ op: "save", slot: 0, next: this.#node(node, end) });
    const { source } = this;
    return { source, states: this.#states, start, groupCount, names, isAnchored: beginsAtStart(node) };
  }

  #add(state: State): number {
    if (this.#states.length >= MAX_STATES) throw new RegexError("it is too big (counted repetitions multiply)");
    return this.#states.push(state) - 1;
  }

  /** The state from which `node` is matched and then what `next` begins. */
  #node(node: Node, next: number): number {
    switch (node.kind) {
      case "empty":
        return next;
      case "set":
        return this.#set(node.set, node.isBytes, next);
      case "assert":
        return this.#add({ op: "assert", what: node.what, next });
      case "sequence":
        return node.parts.reduceRight((after, part) => this.#node(part, after), next);
      case "choice":
        return this.#add({ op: "split", nexts: node.parts.map((part) => this.#node(part, next)) });
      case "group": {
        const end = this.#add({ op: "save", slot: node.index * 2 + 1, next });
        return this.#add({ op: "save", slot: node.index * 2, next: this.#node(node.node, end) });
      }
      case "repeat":
        return this.#repeat(node, next);
    }
  }

  #repeat({ node, min, max, isGreedy }: Node & { kind: "repeat" }, next: number): number {
    const either = (body: number) => isGreedy ? [body, next] : [next, body];
    let at = next;
    let copies = min;
    if (max === Infinity) {
      const loop: State & { op: "split" } = { op: "split", nexts: [] };
      const head = this.#add(loop);
      const body = node.kind === "set" && !node.isBytes && holdsAllBeyondAscii(node.set)
        ? this.#lenientSet(node.set, head)
        : this.#node(node, head);
      loop.nexts = either(body);
      at = min > 0 ? body : head;
      copies = Math.max(0, min - 1);
    } else {
      for (let count = min; count < max; count++) at = this.#add({ op: "split", nexts: either(this.#node(node, at)) });
    }
    for (let count = 0; count < copies; count++) at = this.#node(node, at);
    return at;
  }

  #set(set: Ranges, isBytes: boolean, next: number): number {
    this.#known.clear(); // equal states are one where they lead to the same
    return this.#tree(isBytes ? set.map((it) => [it]) : set.flatMap(([low, high]) => utf8Sequences(low, high)), next);
  }

  /** One state for the first bytes, which of two sequences are the same or apart; behind them the states for the rest. */
  #tree(sequences: readonly ByteRanges[], next: number): number {
    const arms = [...Map.groupBy(sequences, ([first]) => `${first![0]} ${first![1]}`).values()].map((group): Arm => {
      const [low, high] = group[0]![0]!;
      return { low, high, next: group[0]!.length === 1 ? next : this.#tree(group.map((it) => it.slice(1)), next) };
    });
    const key = arms.map((it) => `${it.low} ${it.high} ${it.next}`).join(",");
    const known = this.#known.get(key) ?? this.#add({ op: "byte", arms });
    this.#known.set(key, known);
    return known;
  }

  #lenientSet(set: Ranges, next: number): number {
    const ascii = set.filter(([low]) => low < 0x80).map(([low, high]) => [low, Math.min(high, 0x7f)] as const);
    return this.#set([...ascii, [0x80, 0xff]], true, next);
  }
}

function holdsAllBeyondAscii(set: Ranges): boolean {
  const beyond = set.filter(([, high]) => high >= 0x80);
  const holes = beyond.length - 1;
  const isOnlySurrogates = holes === 0 || (holes === 1 && beyond[0]![1] === 0xd7ff && beyond[1]![0] === 0xe000);
  return beyond.length > 0 && beyond[0]![0] <= 0x80 && beyond.at(-1)![1] === MAX_CODE_POINT && isOnlySurrogates;
}

function beginsAtStart(node: Node): boolean {
  switch (node.kind) {
    case "assert":
      return node.what === "text start";
    case "sequence": {
      const first = node.parts.find((it) => !(it.kind === "assert" && it.what !== "text start"));
      return first !== undefined && beginsAtStart(first);
    }
    case "choice":
      return node.parts.every(beginsAtStart);
    case "group":
      return beginsAtStart(node.node);
    case "repeat":
      return node.min > 0 && beginsAtStart(node.node);
    default:
      return false;
  }
}

type ByteRanges = readonly (readonly [number, number])[];

/** The UTF-8 of all characters from `low` to `high`, as ranges for each byte. */
export function utf8Sequences(low: number, high: number): ByteRanges[] {
  for (const limit of [0x7f, 0x7ff, 0xffff]) {
    if (low <= limit && high > limit) return [...utf8Sequences(low, limit), ...utf8Sequences(limit + 1, high)];
  }
  if (high <= 0x7f) return [[[low, high]]];
  const count = high <= 0x7ff ? 2 : high <= 0xffff ? 3 : 4;
  for (let tail = 1; tail < count; tail++) {
    const mask = (1 << (6 * tail)) - 1;
    if ((low & ~mask) === (high & ~mask)) continue;
    // Cut so that the last bytes run from 80 to BF wherever those before them differ.
    if ((low & mask) !== 0) return [...utf8Sequences(low, low | mask), ...utf8Sequences((low | mask) + 1, high)];
    if ((high & mask) !== mask) {
      return [...utf8Sequences(low, (high & ~mask) - 1), ...utf8Sequences(high & ~mask, high)];
    }
  }
  const from = utf8Bytes(low, count);
  const to = utf8Bytes(high, count);
  return [from.map((byte, index) => [byte, to[index]!] as const)];
}

function utf8Bytes(code: number, count: number): number[] {
  const lead = [0, 0, 0xc0, 0xe0, 0xf0][count]!;
  const bytes = [lead | (code >> (6 * (count - 1)))];
  for (let shift = 6 * (count - 2); shift >= 0; shift -= 6) bytes.push(0x80 | ((code >> shift) & 0x3f));
  return bytes;
}

/** Where a state that reads a byte goes with it. */
export function armFor(state: State & { op: "byte" }, byte: number): Arm | undefined {
  return state.arms.find((it) => it.low <= byte && byte <= it.high);
}
