/** What somebody may have meant who wrote a word that does not exist. */

/** The one of `words` that takes the fewest typing errors to become `word`, if that is plausible. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const ranked = words.map((it) => ({ it, distance: editDistance(word, it) })).sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best && best.distance <= Math.max(2, word.length / 3)) return best.it;
  return word.length > 4 ? words.find((it) => it.startsWith(word)) : undefined;
}

/** Insertions, deletions and replacements that make one of the other (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
