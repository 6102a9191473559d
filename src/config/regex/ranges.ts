/**
 * Sets of code points as sorted ranges, and what classes like \w, [[:alpha:]] and \p{Greek} come to.
 *
 * What Unicode says is asked of the runtime's own regular expressions, once and only for the classes that are used.
 */

/** Sorted, apart from each other, both ends belonging to it. */
export type Ranges = readonly (readonly [number, number])[];

export const MAX_CODE_POINT = 0x10ffff;
export const ANY: Ranges = [[0, MAX_CODE_POINT]];
const SURROGATES: Ranges = [[0xd800, 0xdfff]];

export function union(...sets: readonly Ranges[]): Ranges {
  const all = sets.flat().filter(([low, high]) => low <= high).sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [low, high] of all) {
    const last = merged.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return merged;
}

export function complement(set: Ranges, max = MAX_CODE_POINT): Ranges {
  const gaps: [number, number][] = [];
  let from = 0;
  for (const [low, high] of set) {
    if (low > from) gaps.push([from, Math.min(low - 1, max)]);
    from = high + 1;
  }
  if (from <= max) gaps.push([from, max]);
  return gaps;
}

export function intersection(a: Ranges, b: Ranges): Ranges {
  return complement(union(complement(a), complement(b)));
}

export function difference(a: Ranges, b: Ranges): Ranges {
  return intersection(a, complement(b));
}

/** Surrogates are no characters: no text has them. */
export function withoutSurrogates(set: Ranges): Ranges {
  return set.some(([low, high]) => low <= 0xdfff && high >= 0xd800) ? difference(set, SURROGATES) : set;
}

function chars(text: string): Ranges {
  return union([...text].map((it) => [it.codePointAt(0)!, it.codePointAt(0)!] as const));
}

const DIGIT: Ranges = [[0x30, 0x39]];
const UPPER: Ranges = [[0x41, 0x5a]];
const LOWER: Ranges = [[0x61, 0x7a]];
const ALPHA = union(UPPER, LOWER);
const WORD = union(ALPHA, DIGIT, chars("_"));
const SPACE = union([[9, 13]], [[32, 32]]);

/** [[:name:]], always ASCII. */
export const POSIX: Readonly<Record<string, Ranges>> = {
  alnum: union(ALPHA, DIGIT),
  alpha: ALPHA,
  ascii: [[0, 0x7f]],
  blank: chars("\t "),
  cntrl: [[0, 0x1f], [0x7f, 0x7f]],
  digit: DIGIT,
  graph: [[0x21, 0x7e]],
  lower: LOWER,
  print: [[0x20, 0x7e]],
  punct: [[0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]],
  space: SPACE,
  upper: UPPER,
  word: WORD,
  xdigit: union(DIGIT, [[0x41, 0x46], [0x61, 0x66]]),
};

/** \d, \s, \w: of Unicode, or of ASCII behind (?-u). */
export function perlClass(letter: string, isUnicode: boolean): Ranges {
  if (!isUnicode) return letter === "d" ? DIGIT : letter === "s" ? SPACE : WORD;
  if (letter === "d") return scanned(String.raw`\p{Nd}`);
  if (letter === "s") return scanned(String.raw`\p{White_Space}`);
  return scanned(String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`);
}

/** \p{name}; undefined: Unicode has no such property. */
export function propertyClass(name: string): Ranges | undefined {
  const spellings = [name, `Script=${name}`, name.replace(/^(sc|scx|gc)[=:]/, (_, kind) => `${kind}=`)];
  for (const spelling of spellings) {
    try {
      return scanned(`\\p{${spelling}}`);
    } catch {
      // Not that one.
    }
  }
  return undefined;
}

/** Planes 4 to 13 hold no characters, and what is private has no properties but being private. */
const ASSIGNED: Ranges = [[0, 0x323af], [0xe0000, 0xe01ff]];
const cache = new Map<string, Ranges>();

function scanned(source: string): Ranges {
  const known = cache.get(source);
  if (known) return known;
  const expression = new RegExp(`^${source}$`, "u");
  const found: [number, number][] = [];
  for (const [from, to] of ASSIGNED) {
    for (let code = from; code <= to; code++) {
      if (!expression.test(String.fromCodePoint(code))) continue;
      const last = found.at(-1);
      if (last && last[1] === code - 1) last[1] = code;
      else found.push([code, code]);
    }
  }
  cache.set(source, found);
  return found;
}

/** With the other cases of what is in it (Unicode's simple folding), or of ASCII's letters alone. */
export function foldCase(set: Ranges, isUnicode: boolean): Ranges {
  const added: [number, number][] = [];
  for (const [low, high] of intersection(set, UPPER)) added.push([low + 32, high + 32]);
  for (const [low, high] of intersection(set, LOWER)) added.push([low - 32, high - 32]);
  if (!isUnicode) return union(set, added);
  for (const [one, others] of FOLDED_TO_ASCII) {
    if (intersection(set, chars(one)).length > 0) added.push(...chars(others) as [number, number][]);
  }
  if (set.some(([, high]) => high > 0x7f)) {
    for (const orbit of orbits()) {
      if (orbit.some((code) => has(set, code))) added.push(...orbit.map((code): [number, number] => [code, code]));
    }
  }
  return union(set, added);
}

function has(set: Ranges, code: number): boolean {
  return set.some(([low, high]) => low <= code && code <= high);
}

/** The Kelvin sign and the long s are the letters k and s to Unicode. */
const FOLDED_TO_ASCII: readonly (readonly [string, string])[] = [
  ["k", "\u212a"],
  ["K", "\u212a"],
  ["\u212a", "kK"],
  ["s", "\u017f"],
  ["S", "\u017f"],
  ["\u017f", "sS"],
];

let knownOrbits: number[][] | undefined;

/** Characters beyond ASCII that differ in case alone, together. */
function orbits(): number[][] {
  if (knownOrbits) return knownOrbits;
  const byFold = new Map<string, number[]>();
  for (let code = 0x80; code <= 0x1e943; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const text = String.fromCodePoint(code);
    const lower = text.toLowerCase();
    const upper = text.toUpperCase();
    if (lower === text && upper === text) continue;
    // Letters whose capital is several are not the same as several letters.
    const fold = [...upper].length === 1 ? upper.toLowerCase() : lower;
    const orbit = byFold.get(fold);
    if (orbit) orbit.push(code);
    else byFold.set(fold, [code]);
  }
  return knownOrbits = [...byFold.values()].filter((it) => it.length > 1);
}
