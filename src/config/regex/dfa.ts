/**
 * Many regular expressions as one deterministic machine over bytes: which of several ranks of expressions match a text,
 * the first rank first, found in one pass, one look-up a byte. The table is run by native/patterns.c; `runTable` runs it here.
 *
 * Layout, little-endian: u32 states, u8 shift, u8 0, u16 start, u8 classOf[256], u8 rankOf[states], 0 to an even place,
 * u16 next[states << shift]. A state below `RESTING` is at rest: no byte leads out of it. `rankOf` tells what a text that ends in a
 * state comes to; 0 is none.
 */
import { holds, type Kind, kindOf } from "./match.ts";
import { RegexError } from "./parse.ts";
import { armFor, type Program, type State } from "./program.ts";

/** Ranks are 1 to 4. */
export const RANKS = 4;
export const RESTING = RANKS + 1;
export const TABLE_HEAD_BYTES = 8 + 256;
/** Both tables of a run go into one frame of 4 MiB. */
export const MAX_TABLE_BYTES = 3 << 19;
const MAX_DFA_STATES = 0xffff;

/** `expressions[rank - 1]` are those of a rank. Throws `RegexError` when it would be too big. Empty when there is none. */
export function compileTable(expressions: readonly (readonly Program[])[]): Uint8Array {
  return expressions.some((it) => it.length > 0) ? new Builder(expressions).build() : new Uint8Array();
}

/** As native/patterns.c runs it. */
export function runTable(table: Uint8Array, text: Uint8Array): number {
  if (table.length === 0) return 0;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const count = view.getUint32(0, true);
  const next = (TABLE_HEAD_BYTES + count + 1) & ~1;
  let state = view.getUint16(6, true);
  for (const byte of text) {
    if (state < RESTING) break;
    state = view.getUint16(next + 2 * ((state << table[4]!) + table[8 + byte]!), true);
  }
  return table[TABLE_HEAD_BYTES + state]!;
}

/** NFA states that read a byte or wait for an assertion, what came before, and the best rank so far (0: none). */
interface Live {
  readonly threads: readonly number[];
  readonly before: Kind;
  readonly rank: number;
}

class Builder {
  readonly #states: State[] = [];
  readonly #rankOf: number[] = [];
  readonly #starts: number[] = [];
  readonly #classOf = new Uint8Array(256);
  readonly #classes: number[];
  readonly #ids = new Map<string, number>();
  readonly #sets: Live[] = [];
  readonly #end: number[] = [];
  readonly #next: number[][] = [];
  readonly #hasAssertions: boolean;

  constructor(expressions: readonly (readonly Program[])[]) {
    expressions.forEach((programs, index) => programs.forEach((it) => this.#adopt(it, index + 1)));
    this.#hasAssertions = this.#states.some((it) => it.op === "assert");
    this.#classes = this.#divide();
  }

  /** Appends the states of one expression; one that may begin anywhere gets a loop before it. */
  #adopt(program: Program, rank: number): void {
    const base = this.#states.length;
    for (const it of program.states) {
      this.#rankOf.push(rank);
      if (it.op === "split") this.#states.push({ op: "split", nexts: it.nexts.map((next) => next + base) });
      else if (it.op === "byte") {
        this.#states.push({ op: "byte", arms: it.arms.map((arm) => ({ ...arm, next: arm.next + base })) });
      } else this.#states.push(it.op === "match" ? it : { ...it, next: it.next + base });
    }
    const start = program.start + base;
    if (program.isAnchored) {
      this.#starts.push(start);
      return;
    }
    const head = this.#states.length;
    const anything: State = { op: "byte", arms: [{ low: 0, high: 255, next: head }] };
    this.#states.push({ op: "split", nexts: [start, head + 1] }, anything);
    this.#rankOf.push(rank, rank);
    this.#starts.push(head);
  }

  /** Bytes that no expression tells apart are one class. Returns one byte of each. */
  #divide(): number[] {
    const isCut = new Uint8Array(257);
    for (const { low, high } of this.#states.flatMap((it) => it.op === "byte" ? it.arms : [])) {
      isCut[low] = isCut[high + 1] = 1;
    }
    if (this.#hasAssertions) {
      for (let byte = 1; byte < 256; byte++) if (kindOf(byte) !== kindOf(byte - 1)) isCut[byte] = 1;
    }
    const samples = [0];
    for (let byte = 1; byte < 256; byte++) {
      if (isCut[byte]) samples.push(byte);
      this.#classOf[byte] = samples.length - 1;
    }
    return samples;
  }

