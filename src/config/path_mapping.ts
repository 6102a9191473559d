/**
 * `feature.fs.mapping`: regular expressions over absolute paths, and what stands in the place of what they match. The first
 * that matches is used, once; case counts, unlike in the patterns that decide whose a path is.
 */
import { utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import { compileTable } from "./regex/dfa.ts";
import { replace } from "./regex/match.ts";
import { RegexError } from "./regex/parse.ts";
import { compileRegex, type Program } from "./regex/program.ts";

/** Expressions and replacements, in the order of the file. */
export type PathMapping = readonly (readonly [string, string])[];

export class PathMapper {
  readonly #entries: readonly (readonly [Program, Uint8Array])[];

  /** The expressions are known to be right. */
  constructor(mapping: PathMapping) {
    this.#entries = mapping.map(([source, replacement]) => [compileRegex(source), utf8(replacement)] as const);
  }

  /** What `path` stands for, or undefined: for itself. */
  map(path: Uint8Array): Uint8Array | undefined {
    for (const [program, replacement] of this.#entries) {
      const mapped = replace(program, path, replacement);
      if (mapped) return mapped;
    }
    return undefined;
  }
}

/** With what the shim knows which paths to ask for; empty when there is no mapping. Throws `UserError`. */
export function pathMappingTable(mapping: PathMapping): Uint8Array {
  try {
    return compileTable([mapping.map(([source]) => compileRegex(source))]);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new UserError("PATTERNS_TOO_BIG", `Cannot use the patterns of feature.fs.mapping: ${error.message}`, {
      hint: "simpler patterns, or fewer, say the same",
      exitCode: 2,
    });
  }
}
