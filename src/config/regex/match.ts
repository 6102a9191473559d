/**
 * Runs one regular expression over bytes, in time linear in them: where it matches first, and its groups. The match is the
 * one that Perl and Rust would find: the leftmost, and of those the first by preference.
 */
import type { Assertion } from "./parse.ts";
import { armFor, type Program } from "./program.ts";

/** What stands before or behind a place in the text. */
export type Kind = "edge" | "newline" | "word" | "other";

/** Bytes beyond ASCII count as parts of words: most are letters. */
export function kindOf(byte: number | undefined): Kind {
  if (byte === undefined) return "edge";
  if (byte === 10) return "newline";
  const isWord = byte >= 0x80 || byte === 0x5f || (byte >= 0x30 && byte <= 0x39) ||
    ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a);
  return isWord ? "word" : "other";
}

export function holds(what: Assertion, before: Kind, behind: Kind): boolean {
  switch (what) {
    case "text start":
      return before === "edge";
    case "text end":
      return behind === "edge";
    case "line start":
      return before === "edge" || before === "newline";
    case "line end":
      return behind === "edge" || behind === "newline";
    case "word boundary":
      return (before === "word") !== (behind === "word");
    case "no word boundary":
      return (before === "word") === (behind === "word");
  }
}

/** Begin and end of the match and of each group; -1 where a group took no part. */
export type Slots = readonly number[];

export function find(program: Program, text: Uint8Array): Slots | undefined {
  const slotCount = 2 * (program.groupCount + 1);
  let found: Slots | undefined;
  let threads = new Map<number, Slots>();
  const fresh: Slots = new Array(slotCount).fill(-1);
  for (let at = 0; at <= text.length; at++) {
    const before = kindOf(at > 0 ? text[at - 1] : undefined);
    const behind = kindOf(text[at]);
    const ready = new Map<number, Slots>();
    for (const [state, slots] of threads) follow(program, state, slots, { at, before, behind, ready });
    const mayBegin = !found && (at === 0 || !program.isAnchored);
    if (mayBegin) follow(program, program.start, fresh, { at, before, behind, ready });
    if (ready.size === 0 && !mayBegin) break;
    threads = new Map();
    for (const [state, slots] of ready) {
      const it = program.states[state]!;
      if (it.op === "match") {
        found = slots;
        break; // those after it are less preferred
      }
      const byte = text[at];
      const arm = it.op === "byte" && byte !== undefined ? armFor(it, byte) : undefined;
      if (arm && !threads.has(arm.next)) threads.set(arm.next, slots);
    }
  }
  return found;
}

interface Place {
  readonly at: number;
  readonly before: Kind;
  readonly behind: Kind;
  /** States that read a byte or are the end, in the order of preference. */
  readonly ready: Map<number, Slots>;
}

function follow(program: Program, first: number, firstSlots: Slots, place: Place): void {
  const seen = new Set<number>();
  const stack: [number, Slots][] = [[first, firstSlots]];
  while (stack.length > 0) {
    const [state, slots] = stack.pop()!;
    if (seen.has(state) || place.ready.has(state)) continue;
    seen.add(state);
    const it = program.states[state]!;
    if (it.op === "split") { for (const next of [...it.nexts].reverse()) stack.push([next, slots]); }
    else if (it.op === "save") stack.push([it.next, slots.with(it.slot, place.at)]);
    else if (it.op === "assert") {
      if (holds(it.what, place.before, place.behind)) stack.push([it.next, slots]);
    } else place.ready.set(state, slots);
  }
}

export function matches(program: Program, text: Uint8Array): boolean {
  return find(program, text) !== undefined;
}

const DOLLAR = 0x24;

/**
 * `text` with its first match replaced; undefined when there is none. In `replacement`, $1, $name and ${name} stand for
 * groups, $0 for the match and $$ for a dollar; a name reaches as far as letters, digits and _ do.
 */
export function replace(program: Program, text: Uint8Array, replacement: Uint8Array): Uint8Array | undefined {
  const slots = find(program, text);
  if (!slots) return undefined;
  const parts: Uint8Array[] = [text.subarray(0, slots[0])];
  for (let at = 0; at < replacement.length;) {
    const dollar = replacement.indexOf(DOLLAR, at);
    parts.push(replacement.subarray(at, dollar === -1 ? undefined : dollar));
    if (dollar === -1) break;
    const rest = new TextDecoder("latin1").decode(replacement.subarray(dollar + 1, dollar + 200));
    const [all, braced, plain] = /^(?:\$|\{([^}]+)\}|([0-9A-Za-z_]+))/.exec(rest) ?? [];
    const name = braced ?? plain;
    if (name !== undefined) parts.push(group(program, text, slots, name));
    else parts.push(replacement.subarray(dollar, dollar + 1));
    at = dollar + 1 + (all?.length ?? 0);
  }
  parts.push(text.subarray(slots[1]));
  return joined(parts);
}

function group(program: Program, text: Uint8Array, slots: Slots, name: string): Uint8Array {
  const index = /^[0-9]+$/.test(name) ? Number(name) : program.names.get(name) ?? -1;
  const [from, to] = [slots[2 * index] ?? -1, slots[2 * index + 1] ?? -1];
  return from >= 0 && to >= 0 ? text.subarray(from, to) : new Uint8Array();
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, it) => sum + it.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
