/**
 * Texts of which whatever a regular expression matches must contain one, whatever their case (ASCII's): who finds none of them need not
 * run it. Of several texts that are all required the most telling one is taken; nothing is said where there is none.
 */
import { type Node, parseRegex } from "./parse.ts";

/** One is enough of each list. */
type Choice = readonly string[];

const MOST_CHOICES = 4;
const SHORTEST = 2;
const LONGEST = 31;

/**
 * Undefined: nothing is required. `separators` are characters that the searched text may write otherwise: no text goes across one.
 * What stands behind the first of them tells more than what stands before (a header's value, its name). Throws `RegexError`.
 */
export function requiredTexts(source: string, separators = ""): Choice | undefined {
  const search = new Search(separators);
  search.visit(parseRegex(source, true).node);
  return search.best();
}

class Search {
  readonly #separators: string;
  readonly #choices: { readonly texts: Choice; readonly isBehind: boolean }[] = [];
  #text = "";
  #isBehind = false;

  constructor(separators: string) {
    this.#separators = separators;
  }

  visit(node: Node): void {
    switch (node.kind) {
      case "empty":
      case "assert":
        return;
      case "sequence":
        return node.parts.forEach((it) => this.visit(it));
      case "group":
        return this.visit(node.node);
      case "set": {
        const char = node.isBytes ? undefined : onlyLetter(node.set);
        if (char !== undefined && !this.#separators.includes(char)) this.#text += char;
        else this.#endText();
        if (char !== undefined && this.#separators.includes(char)) this.#isBehind = true;
        return;
      }
      case "repeat":
        this.#endText();
        if (node.min > 0) this.visit(node.node);
        return this.#endText();
      case "choice":
        this.#endText();
        return this.#add(node.parts.map((it) => this.#bestOf(it)));
    }
  }

  best(): Choice | undefined {
    this.#endText();
    const behind = this.#choices.filter((it) => it.isBehind && shortest(it.texts) > SHORTEST);
    const [first, ...rest] = behind.length > 0 ? behind : this.#choices;
    return first && rest.reduce((best, it) => shortest(it.texts) > shortest(best.texts) ? it : best, first).texts;
  }

  #bestOf(node: Node): Choice | undefined {
    const search = new Search(this.#separators);
    search.visit(node);
    return search.best();
  }

  #add(lists: readonly (Choice | undefined)[]): void {
    const texts = lists.every((it) => it !== undefined) ? [...new Set(lists.flat())] : [];
    if (texts.length === 0 || texts.length > MOST_CHOICES) return;
    this.#choices.push({ texts, isBehind: this.#isBehind });
  }

  #endText(): void {
    if (this.#text.length >= SHORTEST) this.#add([[this.#text.slice(0, LONGEST)]]);
    this.#text = "";
  }
}

function shortest(texts: Choice): number {
  return Math.min(...texts.map((it) => it.length));
}

/** The character, in upper case, that a set of one character holds in both its cases; only what can be seen, of ASCII. */
function onlyLetter(set: readonly (readonly [number, number])[]): string | undefined {
  if (set.length > 2 || set.some(([low, high]) => low !== high || low <= 0x20 || low >= 0x7f)) return undefined;
  const cases = new Set(set.map(([code]) => String.fromCharCode(code).toUpperCase()));
  return cases.size === 1 ? [...cases][0] : undefined;
}
