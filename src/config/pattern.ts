/**
 * Regular expressions over names, in the syntax and with the bounded time of those over paths (regex/): who writes
 * `(a+)+$` in a configuration file waits no longer for it.
 */
import { utf8 } from "../base/bytes.ts";
import { matches } from "./regex/match.ts";
import { RegexError } from "./regex/parse.ts";
import { compileRegex } from "./regex/program.ts";

/** The end of a sentence, or undefined. */
export function whyNoPattern(source: string): string | undefined {
  try {
    compileRegex(source);
    return undefined;
  } catch (error) {
    if (error instanceof RegexError) return error.message;
    throw error;
  }
}

/** Tells the first entry whose expression, known to be right, matches somewhere in a name. */
export function firstMatch(mapping: Readonly<Record<string, string>>): (name: string) => [string, string] | undefined {
  const entries = Object.entries(mapping).map((entry) => ({ entry, program: compileRegex(entry[0]) }));
  return (name) => {
    if (entries.length === 0) return undefined;
    const bytes = utf8(name);
    return entries.find(({ program }) => matches(program, bytes))?.entry;
  };
}
