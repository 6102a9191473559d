/**
 * Reads a regular expression in the syntax of Rust's regex crate, which configuration files of this field are written in.
 *
 * What would take more than one pass over the text is refused: look-around and back-references. So are the newest kinds of
 * word boundary (\<, \b{start}) and the flag R.
 */
import { ANY, complement, difference, foldCase, intersection, perlClass, POSIX, propertyClass } from "./ranges.ts";
import { MAX_CODE_POINT, type Ranges, union, withoutSurrogates } from "./ranges.ts";

export type Assertion = "text start" | "text end" | "line start" | "line end" | "word boundary" | "no word boundary";

export type Node =
  | { readonly kind: "empty" }
  /** `isBytes`: the set is of bytes, not of characters. */
  | { readonly kind: "set"; readonly set: Ranges; readonly isBytes: boolean }
  | { readonly kind: "assert"; readonly what: Assertion }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "choice"; readonly parts: readonly Node[] }
  | {
    readonly kind: "repeat";
    readonly node: Node;
    readonly min: number;
    readonly max: number;
    readonly isGreedy: boolean;
  }
  | { readonly kind: "group"; readonly index: number; readonly node: Node };

export interface Parsed {
  readonly node: Node;
  /** Number of every named group. */
  readonly names: ReadonlyMap<string, number>;
  readonly groupCount: number;
}

/** Why a text is no regular expression that can be used; the message is the end of a sentence. */
export class RegexError extends Error {}

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  readonly U: boolean;
  readonly u: boolean;
  readonly x: boolean;
}

const MAX_REPEAT = 1000;
const MAX_DEPTH = 200;
const EMPTY: Node = { kind: "empty" };

