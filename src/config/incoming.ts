/**
 * What the configuration says of incoming connections. What cannot be is refused here; a filter becomes what the agent runs
 * (src/proto/http_filter.ts has the same shape).
 */
import { parseJsonPath } from "../base/json_path.ts";
import type { IncomingKey } from "./incoming_options.ts";
import type { ConfigKey, IncomingMode, ValueKind } from "./options.ts";
import { compileTable } from "./regex/dfa.ts";
import { RegexError } from "./regex/parse.ts";
import { compileRegex } from "./regex/program.ts";
import { requiredTexts } from "./regex/required.ts";
import type { Target } from "./target.ts";
import { isObject, refuse, REGEX_ALLOWED, type Said, type Values } from "./values.ts";

const PREFIX = "feature.network.incoming";

export type PortPair = readonly [number, number];

export interface IncomingConfig {
  readonly mode: IncomingMode;
  /** For the agent; empty: every connection. */
  readonly filter: string;
  readonly settings: FilterSettings;
  /** jq programs in it, and where each was said: to be looked at by jq itself, which takes its time to load. */
  readonly jqPrograms: readonly { readonly program: string; readonly from: string }[];
  /** As the user wrote it. */
  readonly written: Readonly<Record<string, unknown>>;
  /** Ports at the target that the filter is for; undefined: all. */
  readonly filterPorts: readonly number[] | undefined;
  /** [the program's, the target's] */
  readonly portMapping: readonly PortPair[];
  /** [what the program asks for, what is bound] */
  readonly listenPorts: readonly PortPair[];
  readonly ignoredPorts: readonly number[];
  /** No others; undefined: all. */
  readonly ports: readonly number[] | undefined;
  readonly isLocalhostIgnored: boolean;
  /** Connections that exist are reset when a port is stolen. */
  readonly isFlush: boolean;
}

/** src/proto/http_filter.ts has the same. */
export interface FilterSettings {
  readonly bodyBytes: number;
  readonly bodyMs: number;
  readonly jqMs: number;
  readonly detectionMs: number;
  readonly marksAnswers: boolean;
  readonly forbidsCaching: boolean;
}

const BODY_BYTES = 65535;
const BODY_MS = 1000;
const JQ_SECONDS = 1;
const DETECTION_SECONDS = 2;

function filterText(filter: object, settings: FilterSettings): string {
  return JSON.stringify({ filter, ...settings });
}

type Value = <K extends ValueKind>(key: ConfigKey, kind: K) => Values[K] | undefined;

/** Throws `UserError` when values contradict each other. */
export function incomingOf(target: Target, value: Value, last: ReadonlyMap<ConfigKey, Said>): IncomingConfig {
  const ports = value(`${PREFIX}.ports`, "ports");
  const ignored = value(`${PREFIX}.ignore_ports`, "ports");
  if (ports && ignored) {
    throw refuse(last.get(`${PREFIX}.ports`)!, "it does not go together with ignore_ports", "give one of them");
  }
  const written = writtenFilters(value, last);
  const filter = written && filterFor(written.key, written.value, last);
  const settings = {
    bodyBytes: value("agent.max_body_buffer_size", "bufferBytes") ?? BODY_BYTES,
    bodyMs: value("agent.max_body_buffer_timeout", "milliseconds") ?? BODY_MS,
    jqMs: (value("agent.jaq_time_limit", "seconds") ?? JQ_SECONDS) * 1000,
    detectionMs: (value("agent.http_detection_timeout", "seconds") ?? DETECTION_SECONDS) * 1000,
    marksAnswers: value("agent.inject_headers", "boolean") ?? false,
    forbidsCaching: value("agent.override_cache_control", "boolean") ?? true,
  };
  return {
    mode: modeFor(target, value(`${PREFIX}.mode`, "incomingMode"), last),
    filter: filter === undefined ? "" : filterText(filter, settings),
    settings,
    jqPrograms: written === undefined ? [] : programsOf(filter!, last.get(`${PREFIX}.http_filter.${written.key}`)!),
    written: written === undefined ? {} : { [written.key]: written.value },
    filterPorts: value(`${PREFIX}.http_filter.ports`, "ports"),
    portMapping: value(`${PREFIX}.port_mapping`, "portPairs") ?? [],
    listenPorts: value(`${PREFIX}.listen_ports`, "portPairs") ?? [],
    ignoredPorts: ignored ?? [],
    ports,
    isLocalhostIgnored: value(`${PREFIX}.ignore_localhost`, "boolean") ?? false,
    isFlush: value("agent.flush_connections", "boolean") ?? true,
  };
}

