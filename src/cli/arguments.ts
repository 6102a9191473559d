/**
 * Reads a command line by a table of options, nothing more: `--flag VALUE`, `--flag=VALUE`, `-f VALUE`, `-fVALUE`, `--`.
 *
 * Written here because the library at hand took 27 ms of each start, more than the runtime itself
 * (docs/decisions/0006-own-argument-parser.md). It refuses what the table does not know and names the nearest it does.
 */
import { UserError } from "../base/errors.ts";
import { nearest } from "../base/nearest.ts";

export interface FlagDecl {
  readonly flag: string;
  readonly short?: string;
  /** Placeholder of the value; without one the flag stands alone. */
  readonly value?: string;
  readonly isValueOptional?: boolean;
  /** An optional value may be the next word too, unless that is an option. */
  readonly takesNextWord?: boolean;
}

export interface Parsed<D extends FlagDecl> {
  /** In the order given; `text` undefined: the flag stood alone. */
  readonly flags: readonly { readonly decl: D; readonly text: string | undefined }[];
  readonly rest: readonly string[];
  readonly isHelpWanted: boolean;
}

/** Reads up to the first word that is no option; the rest is left as it is. Throws `UserError` (exit code 2). */
export function parseArguments<D extends FlagDecl>(args: readonly string[], table: readonly D[]): Parsed<D> {
  const flags: { decl: D; text: string | undefined }[] = [];
  let isHelpWanted = false;
  let at = 0;
  while (at < args.length) {
    const word = args[at]!;
    if (word === "-" || !word.startsWith("-")) break;
    at++;
    if (word === "--") break;
    if (word === "--help" || word === "-h") {
      isHelpWanted = true;
      continue;
    }
    const { name, attached } = split(word);
    const decl = table.find((it) => it.flag === name || it.short === name);
    if (!decl) throw unknown(name, table);
    if (decl.value === undefined) {
      if (attached !== undefined) throw misuse(`Cannot read "${word}": ${name} takes no value`);
      flags.push({ decl, text: undefined });
    } else if (attached !== undefined || (decl.isValueOptional && !takesNext(decl, args[at]))) {
      flags.push({ decl, text: attached });
    } else {
      const text = args[at++];
      if (text === undefined) throw misuse(`Cannot read "${name}": it needs ${decl.value}`);
      flags.push({ decl, text });
    }
  }
  return { flags, rest: args.slice(at), isHelpWanted };
}

/** The same with options on either side of other words; behind "--" there are none. */
export function parseAnywhere<D extends FlagDecl>(args: readonly string[], table: readonly D[]): Parsed<D> {
  const end = args.indexOf("--");
  const behind = end === -1 ? [] : args.slice(end + 1);
  const flags: { decl: D; text: string | undefined }[] = [];
  const words: string[] = [];
  let isHelpWanted = false;
  for (let left = end === -1 ? args : args.slice(0, end); left.length > 0;) {
    const parsed = parseArguments(left, table);
    flags.push(...parsed.flags);
    isHelpWanted ||= parsed.isHelpWanted;
    words.push(...parsed.rest.slice(0, 1));
    left = parsed.rest.slice(1);
  }
  return { flags, rest: [...words, ...behind], isHelpWanted };
}

function takesNext(decl: FlagDecl, next: string | undefined): boolean {
  return decl.takesNextWord === true && next !== undefined && (next === "-" || !next.startsWith("-"));
}

function split(word: string): { name: string; attached: string | undefined } {
  if (!word.startsWith("--")) {
    const attached = word.slice(2).replace(/^=/, "");
    return { name: word.slice(0, 2), attached: word.length > 2 ? attached : undefined };
  }
  const equals = word.indexOf("=");
  return equals === -1
    ? { name: word, attached: undefined }
    : { name: word.slice(0, equals), attached: word.slice(equals + 1) };
}

function misuse(message: string, hint = "`mirrord --help` says what can be typed"): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}

function unknown(name: string, table: readonly FlagDecl[]): UserError {
  const near = nearest(name, [...table.map((it) => it.flag), "--help"]);
  return misuse(`Cannot understand "${name}": no such option`, near && `did you mean ${near}?`);
}
