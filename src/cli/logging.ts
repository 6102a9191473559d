/**
 * Where the intproxy's log goes, decided by the CLI and handed over in variables: the intproxy logs before it is told
 * anything else.
 */
import { utf8 } from "../base/bytes.ts";
import { parseLogLevel, type ProxyConfig } from "../config/proxy_options.ts";
import { type Environment, textOf } from "./environment.ts";
import type { LogOptions } from "./log.ts";

export type Logging = LogOptions;

const VARIABLE = "MIRRORD_INTPROXY_LOG";
export const CONSOLE_VARIABLE = "MIRRORD_CONSOLE_ADDR";

/**
 * MIRRORD_LOG is a file; or, as the reference tool has it, a level: then the file is the configuration's, or one in $TMPDIR.
 * `here` is the directory that paths start in: the intproxy runs at "/".
 */
export function loggingOf(config: ProxyConfig, environment: Environment, here: string, run: string): Logging {
  const said = textOf(environment, "MIRRORD_LOG") || undefined;
  const level = said === undefined ? undefined : parseLogLevel(said);
  const isAskedFor = level !== undefined && level !== "off" && !environment.has(CONSOLE_VARIABLE);
  const temporary = isAskedFor ? textOf(environment, "TMPDIR") || "/tmp" : undefined;
  const named = (level === undefined ? said : undefined) ?? config.logDestination ?? temporary;
  return {
    path: named === undefined ? undefined : fileOf(named.startsWith("/") ? named : `${here}/${named}`, run),
    level: level ?? config.logLevel,
    isJson: config.isJsonLog,
    console: textOf(environment, CONSOLE_VARIABLE) || undefined,
  };
}

/** In a directory each run has a file of its own. */
function fileOf(path: string, run: string): string {
  try {
    if (Deno.statSync(path).isDirectory) return `${path.replace(/\/+$/, "")}/mirrord-intproxy-${run}.log`;
  } catch {
    // To be made.
  }
  return path;
}

export function loggingVariables({ path, level, isJson, console }: Logging): [string, Uint8Array][] {
  return [[VARIABLE, utf8(JSON.stringify({ path, level, isJson, console }))]];
}

/** What `loggingVariables` said. */
export function loggingIn(environment: Environment): Logging {
  const text = textOf(environment, VARIABLE);
  const none: Logging = { path: undefined, level: "info", isJson: false, console: undefined };
  return text === undefined ? none : { ...none, ...JSON.parse(text) as Partial<Logging> };
}
