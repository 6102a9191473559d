/**
 * Reads a configuration file: JSON, TOML or YAML by its ending, JSON where there is none. The readers of TOML and YAML are
 * loaded for such a file only. Templates ("{{ … }}") are refused: what they would become is not known here.
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

/** What the file says ("-": what standard input does). Throws `UserError` when it cannot be read at all. */
export async function readConfigFile(path: string): Promise<FileSays> {
  const format = formatOf(path);
  const text = textOf(path, await readBytes(path));
  if (/\{\{|\{%/.test(text)) throw invalid(path, "templates are not supported yet");
  const content = await parse(path, format, text);
  if (!isObject(content)) throw invalid(path, "it is not an object of keys");
  return saidByFile(content, nameOf(path));
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
    throw invalid(path, "it is not UTF-8");
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
    ...(hint === undefined ? {} : { hint }),
    exitCode: 2,
  });
}
