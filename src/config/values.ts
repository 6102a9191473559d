/** How the value of each kind of option is read: as text from a flag or a variable, as it stands from a file. */
import { UserError } from "../base/errors.ts";
import { parseAddressRule } from "./address_filter.ts";
import { PULL_POLICIES, type PullPolicy } from "./agent_options.ts";
import { type ConfigKey, FS_MODES, type FsMode, INCOMING_MODES, type IncomingMode, type ValueKind } from "./options.ts";
import { type PortPair, readHttpFilters, readPortPairs, readPorts } from "./incoming.ts";
import { whyNoPathPattern } from "./path_rules.ts";
import { LOG_LEVELS, type LogLevel, parseLogLevel } from "./proxy_options.ts";

/** One value somebody gave, and where they said it: as in messages. */
export type Said =
  | { readonly key: ConfigKey; readonly text: string; readonly from: string }
  | { readonly key: ConfigKey; readonly value: unknown; readonly from: string };

export interface Values {
  text: string;
  namespace: string;
  boolean: boolean;
  seconds: number;
  list: readonly string[];
  fsMode: FsMode;
  map: Readonly<Record<string, string>>;
  patterns: readonly string[];
  addresses: readonly string[];
  bufferBytes: number;
  milliseconds: number;
  image: { readonly name?: string; readonly registry?: string; readonly tag?: string };
  pullPolicy: PullPolicy;
  object: Readonly<Record<string, unknown>>;
  objects: readonly Readonly<Record<string, unknown>>[];
  incomingMode: IncomingMode;
  pattern: string;
  httpFilters: readonly Readonly<Record<string, unknown>>[];
  ports: readonly number[];
  portPairs: readonly PortPair[];
  logLevel: LogLevel;
}

/** Throws `UserError`, which says what is allowed, when it cannot be read. */
export function readValue<K extends ValueKind>(said: Said, kind: K): Values[K] {
  try {
    return read(said, kind);
  } catch (error) {
    if (!(error instanceof UserError) || error.hint !== undefined) throw error;
    const allowed = "text" in said ? ALLOWED_TEXT[kind] ?? ALLOWED[kind] : ALLOWED[kind];
    throw new UserError(error.code, error.message, { hint: `allowed: ${allowed}`, exitCode: error.exitCode });
  }
}

function read<K extends ValueKind>(said: Said, kind: K): Values[K] {
  if ("text" in said) return READERS[kind](said.text.trim(), said) as Values[K];
  const { value } = said;
  if (kind === "ports") return readPorts(value, said) as Values[K];
  if (kind === "portPairs") return readPortPairs(value, said) as Values[K];
  if (kind === "httpFilters") return readHttpFilters(value, said) as Values[K];
  if (kind === "map") return readMap(value, said) as Values[K];
  if (kind === "patterns") return readPatterns(value, said) as Values[K];
  if (kind === "addresses") return readAddresses(value, said) as Values[K];
  if (kind === "image" && isObject(value)) return readImage(value, said) as Values[K];
  if (kind === "object" && isObject(value)) return value as Values[K];
  if (kind === "objects" && Array.isArray(value) && value.every(isObject)) {
    return value as readonly object[] as Values[K];
  }
  if (kind === "list" && Array.isArray(value) && value.every((it) => typeof it === "string")) {
    return value.flatMap((it) => READERS.list(it, said)) as readonly string[] as Values[K];
  }
  const type: string = typeof value;
  if (type !== JSON_TYPES[kind]) throw wrongType(said, kind);
  return READERS[kind](String(value), said) as Values[K];
}

/** Of an expression that cannot be read. */
export const REGEX_ALLOWED = "allowed: the syntax of Rust's regex crate, without look-around and back-references";

