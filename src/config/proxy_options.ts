/** The rows of the table of options that are about the intproxy, our process between program and agent (options.ts). */
import type { KeyDecl, ValueKind } from "./options.ts";
import type { Values } from "./values.ts";

export type ProxyKey = `internal_proxy.${
  | "start_idle_timeout"
  | "idle_timeout"
  | "log_destination"
  | "log_level"
  | "json_log"}`;

export const LOG_LEVELS = ["off", "error", "warn", "info", "debug", "trace"] as const;
export type LogLevel = typeof LOG_LEVELS[number];

const group = "Logs";

export const PROXY_FILE_OPTIONS: readonly KeyDecl[] = [
  {
    key: "internal_proxy.log_destination",
    kind: "text",
    doc: "File for the log of the intproxy, or a directory for one; MIRRORD_LOG names a file too, and wins",
    default: "none is written",
    group,
  },
  {
    key: "internal_proxy.log_level",
    kind: "logLevel",
    doc:
      "What is logged: off, error, warn, info, debug (what is asked of the target), trace (also which paths the shim leaves " +
      "to this machine); MIRRORD_LOG wins when it is such a word",
    default: "info",
    group,
  },
  {
    key: "internal_proxy.json_log",
    kind: "boolean",
    doc: "Whether the intproxy's log lines are JSON",
    default: "false",
    group,
  },
  {
    key: "internal_proxy.start_idle_timeout",
    kind: "seconds",
    doc: "How long `mirrord ext` waits for the first program",
    default: "60",
    group,
  },
  {
    key: "internal_proxy.idle_timeout",
    kind: "seconds",
    doc: "How long `mirrord ext` waits for another program when the last one has ended",
    default: "5",
    group,
  },
];

/**
 * A level, or the reference tool's list of them ("mirrord=debug,warn"), of which ours is the one of mirrord, else the one for
 * all. Undefined when it is none.
 */
export function parseLogLevel(text: string): LogLevel | undefined {
  const parts = text.toLowerCase().split(",").map((it) => it.trim().split("="));
  if (parts.some((it) => it.length > 2 || !isLevel(it.at(-1)!))) return undefined;
  const own = parts.findLast(([name, level]) => level !== undefined && name!.startsWith("mirrord"));
  return (own ?? parts.findLast((it) => it.length === 1) ?? parts[0])!.at(-1) as LogLevel;
}

function isLevel(word: string): word is LogLevel {
  return LOG_LEVELS.some((it) => it === word);
}

export interface ProxyConfig {
  readonly startIdleMs: number;
  readonly idleMs: number;
  readonly logDestination: string | undefined;
  readonly logLevel: LogLevel;
  readonly isJsonLog: boolean;
}

/** Reads one value of those that were said; throws `UserError` when it cannot be. */
export type ReadValue = <K extends ValueKind>(key: ProxyKey, kind: K) => Values[K] | undefined;

export function resolveProxy(value: ReadValue): ProxyConfig {
  return {
    startIdleMs: (value("internal_proxy.start_idle_timeout", "seconds") ?? 60) * 1000,
    idleMs: (value("internal_proxy.idle_timeout", "seconds") ?? 5) * 1000,
    logDestination: value("internal_proxy.log_destination", "text"),
    logLevel: value("internal_proxy.log_level", "logLevel") ?? "info",
    isJsonLog: value("internal_proxy.json_log", "boolean") ?? false,
  };
}

/** As a configuration file would say it. */
export function formatProxy(it: ProxyConfig): Record<ProxyKey, unknown> {
  return {
    "internal_proxy.start_idle_timeout": it.startIdleMs / 1000,
    "internal_proxy.idle_timeout": it.idleMs / 1000,
    "internal_proxy.log_destination": it.logDestination,
    "internal_proxy.log_level": it.logLevel,
    "internal_proxy.json_log": it.isJsonLog,
  };
}
