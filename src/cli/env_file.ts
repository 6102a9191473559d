/**
 * Files of variables: NAME=VALUE a line, `export` before it allowed, # begins a comment, '…' as it is, "…" with \n \t \" \\
 * and over several lines. Nothing in a value is replaced: a $ is a $.
 */
import { utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import { type Environment, latin1 } from "./environment.ts";

/** Throws `UserError` when it cannot be read. */
export function readEnvFile(path: string): Environment {
  try {
    return parseEnvFile(new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path)), path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw invalid(path, reasonOf(error));
  }
}

const ENTRY =
  /[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(?:'([^']*)'|"((?:\\.|[^"\\])*)"|([^'"\n][^\n]*)?)[ \t]*(?:#[^\n]*)?(?:\n|$)/sy;
const NOTHING = /[ \t]*(?:#[^\n]*)?(?:\n|$)/y;

export function parseEnvFile(text: string, path: string): Environment {
  const variables: Environment = new Map();
  const rest = text.replaceAll("\r\n", "\n");
  for (let at = 0; at < rest.length;) {
    const found = matchAt(NOTHING, rest, at) ?? matchAt(ENTRY, rest, at);
    if (!found) throw invalid(path, `line ${rest.slice(0, at).split("\n").length} is not NAME=VALUE`);
    at += found[0].length;
    const [, name, single, double, plain] = found;
    if (name === undefined) continue;
    const value = single ??
      (double === undefined ? (plain ?? "").replace(/(?:^|\s+)#.*$/, "").trim() : unescape(double));
    if (value.includes("\0")) throw invalid(path, `the value of ${name} has a NUL character in it`);
    variables.set(latin1(utf8(name)), utf8(value));
  }
  return variables;
}

function matchAt(sticky: RegExp, text: string, at: number): RegExpExecArray | undefined {
  sticky.lastIndex = at;
  return sticky.exec(text) ?? undefined;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

function unescape(text: string): string {
  return text.replace(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character);
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof TypeError) return "it is not UTF-8";
  return error instanceof Error ? error.message : String(error);
}

function invalid(path: string, because: string): UserError {
  return new UserError("ENV_FILE_INVALID", `Cannot use the file of variables "${path}": ${because}`, {
    hint: "--env-file and feature.env.env_file want lines of NAME=VALUE",
    exitCode: 2,
  });
}
