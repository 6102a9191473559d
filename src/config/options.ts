/**
 * THE table of options: flags, environment variables, keys of the configuration file, help and docs/config.md all come
 * from it. Names and defaults are the reference tool's.
 *
 * An option stands here once it works: what is not in the table is refused, never accepted and ignored (other_keys.ts
 * says why, for the reference tool's).
 */

import { KUBE_FILE_OPTIONS, KUBE_OPTIONS } from "./kube_options.ts";
import { AGENT_FILE_OPTIONS, AGENT_OPTIONS, type AgentKey } from "./agent_options.ts";
import { INCOMING_FILE_OPTIONS, type IncomingKey } from "./incoming_options.ts";
import { MAGIC_FILE_OPTIONS, type MagicKey } from "./magic_options.ts";
import { NETWORK_FILE_OPTIONS, type NetworkKey } from "./network_options.ts";
import { PROXY_FILE_OPTIONS, type ProxyKey } from "./proxy_options.ts";

/** How the text of a value is read. */
export type ValueKind =
  | "text"
  | "namespace"
  | "boolean"
  | "seconds"
  | "list"
  | "fsMode"
  | "map"
  | "patterns"
  | "addresses"
  | "bufferBytes"
  | "milliseconds"
  | "image"
  | "pullPolicy"
  | "object"
  | "objects"
  | "incomingMode"
  | "pattern"
  | "httpFilters"
  | "ports"
  | "portPairs"
  | "logLevel";

export interface KeyDecl {
  /** Where it stands in the configuration file; two options may speak of one key. */
  readonly key: ConfigKey;
  readonly kind: ValueKind;
  readonly doc: string;
  readonly default?: string;
  readonly env?: `MIRRORD_${string}`;
  readonly group:
    | "Configuration"
    | "Target"
    | "Agent"
    | "What is the target's"
    | "Kubernetes"
    | "Logs"
    | "Accepted, without effect";
}

export interface OptionDecl extends KeyDecl {
  readonly flag: `--${string}`;
  readonly short?: `-${string}`;
  readonly env: `MIRRORD_${string}`;
  /** Placeholder of the value in the help; a flag without one says `sets`. */
  readonly value?: string;
  readonly isValueOptional?: boolean;
  /** What the flag alone says. */
  readonly sets?: string;
  /** Another key of which the flag (not the variable) says the same. */
  readonly also?: ConfigKey;
}

export type ConfigKey =
  | "target.path"
  | "target.namespace"
  | AgentKey
  | "feature.fs.mode"
  | "feature.fs.read_write"
  | "feature.fs.read_only"
  | "feature.fs.local"
  | "feature.fs.not_found"
  | "feature.fs.mapping"
  | "feature.fs.readonly_file_buffer"
  | MagicKey
  | "feature.env.include"
  | "feature.env.exclude"
  | "feature.env.load_from_process"
  | "feature.env.unset"
  | "feature.env.env_file"
  | "feature.env.mapping"
  | "feature.env.override"
  | "feature.hostname"
  | "feature.network.dns.enabled"
  | "feature.network.outgoing.tcp"
  | "feature.network.outgoing.udp"
  | NetworkKey
  | IncomingKey
  | ProxyKey
  | "feature.network.incoming.mode"
  | "key"
  | "skip_processes"
  | "skip_build_tools"
  | "skip_extra_build_tools"
  | "accept_invalid_certificates"
  | "use_proxy"
  | "kubeconfig"
  | "kube_context"
  | "telemetry";

/** Every row, in the order of the help. */
export function optionRows(): (KeyDecl & Partial<OptionDecl>)[] {
  return [...EXEC_OPTIONS, ...FILE_OPTIONS];
}

export const FS_MODES = ["local", "localwithoverrides", "read", "write"] as const;
export type FsMode = typeof FS_MODES[number];

export const INCOMING_MODES = ["mirror", "steal", "off"] as const;
export type IncomingMode = typeof INCOMING_MODES[number];

