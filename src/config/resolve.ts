/**
 * From what was said to one frozen `Config`: reads the values, checks them against each other, does nothing else.
 *
 * A flag wins over an environment variable, that over the configuration file, that over the default.
 */
import { UserError } from "../base/errors.ts";
import { type AgentConfig, formatAgent, resolveAgent } from "./agent_options.ts";
import type { AddressFilter } from "./address_filter.ts";
import { whyNoPattern } from "./pattern.ts";
import { formatIncoming, type IncomingConfig, incomingOf } from "./incoming.ts";
import { type ConfigKey, type FsMode, keyDecls, optionRows, type ValueKind } from "./options.ts";
import { formatProxy, type ProxyConfig, resolveProxy } from "./proxy_options.ts";
import { type PathMapping, pathMappingTable } from "./path_mapping.ts";
import { type PathRules, pathRulesTable, unixSocketsTable, whyNoPathPattern } from "./path_rules.ts";
import { formatTarget, parseTarget, type Target } from "./target.ts";
import { readValue, refuse, REGEX_ALLOWED, type Said, type Values } from "./values.ts";

export interface Config {
  readonly target: Target;
  /** Nobody named a target: targetless by default. */
  readonly isTargetDefault: boolean;
  readonly targetNamespace: string | undefined;
  readonly agent: AgentConfig;
  readonly kube: {
    readonly kubeconfig: string | undefined;
    readonly context: string | undefined;
    readonly acceptInvalidCertificates: boolean | undefined;
    /** Whether the environment's proxies count. */
    readonly usesProxy: boolean;
  };
  readonly env: {
    readonly include: readonly string[] | undefined;
    readonly exclude: readonly string[];
    /** Every process takes the target's variables when it starts, not only the first. */
    readonly isLoadedByProcess: boolean;
    /** Names of this machine's variables that go, whatever their case. */
    readonly unset: readonly string[];
    readonly file: string | undefined;
    /** Regular expressions over names, and the value that those get. */
    readonly mapping: Readonly<Record<string, string>>;
    readonly override: Readonly<Record<string, string>>;
  };
  readonly fsMode: FsMode;
  readonly paths: PathRules;
  /** Where the target's volumes are mounted is the target's for reading. */
  readonly isAutoMounting: boolean;
  /** What src/cli/magic.ts does. */
  readonly magic: { readonly isAws: boolean; readonly isTurbo: boolean };
  /** Paths that stand for others. */
  readonly pathMapping: PathMapping;
  readonly isDnsRemote: boolean;
  readonly isHostnameRemote: boolean;
  readonly isTcpRemote: boolean;
  readonly isUdpRemote: boolean;
  /** Patterns of Unix sockets that are the target's. */
  readonly unixSockets: readonly string[];
  /** The program can have no IPv6 sockets; sees no IPv6 addresses of its own. */
  readonly isIpv6Off: boolean;
  readonly isIpv6Hidden: boolean;
  readonly network: {
    readonly outgoing?: AddressFilter;
    readonly dns?: AddressFilter;
    readonly keepsLoopback: boolean;
    readonly isDnsRemote: boolean;
  };
  /** What becomes of connections to the ports that the program listens on. */
  readonly incoming: IncomingConfig;
  readonly internalProxy: ProxyConfig;
  /** Of the session; undefined: nobody named one. */
  readonly key: string | undefined;
  readonly skip: {
    readonly processes: readonly string[];
    readonly isSkippingBuildTools: boolean;
    readonly extraBuildTools: readonly string[];
  };
}

/** What the environment says, in the table's order. Empty variables say nothing. */
export function saidByEnvironment(get: (name: string) => string | undefined): Said[] {
  const seen = new Set<string>();
  const said: Said[] = [];
  for (const { env, key } of optionRows()) {
    const text = env && get(env);
    if (!text || seen.has(env)) continue;
    seen.add(env);
    said.push({ key, text, from: env });
  }
  return [...saidByOldVariables(get), ...said];
}

/** Variables of the reference tool's that came before MIRRORD_FILE_MODE, which wins. */
function saidByOldVariables(get: (name: string) => string | undefined): Said[] {
  const mode = (env: string, yes: FsMode, no: FsMode): Said[] => {
    const text = get(env);
    const key = "feature.fs.mode";
    return text ? [{ key, text: ["true", "1"].includes(text) ? yes : no, from: env }] : [];
  };
  return [...mode("MIRRORD_FILE_RO_OPS", "read", "local"), ...mode("MIRRORD_FILE_OPS", "write", "local")];
}