/** What a file may say, for messages and docs/config.md. */
export const ALLOWED: Readonly<Record<ValueKind, string>> = {
  text: "a string",
  namespace: "a name of lower-case letters, digits and -",
  boolean: "true or false",
  seconds: "a whole number from 0 to 86400",
  list: 'an array of strings, or one string with ";" between them',
  fsMode: `one of ${FS_MODES.map((it) => `"${it}"`).join(", ")}`,
  map: "an object whose values are strings",
  patterns: "an array of regular expressions, or one",
  addresses: "an array of [tcp://|udp://]HOST[/BITS][:PORT], or one",
  bufferBytes: "a whole number of bytes up to 15728640",
  milliseconds: "a whole number of milliseconds up to 3600000",
  image: "a string, or an object with registry and tag",
  pullPolicy: `one of ${PULL_POLICIES.map((it) => `"${it}"`).join(", ")}`,
  object: "an object",
  objects: "an array of objects",
  incomingMode: `one of ${INCOMING_MODES.map((it) => `"${it}"`).join(", ")}`,
  pattern: "a regular expression",
  httpFilters: "an array of objects with one of header, header_jq, path, method, or of a body",
  ports: "an array of ports",
  portPairs: "an array of pairs of ports",
  logLevel: `one of ${LOG_LEVELS.join(", ")}`,
};

/** What a flag or a variable may say, where that is something else. */
const ALLOWED_TEXT: { readonly [K in ValueKind]?: string } = {
  boolean: "true, false, 1 or 0",
  list: 'names with ";" between them',
  patterns: 'regular expressions with ";" between them',
  addresses: '[tcp://|udp://]HOST[/BITS][:PORT] with ";" between them',
  image: "a name, with its registry and tag",
  ports: 'whole numbers from 1 to 65535 with "," between them',
};

const JSON_TYPES: Readonly<Record<ValueKind, string>> = {
  text: "string",
  namespace: "string",
  boolean: "boolean",
  seconds: "number",
  list: "string",
  fsMode: "string",
  map: "object",
  patterns: "string",
  addresses: "string",
  bufferBytes: "number",
  milliseconds: "number",
  image: "string",
  pullPolicy: "string",
  object: "none",
  objects: "none",
  incomingMode: "string",
  pattern: "string",
  httpFilters: "none",
  ports: "none",
  portPairs: "none",
  logLevel: "string",
};

function notAsText(kind: ValueKind): (text: string, said: Said) => never {
  return (_text, said) => {
    throw wrongType(said, kind);
  };
}

const READERS: { [K in ValueKind]: (text: string, said: Said) => Values[K] } = {
  text: readText,
  namespace: readNamespace,
  boolean: readBoolean,
  seconds: readSeconds,
  list: (text) => text.split(";").map((it) => it.trim()).filter((it) => it !== ""),
  fsMode(text, said) {
    const mode = FS_MODES.find((it) => it === text);
    if (mode) return mode;
    throw refuse(said, `there is no mode "${text}"`, `one of: ${FS_MODES.join(", ")}`);
  },
  map: notAsText("map"),
  patterns: (text, said) => readPatterns(READERS.list(text, said), said),
  addresses(text, said) {
    return readAddresses(READERS.list(text, said), said);
  },
  bufferBytes(text, said) {
    if (/^[0-9]{1,8}$/.test(text) && Number(text) <= MAX_BUFFER_BYTES) return Number(text);
    throw refuse(said, `"${text}" is not ${ALLOWED.bufferBytes}`);
  },
  milliseconds(text, said) {
    if (/^[0-9]{1,7}$/.test(text) && Number(text) <= MAX_MILLISECONDS) return Number(text);
    throw refuse(said, `"${text}" is not ${ALLOWED.milliseconds}`);
  },
  image(text, said) {
    return { name: READERS.text(text, said) };
  },
  pullPolicy(text, said) {
    const policy = PULL_POLICIES.find((it) => it.toLowerCase() === text.toLowerCase());
    if (policy) return policy;
    throw refuse(said, `there is no policy "${text}"`, `one of: ${PULL_POLICIES.join(", ")}`);
  },
  object: notAsText("object"),
  objects: notAsText("objects"),
  incomingMode: readIncomingMode,
  logLevel: readLogLevel,
  pattern: (text, said) => READERS.text(text, said),
  httpFilters: notAsText("httpFilters"),
  ports: readPorts,
  portPairs: notAsText("portPairs"),
};

const MAX_BUFFER_BYTES = 15 << 20;
const MAX_MILLISECONDS = 3_600_000;