export const EXEC_OPTIONS: readonly OptionDecl[] = [
  {
    flag: "--target",
    short: "-t",
    env: "MIRRORD_IMPERSONATED_TARGET",
    key: "target.path",
    kind: "text",
    value: "PATH",
    doc: "What the program stands in for: pod/NAME[/container/C], the same with deployment, statefulset, daemonset, " +
      "replicaset, job, cronjob, service or rollout; label/KEY=VALUE, process/PID, or targetless",
    default: "targetless",
    group: "Target",
  },
  {
    flag: "--target-namespace",
    short: "-n",
    env: "MIRRORD_TARGET_NAMESPACE",
    key: "target.namespace",
    kind: "namespace",
    value: "NAMESPACE",
    doc: "Namespace of the target",
    default: "the kubeconfig's",
    group: "Target",
  },
  ...AGENT_OPTIONS,
  {
    flag: "--fs-mode",
    env: "MIRRORD_FILE_MODE",
    key: "feature.fs.mode",
    kind: "fsMode",
    value: "MODE",
    doc: "Whose files are opened: local (this machine's), localwithoverrides (the same, but for what DNS needs), " +
      "read (the target's, for reading), write (the target's, for reading and writing)",
    default: "read",
    group: "What is the target's",
  },
  {
    flag: "--override-env-vars-include",
    short: "-s",
    env: "MIRRORD_OVERRIDE_ENV_VARS_INCLUDE",
    key: "feature.env.include",
    kind: "list",
    value: "NAMES",
    doc: 'Take only these of the target\'s variables; separated by ";", with * and ?',
    group: "What is the target's",
  },
  {
    flag: "--override-env-vars-exclude",
    short: "-x",
    env: "MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE",
    key: "feature.env.exclude",
    kind: "list",
    value: "NAMES",
    doc: 'Take all but these of the target\'s variables; separated by ";", with * and ?',
    group: "What is the target's",
  },
  {
    flag: "--env-file",
    env: "MIRRORD_OVERRIDE_ENV_VARS_FILE",
    key: "feature.env.env_file",
    kind: "text",
    value: "FILE",
    doc: "File of variables, NAME=VALUE a line, that win over the target's",
    group: "What is the target's",
  },
  {
    flag: "--steal",
    env: "MIRRORD_AGENT_TCP_STEAL_TRAFFIC",
    key: "feature.network.incoming.mode",
    kind: "incomingMode",
    sets: "steal",
    doc: "Take the target's incoming connections away from it, instead of copying them",
    default: "mirror",
    group: "What is the target's",
  },
  {
    flag: "--no-remote-dns",
    env: "MIRRORD_REMOTE_DNS",
    key: "feature.network.dns.enabled",
    kind: "boolean",
    sets: "false",
    doc: "Resolve names on this machine",
    group: "What is the target's",
  },
  {
    flag: "--no-outgoing",
    env: "MIRRORD_TCP_OUTGOING",
    key: "feature.network.outgoing.tcp",
    kind: "boolean",
    sets: "false",
    also: "feature.network.outgoing.udp",
    doc: "Make all connections from this machine, and send all datagrams from it",
    group: "What is the target's",
  },
  {
    flag: "--no-tcp-outgoing",
    env: "MIRRORD_TCP_OUTGOING",
    key: "feature.network.outgoing.tcp",
    kind: "boolean",
    sets: "false",
    doc: "Make TCP connections from this machine",
    group: "What is the target's",
  },
  {
    flag: "--no-udp-outgoing",
    env: "MIRRORD_UDP_OUTGOING",
    key: "feature.network.outgoing.udp",
    kind: "boolean",
    sets: "false",
    doc: "Send UDP datagrams from this machine",
    group: "What is the target's",
  },
  {
    flag: "--skip-processes",
    env: "MIRRORD_SKIP_PROCESSES",
    key: "skip_processes",
    kind: "list",
    value: "NAMES",
    doc: 'Names of child processes that are left alone; separated by ";"',
    group: "What is the target's",
  },
  {
    flag: "--key",
    short: "-k",
    env: "MIRRORD_KEY",
    key: "key",
    kind: "text",
    value: "KEY",
    doc: "Key of the session, for templates in the configuration file: {{ key }}",
    default: "five random digits",
    group: "Configuration",
  },
  ...KUBE_OPTIONS,
  {
    flag: "--disable-version-check",
    env: "MIRRORD_CHECK_VERSION",
    key: "telemetry",
    kind: "boolean",
    sets: "false",
    doc: "There is no version check",
    group: "Accepted, without effect",
  },
  {
    flag: "--no-telemetry",
    env: "MIRRORD_TELEMETRY",
    key: "telemetry",
    kind: "boolean",
    sets: "false",
    doc: "There is no telemetry",
    group: "Accepted, without effect",
  },
];