  build(): Uint8Array {
    for (let rank = 0; rank <= RANKS; rank++) this.#idOf({ threads: [], before: "other", rank });
    const start = this.#idOf(this.#closed(this.#starts, "edge", 0));
    const shift = Math.ceil(Math.log2(this.#classes.length));
    for (let id = 0; id < this.#sets.length; id++) {
      const bytes = TABLE_HEAD_BYTES + this.#sets.length * (1 + (2 << shift));
      if (bytes > MAX_TABLE_BYTES || this.#sets.length > MAX_DFA_STATES) {
        throw new RegexError(
          "together they are too big to be decided quickly: (?-u) in front of \\w, or fewer of {n,m}",
        );
      }
      this.#end[id] = this.#stepped(id, undefined).rank;
      this.#next[id] = this.#classes.map((byte) => id < RESTING ? id : this.#idOf(this.#stepped(id, byte)));
    }
    return this.#table(start, shift);
  }

  #idOf(set: Live): number {
    const key = `${set.rank} ${set.before} ${set.threads.join(" ")}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#sets.push(set) - 1;
    this.#ids.set(key, id);
    return id;
  }

  /** After a byte, or the end of the text. */
  #stepped(id: number, byte: number | undefined): Live {
    const { threads, before, rank } = this.#sets[id]!;
    const behind = kindOf(byte);
    const ready = this.#hasAssertions ? this.#closed(threads, before, rank, behind) : { threads, rank };
    const targets: number[] = [];
    for (const thread of ready.threads) {
      const it = this.#states[thread]!;
      const arm = it.op === "byte" && byte !== undefined ? armFor(it, byte) : undefined;
      if (arm) targets.push(arm.next);
    }
    return this.#closed(targets, behind, ready.rank);
  }

  /** Follows what takes no byte. Without `behind` assertions wait; with it they are decided. */
  #closed(from: readonly number[], before: Kind, best: number, behind?: Kind): Live {
    let rank = best;
    const seen = new Set<number>();
    const waiting: number[] = [];
    const stack = [...from];
    while (stack.length > 0) {
      const state = stack.pop()!;
      if (seen.has(state)) continue;
      seen.add(state);
      const it = this.#states[state]!;
      if (it.op === "split") stack.push(...it.nexts);
      else if (it.op === "save") stack.push(it.next);
      else if (it.op === "match") rank = rank === 0 ? this.#rankOf[state]! : Math.min(rank, this.#rankOf[state]!);
      else if (it.op === "assert" && behind !== undefined) {
        if (holds(it.what, before, behind)) stack.push(it.next);
      } else waiting.push(state);
    }
    // What comes too late for its rank to count is let go.
    const threads = waiting.filter((it) => rank === 0 || this.#rankOf[it]! < rank).sort((a, b) => a - b);
    const isLookingBack = threads.some((it) => this.#states[it]!.op === "assert");
    return { threads, before: isLookingBack ? before : "other", rank };
  }

  #table(start: number, shift: number): Uint8Array {
    const count = this.#sets.length;
    const next = (TABLE_HEAD_BYTES + count + 1) & ~1;
    const table = new Uint8Array(next + 2 * (count << shift));
    const view = new DataView(table.buffer);
    view.setUint32(0, count, true);
    view.setUint8(4, shift);
    view.setUint16(6, start, true);
    table.set(this.#classOf, 8);
    table.set(this.#end, TABLE_HEAD_BYTES);
    this.#next.forEach((row, id) =>
      row.forEach((to, index) => view.setUint16(next + 2 * ((id << shift) + index), to, true))
    );
    return table;
  }
}