/** Throws `RegexError`. */
export function parseRegex(source: string, isCaseIgnored: boolean): Parsed {
  const parser = new Parser(source, isCaseIgnored);
  return parser.parse();
}

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags;
  #groups = 0;
  readonly #names = new Map<string, number>();

  constructor(source: string, isCaseIgnored: boolean) {
    this.#chars = [...source];
    this.#flags = { i: isCaseIgnored, m: false, s: false, U: false, u: true, x: false };
  }

  parse(): Parsed {
    const node = this.#choice();
    if (this.#at < this.#chars.length) throw new RegexError('a ")" has no "("');
    return { node, names: this.#names, groupCount: this.#groups };
  }

  #choice(): Node {
    if (++this.#depth > MAX_DEPTH) throw new RegexError("its groups are nested too deeply");
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (true) {
      this.#skipSpace();
      const next = this.#peek();
      if (next === undefined || next === "|" || next === ")") break;
      const flagsOnly = parts.length;
      const node = this.#atom(parts);
      if (node) parts.push(this.#repeated(node));
      else if (parts.length === flagsOnly && "*+?{".includes(this.#peek() ?? "|")) throw nothingToRepeat();
    }
    return parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  /** Undefined: it was `(?flags)`, which stands for nothing. */
  #atom(before: readonly Node[]): Node | undefined {
    const char = this.#next();
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return this.#set(this.#bracket());
      case ".":
        return this.#dot();
      case "^":
        return { kind: "assert", what: this.#flags.m ? "line start" : "text start" };
      case "$":
        return { kind: "assert", what: this.#flags.m ? "line end" : "text end" };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
      case "{":
        throw nothingToRepeat(before.length > 0);
      default:
        return this.#literal(char.codePointAt(0)!);
    }
  }

  #repeated(node: Node): Node {
    let result = node;
    while (true) {
      this.#skipSpace();
      const bounds = this.#bounds();
      if (!bounds) return result;
      const isLazy = this.#take("?");
      result = { kind: "repeat", node: result, min: bounds[0], max: bounds[1], isGreedy: isLazy === this.#flags.U };
    }
  }

  #bounds(): [number, number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    if (this.#peek() !== "{") return undefined;
    const [all, low, comma, high] = /^\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}/.exec(this.#rest()) ?? [];
    if (all === undefined) throw new RegexError('a "{" is no count like {2,5} (as a character it is written "\\{")');
    this.#at += all.length;
    const min = Number(low);
    const max = comma === undefined ? min : high === "" ? Infinity : Number(high);
    if (min > max) throw new RegexError(`${all} counts backwards`);
    if (min > MAX_REPEAT || (max !== Infinity && max > MAX_REPEAT)) {
      throw new RegexError(`${all} is more than ${MAX_REPEAT} repetitions`);
    }
    return [min, max];
  }

  #group(): Node | undefined {
    const outer = this.#flags;
    let index: number | undefined;
    if (!this.#take("?")) index = ++this.#groups;
    else if (/^(P?<)(?![=!])/.test(this.#rest())) index = this.#named();
    else if (/^(<?[=!])/.test(this.#rest())) throw new RegexError("look-around like (?=…) cannot be used");
    else if (!this.#flagsOf()) return undefined;
    const node = this.#choice();
    if (!this.#take(")")) throw new RegexError('a "(" is not closed');
    this.#flags = outer;
    return index === undefined ? node : { kind: "group", index, node };
  }

  #named(): number {
    const [all, name] = /^P?<([A-Za-z_][A-Za-z0-9_.[\]]*)>/.exec(this.#rest()) ?? [];
    if (all === undefined || name === undefined) throw new RegexError("a group has no proper name");
    if (this.#names.has(name)) throw new RegexError(`two groups are called "${name}"`);
    this.#at += all.length;
    this.#names.set(name, ++this.#groups);
    return this.#groups;
  }

  /** True when a group follows them, false when they are for the rest of the group around. */
  #flagsOf(): boolean {
    const [all, on = "", off = "", end] = /^([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])/.exec(this.#rest()) ?? [];
    if (all === undefined) throw new RegexError('there is no such group as "(?' + this.#rest().slice(0, 1) + '…"');
    const wrong = [...on, ...off].find((it) => !"imsUux".includes(it));
    if (wrong !== undefined) throw new RegexError(`there is no flag "${wrong}" (known: i, m, s, U, u, x)`);
    const set = Object.fromEntries([...[...on].map((it) => [it, true]), ...[...off].map((it) => [it, false])]);
    this.#flags = { ...this.#flags, ...set };
    this.#at += all.length;
    return end === ":";
  }

  #dot(): Node {
    const newline: Ranges = this.#flags.s ? [] : [[10, 10]];
    if (!this.#flags.u) return { kind: "set", set: difference([[0, 0xff]], newline), isBytes: true };
    return { kind: "set", set: withoutSurrogates(difference(ANY, newline)), isBytes: false };
  }

  #literal(code: number): Node {
    return this.#set([[code, code]]);
  }

  /** Case is folded here: `set` is as it was written. */
  #set(set: Ranges): Node {
    const folded = this.#flags.i ? foldCase(set, this.#flags.u) : set;
    return { kind: "set", set: withoutSurrogates(folded), isBytes: false };
  }

  #escape(): Node {
    const [all] = /^(?:b\{[a-z-]*\}|[A-Za-z0-9<>])/.exec(this.#rest()) ?? [];
    const asserted: Readonly<Record<string, Assertion>> = {
      A: "text start",
      z: "text end",
      b: "word boundary",
      B: "no word boundary",
    };
    if (all !== undefined && Object.hasOwn(asserted, all)) {
      this.#at++;
      return { kind: "assert", what: asserted[all]! };
    }
    return this.#set(this.#escapedSet());
  }

  /** Behind a backslash, inside brackets or outside: one character or a class. */
  #escapedSet(): Ranges {
    const char = this.#next('a "\\" stands at the end');
    if ("dswDSW".includes(char)) {
      const set = perlClass(char.toLowerCase(), this.#flags.u);
      return char === char.toLowerCase() ? set : complement(set);
    }
    if (char === "p" || char === "P") return this.#property(char === "P");
    if (char === "x" || char === "u" || char === "U") return one(this.#hexadecimal(char));
    const control = Object.hasOwn(CONTROLS, char) ? CONTROLS[char] : undefined;
    if (control !== undefined) return one(control);
    if (/[1-9]/.test(char)) throw new RegexError(`back-references like \\${char} cannot be used`);
    if (/[A-Za-z0-9<>]/.test(char)) throw new RegexError(`there is no such escape as "\\${char}"`);
    return one(char.codePointAt(0)!);
  }

  #property(isNegated: boolean): Ranges {
    const [all, bang, braced, letter] = /^(?:\{(\^?)([^}]*)\}|([A-Za-z]))/.exec(this.#rest()) ?? [];
    const set = all === undefined ? undefined : propertyClass(letter ?? braced!);
    if (all === undefined || !set) throw new RegexError("Unicode has no such property as \\p" + (all ?? ""));
    this.#at += [...all].length;
    return isNegated !== (bang === "^") ? complement(set) : set;
  }

  #hexadecimal(kind: string): number {
    const width = kind === "x" ? 2 : kind === "u" ? 4 : 8;
    const match = new RegExp(`^(?:\\{([0-9A-Fa-f]+)\\}|([0-9A-Fa-f]{${width}}))`).exec(this.#rest());
    const code = match ? parseInt(match[1] ?? match[2]!, 16) : NaN;
    const isCharacter = code <= MAX_CODE_POINT && !(code >= 0xd800 && code <= 0xdfff);
    if (!match || !isCharacter) throw new RegexError(`\\${kind} is not followed by the number of a character`);
    this.#at += match[0].length;
    return code;
  }

  /** Behind "[": items, nested brackets, and && -- ~~ between them. */
  #bracket(): Ranges {
    if (++this.#depth > MAX_DEPTH) throw new RegexError("its brackets are nested too deeply");
    const isNegated = this.#take("^");
    let total: Ranges | undefined;
    let operator: string | undefined;
    let items: Ranges = [];
    for (let isFirst = true;; isFirst = false) {
      this.#skipSpace();
      const [sign] = /^(?:&&|--|~~)/.exec(this.#rest()) ?? [];
      const isEnd = this.#peek() === "]" && !isFirst;
      if (isEnd || sign !== undefined) {
        total = combine(total, operator, this.#flags.i ? foldCase(items, this.#flags.u) : items);
        items = [];
        operator = sign;
        this.#at += isEnd ? 1 : 2;
        if (!isEnd) continue;
        this.#depth--;
        return isNegated ? complement(total) : total;
      }
      items = union(items, this.#item());
    }
  }

  #item(): Ranges {
    const low = this.#member();
    const isRange = this.#peek() === "-" && !["]", "-", undefined].includes(this.#chars[this.#at + 1]);
    if (!isRange) return low;
    this.#at++;
    const high = this.#member();
    const [from, to] = [low[0]?.[0], high[0]?.[0]];
    const areSingle = low.length === 1 && low[0]![1] === from && high.length === 1 && high[0]![1] === to;
    if (!areSingle) throw new RegexError("a range in brackets goes from one character to one");
    if (from! > to!) throw new RegexError("a range in brackets goes backwards");
    return [[from!, to!]];
  }

  #member(): Ranges {
    const [posix, bang, name] = /^\[:(\^?)([a-z]+):\]/.exec(this.#rest()) ?? [];
    if (posix !== undefined && Object.hasOwn(POSIX, name!)) {
      this.#at += posix.length;
      return bang === "^" ? complement(POSIX[name!]!) : POSIX[name!]!;
    }
    const char = this.#next('a "[" is not closed');
    if (char === "[") return this.#bracket();
    return char === "\\" ? this.#escapedSet() : one(char.codePointAt(0)!);
  }

  #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #next(missing = "it ends too early"): string {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw new RegexError(missing);
    return char;
  }

  #take(char: string): boolean {
    const isThere = this.#peek() === char;
    if (isThere) this.#at++;
    return isThere;
  }

  #rest(): string {
    return this.#chars.slice(this.#at, this.#at + 64).join("");
  }

  /** Behind (?x), spaces and comments mean nothing. */
  #skipSpace(): void {
    while (this.#flags.x && /^[\s#]$/.test(this.#peek() ?? "")) {
      if (this.#next() === "#") { while (this.#at < this.#chars.length && this.#next() !== "\n"); }
    }
  }
}

const CONTROLS: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

function one(code: number): Ranges {
  return [[code, code]];
}

function combine(left: Ranges | undefined, operator: string | undefined, right: Ranges): Ranges {
  if (left === undefined) return right;
  if (operator === "&&") return intersection(left, right);
  return operator === "--" ? difference(left, right) : union(difference(left, right), difference(right, left));
}

function nothingToRepeat(isAgain = false): RegexError {
  return new RegexError(
    isAgain ? "a repetition follows nothing that can be repeated" : "a repetition has nothing before it",
  );
}