function readText(text: string, said: Said): string {
  if (text === "") throw refuse(said, "it is empty");
  return text;
}

function readBoolean(text: string, said: Said): boolean {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw refuse(said, `"${text}" is neither true nor false`);
}

function readSeconds(text: string, said: Said): number {
  // A day is more than anybody waits for; the API server takes 32 bits.
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) > 86400) {
    throw refuse(said, `"${text}" is not a number of seconds from 0 to 86400`);
  }
  return Number(text);
}

function readNamespace(text: string, said: Said): string {
  // RFC 1123, as Kubernetes names namespaces.
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw refuse(said, text === "" ? "it is empty" : `${JSON.stringify(text.slice(0, 100))} is no name of a namespace`);
}

function readPatterns(value: unknown, said: Said): readonly string[] {
  const patterns = Array.isArray(value) ? value : [value];
  for (const pattern of patterns) {
    if (typeof pattern !== "string") throw wrongType(said, "patterns");
    const wrong = whyNoPathPattern(pattern);
    if (wrong !== undefined) throw refuse(said, `"${pattern}" is no regular expression: ${wrong}`, REGEX_ALLOWED);
  }
  return patterns;
}

function readAddresses(value: unknown, said: Said): readonly string[] {
  const rules = Array.isArray(value) ? value : [value];
  for (const rule of rules) {
    if (typeof rule !== "string") throw wrongType(said, "addresses");
    const wrong = parseAddressRule(rule);
    if (typeof wrong === "string") throw refuse(said, `"${rule}" is no destination: ${wrong}`);
  }
  return rules;
}

function readImage(value: Record<string, unknown>, said: Said): Values["image"] {
  for (const [name, inner] of Object.entries(value)) {
    if (name !== "registry" && name !== "tag") throw refuse(said, `"${name}" is no part of it`, "registry, tag");
    if (typeof inner !== "string" || inner === "") throw refuse(said, `"${name}" is ${typeName(inner)}`, ALLOWED.image);
  }
  return value;
}

function readIncomingMode(text: string, said: Said): IncomingMode {
  // The variable of old says whether to steal.
  const meant = "text" in said && text === "true" ? "steal" : "text" in said && text === "false" ? "mirror" : text;
  const mode = INCOMING_MODES.find((it) => it === meant);
  if (mode) return mode;
  throw refuse(said, `there is no mode "${text}"`, `one of: ${INCOMING_MODES.join(", ")}`);
}

function readMap(value: unknown, said: Said): Values["map"] {
  if (!isObject(value)) throw wrongType(said, "map");
  for (const [name, inner] of Object.entries(value)) {
    if (name === "" || /[=\0]/.test(name) && said.key === "feature.env.override") {
      throw refuse(said, `"${name}" cannot be the name of a variable`);
    }
    if (typeof inner !== "string") throw refuse(said, `"${name}" is ${typeName(inner)}`, `allowed: ${ALLOWED.map}`);
    if (inner.includes("\0")) throw refuse(said, `the value of "${name}" has a NUL character in it`);
  }
  return Object.fromEntries(Object.entries(value) as [string, string][]);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** As the rest of "it is …". */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Date) return "a date";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function wrongType(said: Said, kind: ValueKind): UserError {
  const value = "value" in said ? said.value : said.text;
  const because = "value" in said ? `it is ${typeName(value)}` : "a configuration file alone can say it";
  return refuse(said, because, `allowed: ${ALLOWED[kind]}`);
}

/** A value of `said` that cannot be used; without a hint `readValue` gives what is allowed. */
export function refuse(said: { readonly from: string }, reason: string, hint?: string): UserError {
  return new UserError("VALUE_INVALID", `Cannot use the value of ${said.from}: ${reason}`, {
    ...hint === undefined ? {} : { hint },
    exitCode: 2,
  });
}

function readLogLevel(text: string, said: Said): LogLevel {
  const level = parseLogLevel(text);
  if (level) return level;
  throw refuse(said, `there is no level "${text}"`, `one of: ${LOG_LEVELS.join(", ")}`);
}
