/**
 * The Huffman code of HPACK (RFC 7541 appendix B). The code is canonical: codes of one length are in the order of their symbols, so
 * the lengths say it all. Decoding goes by half bytes through a table of states made from them.
 */
import { CODE, ConnectionFault } from "./faults.ts";

/** Bits of the code of each symbol; the last is the end of the string, which is never written. */
// deno-fmt-ignore
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28,
  28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
  22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
  28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
  30,
];
const END_SYMBOL = 256;

const codes = new Uint32Array(LENGTHS.length);
/** Inner nodes of the tree: [child of 0, child of 1]; a node when positive, the symbol `~it` when negative. */
const nodes: number[][] = [[0, 0]];
growTree();
/** By state (a node) and half byte: the next state, HAS_SYMBOL and the symbol when one is complete there; or NO_CODE. */
const steps = new Int32Array(nodes.length * 16);
const NO_CODE = -1;
const HAS_SYMBOL = 0x100;
const SYMBOL_SHIFT = 9;
/** States in which a string may end: padding is at most 7 bits, all ones (RFC 7541 5.2). */
const mayEnd = new Uint8Array(nodes.length);
fillSteps();

function growTree(): void {
  const order = [...LENGTHS.keys()].sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
  let code = 0;
  let length = LENGTHS[order[0]!]!;
  for (const symbol of order) {
    code <<= LENGTHS[symbol]! - length;
    length = LENGTHS[symbol]!;
    codes[symbol] = code;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const side = code >> bit & 1;
      if (nodes[node]![side] === 0) nodes[node]![side] = nodes.push([0, 0]) - 1;
      node = nodes[node]![side]!;
    }
    nodes[node]![code & 1] = ~symbol;
    code++;
  }
}

function fillSteps(): void {
  for (let state = 0; state < nodes.length; state++) {
    for (let half = 0; half < 16; half++) steps[state * 16 + half] = stepOf(state, half);
  }
  for (let node = 0, bits = 0; bits <= 7; bits++, node = nodes[node]![1]!) mayEnd[node] = 1;
}

function stepOf(state: number, half: number): number {
  let node = state;
  let found = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = nodes[node]![half >> bit & 1]!;
    if (next === ~END_SYMBOL) return NO_CODE;
    if (next < 0) found = HAS_SYMBOL | ~next << SYMBOL_SHIFT;
    node = next < 0 ? 0 : next;
  }
  return found | node;
}

let scratch = new Uint8Array(1 << 10);

/** The string of `bytes[from..to)`; good until the next call. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): Uint8Array {
  // The shortest code has 5 bits.
  const most = ((to - from) * 8 / 5 | 0) + 1;
  if (scratch.length < most) scratch = new Uint8Array(most * 2);
  let state = 0;
  let count = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    for (let shift = 4; shift >= 0; shift -= 4) {
      const step = steps[state * 16 + (byte >> shift & 15)]!;
      if (step === NO_CODE) throw new ConnectionFault(CODE.compressionError, "A string holds the end of a string");
      if (step & HAS_SYMBOL) scratch[count++] = step >> SYMBOL_SHIFT;
      state = step & 0xff;
    }
  }
  if (!mayEnd[state]) throw new ConnectionFault(CODE.compressionError, "A string ends in no known way");
  return scratch.subarray(0, count);
}

/** How many bytes the code of a latin1 string takes. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at++) bits += LENGTHS[text.charCodeAt(at)]!;
  return (bits + 7) >> 3;
}

/** Writes the code of a latin1 string; there has to be room for `huffmanLength`. */
export function encodeHuffman(text: string, into: Uint8Array, at: number): void {
  let held = 0;
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index);
    const code = codes[symbol]!;
    for (let left = LENGTHS[symbol]!; left > 0;) {
      const count = Math.min(8 - bits, left);
      left -= count;
      held = held << count | code >>> left & (1 << count) - 1;
      bits += count;
      if (bits < 8) continue;
      into[at++] = held;
      held = bits = 0;
    }
  }
  // RFC 7541 5.2: padded with the first bits of the end of the string, which are ones.
  if (bits > 0) into[at] = held << (8 - bits) | (1 << (8 - bits)) - 1;
}