/** As a configuration file would say it. */
export function formatIncoming(it: IncomingConfig): Record<IncomingKey, unknown> {
  const said = (key: string) => it.written[key];
  const unlessEmpty = (list: readonly unknown[]) => list.length > 0 ? list : undefined;
  return {
    [`${PREFIX}.http_filter.header_filter`]: said("header_filter"),
    [`${PREFIX}.http_filter.header_filter_jq`]: said("header_filter_jq"),
    [`${PREFIX}.http_filter.path_filter`]: said("path_filter"),
    [`${PREFIX}.http_filter.method_filter`]: said("method_filter"),
    [`${PREFIX}.http_filter.body_filter`]: said("body_filter"),
    [`${PREFIX}.http_filter.all_of`]: said("all_of"),
    [`${PREFIX}.http_filter.any_of`]: said("any_of"),
    [`${PREFIX}.http_filter.ports`]: it.filterPorts,
    [`${PREFIX}.port_mapping`]: unlessEmpty(it.portMapping),
    [`${PREFIX}.listen_ports`]: unlessEmpty(it.listenPorts),
    [`${PREFIX}.ignore_ports`]: unlessEmpty(it.ignoredPorts),
    [`${PREFIX}.ports`]: it.ports,
    [`${PREFIX}.ignore_localhost`]: it.isLocalhostIgnored || undefined,
    "agent.flush_connections": it.isFlush,
    "agent.max_body_buffer_size": it.settings.bodyBytes,
    "agent.max_body_buffer_timeout": it.settings.bodyMs,
    "agent.jaq_time_limit": it.settings.jqMs / 1000,
    "agent.http_detection_timeout": it.settings.detectionMs / 1000,
    "agent.inject_headers": it.settings.marksAnswers || undefined,
    "agent.override_cache_control": it.settings.forbidsCaching,
  } as Record<IncomingKey, unknown>;
}

const FILTER_KEYS = [
  "header_filter",
  "header_filter_jq",
  "path_filter",
  "method_filter",
  "body_filter",
  "all_of",
  "any_of",
] as const;
/** src/proto/http_filter.ts has the same. */
const MOST_JQ_PROGRAMS = 8;

const KINDS: { readonly [K in typeof FILTER_KEYS[number]]?: ValueKind } = {
  header_filter_jq: "text",
  body_filter: "object",
  all_of: "httpFilters",
  any_of: "httpFilters",
};

function writtenFilters(value: Value, last: ReadonlyMap<ConfigKey, Said>) {
  const given = FILTER_KEYS.flatMap((key) => {
    const kind = KINDS[key] ?? "pattern";
    const it = value(`${PREFIX}.http_filter.${key}`, kind);
    return it === undefined ? [] : [{ key, value: it }];
  });
  if (given.length > 1) {
    const said = last.get(`${PREFIX}.http_filter.${given[1]!.key}`)!;
    throw refuse(said, `${given[0]!.key} is given too`, "put them into one all_of, or any_of");
  }
  return given[0];
}

function filterFor(key: typeof FILTER_KEYS[number], value: unknown, last: ReadonlyMap<ConfigKey, Said>): object {
  const said = last.get(`${PREFIX}.http_filter.${key}`)!;
  if (key === "header_filter_jq") return { kind: "jq", program: value };
  if (typeof value === "string") return patternFilter(key.replace("_filter", ""), value, said);
  if (key === "body_filter") return bodyFilter(value as Readonly<Record<string, unknown>>, said);
  const filters = (value as readonly Record<string, unknown>[]).map((it) => innerFilter(it, said));
  if (filters.length === 0) throw refuse(said, "it is empty", "give at least one filter");
  return { kind: key === "all_of" ? "all" : "any", of: filters };
}

/** The reference tool says of no name for jq here: the key's own is taken too. */
const JQ_KINDS: readonly string[] = ["header_jq", "header_filter_jq"];
const INNER_KINDS: readonly string[] = ["header", "path", "method", ...JQ_KINDS];

