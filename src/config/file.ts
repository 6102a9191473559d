/**
 * Reads a configuration file: JSON, TOML or YAML by its ending, JSON where there is none. The readers of TOML and YAML are
 * loaded for such a file only. Templates ("{{ … }}") are rendered first, once: programs of the run see what came of it.
 */
import { errnoOf, UserError } from "../base/errors.ts";
import { type FileSays, saidByFile } from "./keys.ts";
import { isObject } from "./values.ts";

/** Nobody writes more by hand. */
const MAX_BYTES = 10 << 20;

export const DEFAULT_FILES: readonly string[] = [
  ".mirrord/mirrord.json",
  ".mirrord/mirrord.toml",
  ".mirrord/mirrord.yaml",
];

type Format = "JSON" | "TOML" | "YAML";
const FORMATS: Readonly<Record<string, Format>> = { json: "JSON", toml: "TOML", yaml: "YAML", yml: "YAML" };

/** The file that is read when nobody names one, if it exists. */
export function defaultFile(): string | undefined {
  return DEFAULT_FILES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** How `path` is called in messages. */
export function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

/**
 * What the file says ("-": what standard input does); `key` is the session's, when somebody has said it already. Throws
 * `UserError` when it cannot be read at all.
 */
export async function readConfigFile(path: string, key?: string): Promise<FileSays & { readonly key: string }> {
  const { content, key: used } = await readKeys(path, key);
  return { ...saidByFile(content, nameOf(path)), key: used };
}

/** What the file holds, rendered, whatever its keys mean. Throws `UserError`. */
export async function readKeys(
  path: string,
  key?: string,
): Promise<{ readonly content: Record<string, unknown>; readonly key: string }> {
  const format = formatOf(path);
  const given = textOf(path, await readBytes(path));
  let { text, key: used } = await rendered(path, given, key);
  let content = await parse(path, format, text);
  const own = isObject(content) && typeof content["key"] === "string" ? content["key"] : undefined;
  if (key === undefined && own !== used && isTemplate(given)) {
    // It was the key of something else that stands before, as of a toleration.
    ({ text, key: used } = await rendered(path, given, own ?? randomKey()));
    content = await parse(path, format, text);
  }
  if (!isObject(content)) throw invalid(path, "it is not an object of keys");
  return { content, key: used };
}

function isTemplate(text: string): boolean {
  return /\{\{|\{%|\{#/.test(text);
}

/** `key` of the file comes first: the rest may use it. */
async function rendered(path: string, given: string, key: string | undefined): Promise<{ text: string; key: string }> {
  const written = /^[ \t,{]*["']?key["']?[ \t]*[:=][ \t]*["']((?:[^"'\\\n{]|\{\{[^}]*\}\})*)["']/m.exec(given)?.[1];
  if (!isTemplate(given)) return { text: given, key: key ?? written ?? randomKey() };
  const { renderTemplate, TemplateError } = await import("./template.ts");
  const { gitBranch } = await import("./git_branch.ts");
  const branch = Deno.env.get("MIRRORD_BRANCH_NAME") || gitBranch(Deno.cwd());
  const variables = branch === undefined ? {} : { git_branch: branch };
  const getEnv = (name: string) => Deno.env.get(name);
  try {
    const used = key ?? (written === undefined ? undefined : renderTemplate(written, { variables, getEnv })) ??
      randomKey();
    return { text: renderTemplate(given, { variables: { ...variables, key: used }, getEnv }), key: used };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw invalid(path, `the template cannot be rendered: line ${error.line}: ${error.message}`);
  }
}

/** For who names none: five digits, as the reference tool makes them. */
export function randomKey(): string {
  return crypto.getRandomValues(new Uint8Array(3)).toHex().slice(0, 5);
}

function formatOf(path: string): Format {
  const ending = /[^/]\.([^./]+)$/.exec(path)?.[1];
  if (ending === undefined) return "JSON";
  const format = Object.hasOwn(FORMATS, ending.toLowerCase()) ? FORMATS[ending.toLowerCase()] : undefined;
  if (format) return format;
  throw invalid(path, `files that end with ".${ending}" are not read`, "it may end with .json, .toml, .yaml or .yml");
}

async function readBytes(path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    const stream = path === "-" ? Deno.stdin.readable : (await Deno.open(path)).readable;
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes > MAX_BYTES) throw invalid(path, "it is over 10 MiB long");
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError("CONFIG_FILE_UNREADABLE", `Cannot read the configuration file "${path}": ${reasonOf(error)}`, {
      hint: "--config-file or MIRRORD_CONFIG_FILE names it",
      exitCode: 2,
    });
  }
  return new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.IsADirectory || errnoOf(error, 0) === 21) return "it is a directory";
  return error instanceof Error ? error.message : String(error);
}

function textOf(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid(path, "it is not UTF-8", "save it anew as UTF-8: most editors can");
  }
}

async function parse(path: string, format: Format, text: string): Promise<unknown> {
  const read = await PARSERS[format]();
  try {
    return read(text);
  } catch (error) {
    const { line, because } = PROBLEMS[format](error as Error & Positions, text);
    throw invalid(path, `line ${line} is no ${format}: ${because}`);
  }
}

const PARSERS: Readonly<Record<Format, () => Promise<(text: string) => unknown>>> = {
  JSON: () => Promise.resolve((text) => JSON.parse(text)),
  async TOML() {
    return (await import("smol-toml")).parse;
  },
  async YAML() {
    const { default: yaml } = await import("yaml"); // its names are lost in the bundle
    return (text) => yaml.parse(text, { logLevel: "error" }) ?? {};
  },
};

interface Positions {
  readonly line?: number;
  readonly linePos?: readonly { readonly line: number }[];
}

/** Where a file is wrong, and how: as its reader says it, without the excerpts. */
const PROBLEMS: Record<Format, (error: Error & Positions, text: string) => { line: number; because: string }> = {
  JSON({ message }, text) {
    const line = Number(/\(line (\d+) column \d+\)/.exec(message)?.[1] ?? text.split("\n").length);
    return { line, because: uncapital(message.replace(/ in JSON at position.*| after JSON at position.*/s, "")) };
  },
  TOML({ message, line = 1 }) {
    return { line, because: message.replace(/^Invalid TOML document: /, "").split("\n", 1)[0]! };
  },
  YAML({ message, linePos }) {
    const because = message.split("\n", 1)[0]!.replace(/ at line \d+, column \d+:$/, "");
    return { line: linePos?.[0]?.line ?? 1, because: uncapital(because) };
  },
};

function uncapital(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

function invalid(path: string, because: string, hint?: string): UserError {
  return new UserError("CONFIG_FILE_INVALID", `Cannot use the configuration file "${nameOf(path)}": ${because}`, {
    hint: hint ?? "`mirrord verify-config FILE` checks it as a run does; docs/config.md says what it may hold",
    exitCode: 2,
  });
}