/** Options without a flag: a configuration file says them, some a variable too. */
export const FILE_OPTIONS: readonly KeyDecl[] = [
  ...AGENT_FILE_OPTIONS,
  ...KUBE_FILE_OPTIONS,
  {
    key: "feature.fs.read_write",
    kind: "patterns",
    env: "MIRRORD_FILE_READ_WRITE_PATTERN",
    doc: "Paths that are the target's, for reading and writing",
    group: "What is the target's",
  },
  {
    key: "feature.fs.read_only",
    kind: "patterns",
    env: "MIRRORD_FILE_READ_ONLY_PATTERN",
    doc: "Paths that are the target's for reading and this machine's for writing",
    group: "What is the target's",
  },
  {
    key: "feature.fs.local",
    kind: "patterns",
    env: "MIRRORD_FILE_LOCAL_PATTERN",
    doc: "Paths that are this machine's",
    group: "What is the target's",
  },
  {
    key: "feature.fs.not_found",
    kind: "patterns",
    doc: "Paths that are not there, whatever lies there",
    group: "What is the target's",
  },
  {
    key: "feature.fs.mapping",
    kind: "map",
    doc:
      "From a regular expression to what stands in the place of what it matches, with $1 for its groups: paths that " +
      "stand for others, here or at the target; the first that matches",
    group: "What is the target's",
  },
  ...MAGIC_FILE_OPTIONS,
  {
    key: "feature.fs.readonly_file_buffer",
    kind: "bufferBytes",
    doc: "Says nothing here: files up to 1 MiB come whole when they are opened, bigger ones as they are read",
    default: "128000",
    group: "Accepted, without effect",
  },
  {
    key: "skip_build_tools",
    kind: "boolean",
    env: "MIRRORD_SKIP_BUILD_TOOLS",
    doc:
      "Leave compilers, linkers, git and the like alone, unless the program is one itself or their working directory is " +
      "the target's",
    default: "true",
    group: "What is the target's",
  },
  {
    key: "skip_extra_build_tools",
    kind: "list",
    env: "MIRRORD_SKIP_EXTRA_BUILD_TOOLS",
    doc: "More names of build tools",
    group: "What is the target's",
  },
  {
    key: "feature.env.load_from_process",
    kind: "boolean",
    env: "MIRRORD_ENV_LOAD_FROM_PROCESS",
    doc:
      "Let every process take the target's variables when it starts, not only the first: for launchers that give their " +
      "programs an environment of their own making",
    default: "false",
    group: "What is the target's",
  },
  {
    key: "feature.env.unset",
    kind: "list",
    doc: "Variables of this machine that the program does not get, whatever their case",
    group: "What is the target's",
  },
  {
    key: "feature.env.mapping",
    kind: "map",
    doc: "From a regular expression to a value: variables whose name it matches get that value; the first that matches",
    group: "What is the target's",
  },
  {
    key: "feature.env.override",
    kind: "map",
    doc: "Variables that win over all others, by name",
    group: "What is the target's",
  },
  ...NETWORK_FILE_OPTIONS,
  ...INCOMING_FILE_OPTIONS,
  ...PROXY_FILE_OPTIONS,
  {
    key: "feature.hostname",
    kind: "boolean",
    doc: "Whether the host name is the target's",
    default: "true",
    group: "What is the target's",
  },
];

/** Every key that works, once: `-x` and `-y` may be about one. */
export function keyDecls(): (KeyDecl & Partial<OptionDecl>)[] {
  const all = optionRows();
  return all.filter((it, index) => all.findIndex((other) => other.key === it.key) === index);
}

/** Not a key: it says where the keys are. */
export const CONFIG_FILE_OPTION = {
  flag: "--config-file",
  short: "-f",
  env: "MIRRORD_CONFIG_FILE",
  value: "PATH",
  isValueOptional: true,
  takesNextWord: true,
  sets: "./.mirrord/mirrord.json",
  doc: "Configuration file: JSON, TOML or YAML by its ending, - is standard input; alone it is ./.mirrord/mirrord.json",
  default: "./.mirrord/mirrord.{json,toml,yaml}, when there is one",
  group: "Configuration",
} as const;