/** `{ "header": "…" }`, or what bodyFilter() reads. */
function innerFilter(it: Readonly<Record<string, unknown>>, said: Said): object {
  if ("body" in it) return bodyFilter(it, said);
  const [kind, ...more] = Object.keys(it);
  const source = kind === undefined ? undefined : it[kind];
  if (!INNER_KINDS.includes(kind ?? "") || more.length > 0 || typeof source !== "string" || source === "") {
    const hint = 'each is an object with one of "header", "path", "method", and a regular expression; ' +
      'or with "header_jq" and a jq program; or of a body';
    throw refuse(said, `it holds ${JSON.stringify(it)}`, hint);
  }
  if (JQ_KINDS.includes(kind!)) return { kind: "jq", program: source };
  return patternFilter(kind!, source, said);
}

/** Blanks around a header's colon are as its sender likes. */
const HEADER_SEPARATORS = ": \t";

function patternFilter(kind: string, source: string, said: Said): object {
  const table = tableOf(source, said);
  const needs = requiredTexts(source, kind === "header" ? HEADER_SEPARATORS : "");
  return { kind, table, ...needs && { needs } };
}

/** Programs of jq in a filter of the agent's. */
function programsOf(filter: object, said: Said): IncomingConfig["jqPrograms"] {
  const { kind, program, of } = filter as { kind: string; program: string; of: readonly object[] };
  const leaves = kind === "all" || kind === "any" ? of.flatMap((it) => programsOf(it, said)) : [];
  if (leaves.length > MOST_JQ_PROGRAMS) throw refuse(said, `it holds more than ${MOST_JQ_PROGRAMS} programs of jq`);
  return kind === "jq" ? [{ program, from: said.from }] : leaves;
}

/** `{ "body": "json", "query": JSONPath, "matches": REGEX }` */
function bodyFilter(it: Readonly<Record<string, unknown>>, said: Said): object {
  const { body, query, matches, ...more } = it;
  const isSound = body === "json" && typeof query === "string" && typeof matches === "string";
  if (!isSound || Object.keys(more).length > 0) {
    const hint = 'allowed: { "body": "json", "query": JSONPATH, "matches": REGULAR EXPRESSION }';
    throw refuse(said, `it holds ${JSON.stringify(it)}`, hint);
  }
  try {
    parseJsonPath(query);
  } catch (error) {
    throw refuse(said, `"${query}" is no JSONPath: ${(error as Error).message}`);
  }
  return { kind: "body", query, table: tableOf(matches, said) };
}

function tableOf(source: string, said: Said): string {
  try {
    return compileTable([[compileRegex(source, { isCaseIgnored: true })]]).toBase64();
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw refuse(said, `"${source}" is no regular expression: ${error.message}`, REGEX_ALLOWED);
  }
}

const MOST_PORT = 65535;

export function readPorts(value: unknown, said: Said): readonly number[] {
  const list = typeof value === "string" ? value.split(/[,;]/).map((it) => Number(it.trim())) : value;
  if (Array.isArray(list) && list.every(isPort)) return list;
  throw refuse(said, "it is no list of ports", "allowed: an array of whole numbers from 1 to 65535");
}

export function readPortPairs(value: unknown, said: Said): readonly PortPair[] {
  const isPair = (it: unknown) => Array.isArray(it) && it.length === 2 && it.every(isPort);
  if (!Array.isArray(value) || !value.every(isPair)) {
    throw refuse(said, "it is no list of pairs of ports", "allowed: an array like [[8080, 80]]");
  }
  for (const side of [0, 1]) {
    const ports = value.map((it) => it[side]);
    const twice = ports.find((it, at) => ports.indexOf(it) !== at);
    if (twice !== undefined) throw refuse(said, `port ${twice} is in two pairs`, "each port can stand for one other");
  }
  return value as PortPair[];
}

export function readHttpFilters(value: unknown, said: Said): readonly Readonly<Record<string, unknown>>[] {
  if (Array.isArray(value) && value.every(isObject)) return value;
  throw refuse(said, "it is no list of filters", "allowed: an array of objects");
}

function isPort(it: unknown): boolean {
  return Number.isInteger(it) && (it as number) > 0 && (it as number) <= MOST_PORT;
}

/** Without a target nobody connects to it. */
function modeFor(target: Target, mode: IncomingMode | undefined, last: ReadonlyMap<ConfigKey, Said>): IncomingMode {
  if (target.kind !== "targetless") return mode ?? "mirror";
  if (mode !== "steal") return "off";
  throw refuse(last.get(`${PREFIX}.mode`)!, "without a target there is no traffic to steal", "name a --target");
}
