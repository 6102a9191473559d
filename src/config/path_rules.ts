/**
 * The user's patterns for paths: `feature.fs.not_found`, `read_write`, `read_only` and `local`, regular expressions in the
 * syntax of Rust's regex crate that match anywhere in an absolute path, whatever the case of its letters.
 */
import { UserError } from "../base/errors.ts";
import { compileTable } from "./regex/dfa.ts";
import { RegexError } from "./regex/parse.ts";
import { compileRegex } from "./regex/program.ts";

export interface PathRules {
  readonly notFound: readonly string[];
  readonly readWrite: readonly string[];
  readonly readOnly: readonly string[];
  readonly local: readonly string[];
}

/** The lists in the order in which they decide: rank 1 first (native/paths.c, decide_by_pattern). */
export const RANKED = ["notFound", "readWrite", "readOnly", "local"] as const satisfies readonly (keyof PathRules)[];

/** The end of a sentence, or undefined. */
export function whyNoPathPattern(source: string): string | undefined {
  try {
    compileRegex(source, { isCaseIgnored: true });
    return undefined;
  } catch (error) {
    if (error instanceof RegexError) return error.message;
    throw error;
  }
}

/** What the shim decides by; empty when there are no patterns. Throws `UserError` when there are too many for a table. */
export function pathRulesTable(rules: PathRules): Uint8Array {
  return tableOf("feature.fs", RANKED.map((list) => rules[list]), true);
}

/** Of `feature.network.outgoing.unix_streams`: a path, or "@" and an abstract name, that matches is the target's. */
export function unixSocketsTable(patterns: readonly string[]): Uint8Array {
  return tableOf("feature.network.outgoing.unix_streams", [patterns], false);
}

function tableOf(key: string, lists: readonly (readonly string[])[], isCaseIgnored: boolean): Uint8Array {
  try {
    return compileTable(lists.map((list) => list.map((source) => compileRegex(source, { isCaseIgnored }))));
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new UserError("PATTERNS_TOO_BIG", `Cannot use the patterns of ${key}: ${error.message}`, {
      hint: "simpler patterns, or fewer, say the same",
      exitCode: 2,
    });
  }
}