/** Later ones in `said` win. Throws `UserError` when a value cannot be read or two contradict. */
export function resolveConfig(said: readonly Said[]): Config {
  const last = new Map(said.map((it) => [it.key, it]));
  const value = <K extends ValueKind>(key: ConfigKey, kind: K): Values[K] | undefined => {
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
  const agent = resolveAgent(value);
  if (agent.isEphemeral) requirePod(target, last.get("agent.ephemeral")!);
  const mapping = value("feature.env.mapping", "map") ?? {};
  checkPatterns(mapping, last.get("feature.env.mapping"));
  return deepFreeze({
    target,
    isTargetDefault: targetText === undefined,
    targetNamespace: value("target.namespace", "namespace"),
    agent,
    kube: kubeOf(value),
    env: {
      include,
      exclude: exclude ?? [],
      isLoadedByProcess: value("feature.env.load_from_process", "boolean") ?? false,
      unset: value("feature.env.unset", "list") ?? [],
      file: value("feature.env.env_file", "text"),
      mapping,
      override: value("feature.env.override", "map") ?? {},
    },
    fsMode: fsModeFor(target, value("feature.fs.mode", "fsMode") ?? "read"),
    ...pathsOf(value, last),
    isAutoMounting: value("feature.magic.auto_mount", "boolean") ?? true,
    magic: {
      isAws: value("feature.magic.aws", "boolean") ?? true,
      isTurbo: value("feature.magic.turbo", "boolean") ?? true,
    },
    isDnsRemote: value("feature.network.dns.enabled", "boolean") ?? true,
    isHostnameRemote: value("feature.hostname", "boolean") ?? true,
    isTcpRemote: value("feature.network.outgoing.tcp", "boolean") ?? true,
    isUdpRemote: value("feature.network.outgoing.udp", "boolean") ?? true,
    network: networkOf(value, last),
    incoming: incomingOf(target, value, last),
    internalProxy: resolveProxy(value),
    key: value("key", "text"),
    skip: {
      processes: value("skip_processes", "list") ?? [],
      isSkippingBuildTools: value("skip_build_tools", "boolean") ?? true,
      extraBuildTools: value("skip_extra_build_tools", "list") ?? [],
    },
  });
}

function requirePod(target: Target, said: Said): void {
  if (target.kind !== "targetless" && target.kind !== "process") return;
  throw new UserError(
    "OPTIONS_CONFLICT",
    `Cannot use ${said.from} with target "${formatTarget(target)}": there is no pod to put the agent into`,
    { hint: "--target names a pod or a workload", exitCode: 2 },
  );
}

function checkPatterns(mapping: Values["map"], said: Said | undefined): void {
  for (const pattern of Object.keys(mapping)) {
    const wrong = whyNoPattern(pattern);
    if (wrong !== undefined) throw refuse(said!, `"${pattern}" is no regular expression: ${wrong}`, REGEX_ALLOWED);
  }
}

function kubeOf(value: ReadSaid): Config["kube"] {
  return {
    kubeconfig: value("kubeconfig", "text"),
    context: value("kube_context", "text"),
    acceptInvalidCertificates: value("accept_invalid_certificates", "boolean"),
    usesProxy: value("use_proxy", "boolean") ?? true,
  };
}

type ReadSaid = <K extends ValueKind>(key: ConfigKey, kind: K) => Values[K] | undefined;

type ShimRules = Pick<Config, "paths" | "pathMapping" | "unixSockets" | "isIpv6Off" | "isIpv6Hidden">;

/** What the shim decides by itself. */
function pathsOf(
  value: ReadSaid,
  last: ReadonlyMap<ConfigKey, Said>,
): ShimRules {
  const paths: PathRules = {
    notFound: value("feature.fs.not_found", "patterns") ?? [],
    readWrite: value("feature.fs.read_write", "patterns") ?? [],
    readOnly: value("feature.fs.read_only", "patterns") ?? [],
    local: value("feature.fs.local", "patterns") ?? [],
  };
  pathRulesTable(paths); // throws
  const pathMapping = Object.entries(value("feature.fs.mapping", "map") ?? {});
  checkMapping(pathMapping, last.get("feature.fs.mapping"));
  value("feature.fs.readonly_file_buffer", "bufferBytes");
  const isIpv6Off = value("feature.network.ipv6", "boolean") === false;
  const isIpv6Hidden = value("experimental.hide_ipv6_interfaces", "boolean") ?? false;
  return { paths, pathMapping, unixSockets: unixSocketsOf(value), isIpv6Off, isIpv6Hidden };
}

function networkOf(value: ReadSaid, last: ReadonlyMap<ConfigKey, Said>): Config["network"] {
  const filter = (section: "outgoing" | "dns"): AddressFilter | undefined => {
    const remote = value(`feature.network.${section}.filter.remote`, "addresses");
    const local = value(`feature.network.${section}.filter.local`, "addresses");
    if (remote && local) {
      throw new UserError(
        "OPTIONS_CONFLICT",
        `Cannot use ${last.get(`feature.network.${section}.filter.remote`)!.from} together with ` +
          `${last.get(`feature.network.${section}.filter.local`)!.from}: each says what all the rest is`,
        { hint: "give one of them", exitCode: 2 },
      );
    }
    return remote ? { side: "remote", rules: remote } : local && { side: "local", rules: local };
  };
  const outgoing = filter("outgoing");
  const dns = filter("dns");
  return {
    ...outgoing && { outgoing },
    ...dns && { dns },
    keepsLoopback: value("feature.network.outgoing.ignore_localhost", "boolean") ?? false,
    isDnsRemote: value("feature.network.dns.enabled", "boolean") ?? true,
  };
}

function unixSocketsOf(value: ReadSaid): readonly string[] {
  const patterns = value("feature.network.outgoing.unix_streams", "patterns") ?? [];
  unixSocketsTable(patterns); // throws
  return patterns;
}

function checkMapping(mapping: PathMapping, said: Said | undefined): void {
  for (const [pattern] of mapping) {
    const wrong = whyNoPathPattern(pattern);
    if (wrong !== undefined) throw refuse(said!, `"${pattern}" is no regular expression: ${wrong}`, REGEX_ALLOWED);
  }
  pathMappingTable(mapping);
}

/** Without a target there are no files of somebody else worth having: only those that name resolution needs. */
function fsModeFor(target: Target, mode: FsMode): FsMode {
  return target.kind === "targetless" && mode !== "local" ? "localwithoverrides" : mode;
}

/** As a configuration file would say it, every key that has a value. */
export function formatConfig(config: Config): Record<string, unknown> {
  const { agent, kube, env } = config;
  const flat: Record<ConfigKey, unknown> = {
    "target.path": formatTarget(config.target),
    "target.namespace": config.targetNamespace,
    ...formatAgent(agent),
    "feature.fs.mode": config.fsMode,
    "feature.fs.read_write": config.paths.readWrite,
    "feature.fs.read_only": config.paths.readOnly,
    "feature.fs.local": config.paths.local,
    "feature.fs.not_found": config.paths.notFound,
    "feature.fs.mapping": Object.fromEntries(config.pathMapping),
    "feature.fs.readonly_file_buffer": undefined,
    "feature.magic.auto_mount": config.isAutoMounting,
    "feature.magic.aws": config.magic.isAws,
    "feature.magic.turbo": config.magic.isTurbo,
    "feature.env.include": env.include,
    "feature.env.exclude": env.include ? undefined : env.exclude,
    "feature.env.load_from_process": env.isLoadedByProcess,
    "feature.env.unset": env.unset,
    "feature.env.env_file": env.file,
    "feature.env.mapping": env.mapping,
    "feature.env.override": env.override,
    "feature.hostname": config.isHostnameRemote,
    "feature.network.dns.enabled": config.isDnsRemote,
    "feature.network.outgoing.tcp": config.isTcpRemote,
    "feature.network.outgoing.udp": config.isUdpRemote,
    "feature.network.outgoing.ignore_localhost": config.network.keepsLoopback,
    "feature.network.outgoing.filter.remote": rulesOf(config.network.outgoing, "remote"),
    "feature.network.outgoing.filter.local": rulesOf(config.network.outgoing, "local"),
    "feature.network.outgoing.unix_streams": config.unixSockets,
    "feature.network.ipv6": !config.isIpv6Off,
    "experimental.hide_ipv6_interfaces": config.isIpv6Hidden,
    "feature.network.dns.filter.remote": rulesOf(config.network.dns, "remote"),
    "feature.network.dns.filter.local": rulesOf(config.network.dns, "local"),
    "feature.network.incoming.mode": config.incoming.mode,
    ...formatIncoming(config.incoming),
    ...formatProxy(config.internalProxy),
    "key": config.key,
    "skip_processes": config.skip.processes,
    "skip_build_tools": config.skip.isSkippingBuildTools,
    "skip_extra_build_tools": config.skip.extraBuildTools,
    "accept_invalid_certificates": kube.acceptInvalidCertificates,
    "use_proxy": kube.usesProxy,
    "kubeconfig": kube.kubeconfig,
    "kube_context": kube.context,
    "telemetry": false,
  };
  const nested: Record<string, unknown> = {};
  for (const { key } of keyDecls()) {
    if (flat[key] === undefined) continue;
    const path = key.split(".");
    let at = nested;
    for (const name of path.slice(0, -1)) at = (at[name] ??= {}) as Record<string, unknown>;
    at[path.at(-1)!] = flat[key];
  }
  return nested;
}

function rulesOf(filter: AddressFilter | undefined, side: AddressFilter["side"]): readonly string[] | undefined {
  return filter?.side === side ? filter.rules : undefined;
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === "object" && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
