/**
 * From what was said to one frozen `Config`: reads the values, checks them against each other, does nothing else.
 *
 * A flag wins over an environment variable, that over the default. (The configuration file will come in between: it
 * will be one more list of `Said`.)
 */
import { UserError } from "../base/errors.ts";
import { type ConfigKey, EXEC_OPTIONS, FS_MODES, type FsMode, type OptionDecl } from "./options.ts";
import { parseTarget, type Target } from "./target.ts";

/** One value somebody gave, and where they said it: as in messages. */
export interface Said {
  readonly key: ConfigKey;
  readonly text: string;
  readonly from: string;
}

export interface Config {
  readonly target: Target;
  /** Nobody named a target: targetless by default. */
  readonly isTargetDefault: boolean;
  readonly targetNamespace: string | undefined;
  readonly agent: {
    readonly namespace: string | undefined;
    readonly image: string | undefined;
    readonly ttlSeconds: number;
    readonly startupTimeoutMs: number;
  };
  readonly kube: {
    readonly kubeconfig: string | undefined;
    readonly context: string | undefined;
    readonly acceptInvalidCertificates: boolean | undefined;
  };
  readonly env: { readonly include: readonly string[] | undefined; readonly exclude: readonly string[] };
  readonly fsMode: FsMode;
  readonly isDnsRemote: boolean;
  readonly isHostnameRemote: boolean;
  readonly isTcpRemote: boolean;
  readonly skipProcesses: readonly string[];
}

/** What the environment says, in the table's order. Empty variables say nothing. */
export function saidByEnvironment(get: (name: string) => string | undefined): Said[] {
  const seen = new Set<string>();
  const said: Said[] = [];
  for (const { env, key } of EXEC_OPTIONS) {
    const text = get(env);
    if (!text || seen.has(env)) continue;
    seen.add(env);
    said.push({ key, text, from: env });
  }
  return said;
}

/** Later ones in `said` win. Throws `UserError` when a value cannot be read or two contradict. */
export function resolveConfig(said: readonly Said[]): Config {
  const last = new Map(said.map((it) => [it.key, it]));
  const value = <K extends OptionDecl["kind"]>(key: ConfigKey, kind: K): Values[K] | undefined => {
    const it = last.get(key);
    return it && readValue(it, kind);
  };
  const targetText = value("target.path", "text");
  const target: Target = targetText === undefined ? { kind: "targetless" } : parseTarget(targetText);
  const include = value("feature.env.include", "list");
  const exclude = value("feature.env.exclude", "list");
  if (include && exclude) {
    throw new UserError(
      "OPTIONS_CONFLICT",
      `Cannot use ${last.get("feature.env.include")!.from} together with ${last.get("feature.env.exclude")!.from}: ` +
        "each says which variables to take",
      { hint: "give one of them", exitCode: 2 },
    );
  }
  value("telemetry", "boolean");
  return deepFreeze({
    target,
    isTargetDefault: targetText === undefined,
    targetNamespace: value("target.namespace", "text"),
    agent: {
      namespace: value("agent.namespace", "text"),
      image: value("agent.image", "text"),
      ttlSeconds: value("agent.ttl", "seconds") ?? 1,
      startupTimeoutMs: (value("agent.startup_timeout", "seconds") ?? 60) * 1000,
    },
    kube: {
      kubeconfig: value("kubeconfig", "text"),
      context: value("kube_context", "text"),
      acceptInvalidCertificates: value("accept_invalid_certificates", "boolean"),
    },
    env: { include, exclude: exclude ?? [] },
    fsMode: fsModeFor(target, value("feature.fs.mode", "fsMode") ?? "read"),
    isDnsRemote: value("feature.network.dns.enabled", "boolean") ?? true,
    isHostnameRemote: true,
    isTcpRemote: value("feature.network.outgoing.tcp", "boolean") ?? true,
    skipProcesses: value("skip_processes", "list") ?? [],
  });
}

/** Without a target there are no files of somebody else worth having: only those that name resolution needs. */
function fsModeFor(target: Target, mode: FsMode): FsMode {
  return target.kind === "targetless" && mode !== "local" ? "localwithoverrides" : mode;
}

interface Values {
  text: string;
  boolean: boolean;
  seconds: number;
  list: readonly string[];
  fsMode: FsMode;
}

function readValue<K extends OptionDecl["kind"]>(said: Said, kind: K): Values[K] {
  return READERS[kind](said.text.trim(), said) as Values[K];
}

const READERS: { [K in OptionDecl["kind"]]: (text: string, said: Said) => Values[K] } = {
  text(text, said) {
    if (text === "") throw refuse(said, "it is empty");
    return text;
  },
  boolean(text, said) {
    if (text === "true" || text === "1") return true;
    if (text === "false" || text === "0") return false;
    throw refuse(said, `"${text}" is neither true nor false`);
  },
  seconds(text, said) {
    // A day is more than anybody waits for; the API server takes 32 bits.
    if (!/^[0-9]{1,5}$/.test(text) || Number(text) > 86400) {
      throw refuse(said, `"${text}" is not a number of seconds from 0 to 86400`);
    }
    return Number(text);
  },
  list(text) {
    return text.split(";").map((it) => it.trim()).filter((it) => it !== "");
  },
  fsMode(text, said) {
    const mode = FS_MODES.find((it) => it === text);
    if (mode) return mode;
    throw refuse(said, text === "write" ? 'mode "write" does not work yet' : `there is no mode "${text}"`, FS_MODES);
  },
};

function refuse(said: Said, reason: string, choices?: readonly string[]): UserError {
  const hint = choices ? `one of: ${choices.join(", ")}` : "`mirrord exec --help` says what it takes";
  return new UserError("VALUE_INVALID", `Cannot use the value of ${said.from}: ${reason}`, { hint, exitCode: 2 });
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === "object" && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
