/** What `mirrord explain` answers: sentences for people, objects for scripts. */
import { utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import {
  type AddressFilter,
  type AddressRule,
  dnsFilterOf,
  matchesRule,
  normalName,
  parseAddressRule,
  type Protocol,
} from "../config/address_filter.ts";
import { PathMapper } from "../config/path_mapping.ts";
import type { PathRules } from "../config/path_rules.ts";
import { matches } from "../config/regex/match.ts";
import { compileRegex } from "../config/regex/program.ts";
import type { Config } from "../config/resolve.ts";
import { type PathDecision, PathJudge, type Rule } from "../layer/explain.ts";
import { unpackShim } from "../layer/inject.ts";
import type { LoadedConfig } from "./configuration.ts";
import { type Environment, latin1, mappedBy, type TargetRule, targetRules, unsetBy } from "./environment.ts";
import { settingsOf } from "./intproxy_process.ts";
import { AWS_VARIABLES, withMagic } from "./magic.ts";
import { buildId, runSettings } from "./run.ts";
import { userEnvironment } from "./self.ts";
import shim from "../../native/out/shim.so" with { type: "bytes" };

export type Subject = { readonly subject: string } | { readonly variable: string };

export interface Explanation {
  readonly text: string;
  readonly json: unknown;
}

export async function explain(said: LoadedConfig, asked: Subject): Promise<Explanation> {
  const config = withMagic(said.config, userEnvironment(), []);
  if ("variable" in asked) return await explainVariable(config, asked.variable);
  const address = addressOf(asked.subject);
  return address ? explainAddress(config, address) : await explainPath(config, asked.subject);
}

// ---- paths ----

const WHOSE = { local: "this machine's", remote: "the target's", absent: "not there" } as const;

const WHY: Readonly<Record<Rule, string>> = {
  "undecidable": "the path is too long, or relative to nowhere",
  "mode-local": "all files are this machine's: feature.fs is local",
  "not-found-pattern": "a pattern of feature.fs.not_found matches",
  "read-write-pattern": "a pattern of feature.fs.read_write matches",
  "read-only-pattern":
    "a pattern of feature.fs.read_only matches: the target's for reading, this machine's for writing",
  "local-pattern": "a pattern of feature.fs.local matches",
  "mount": "a volume of the target is mounted there",
  "target-network": "what the kernel tells of the target's network",
  "user-credentials": "your own cloud credentials, which the target does not have",
  "target-identity": "names and certificates as the target has them",
  "root": "the root directory",
  "launch-directory": "in the directory in which the program is started, or one above it",
  "temporary-directory": "in $TMPDIR",
  "system-directory": "in a directory of the system: programs, libraries, devices",
  "program": "the program itself",
  "home-dotfile": "a file of yours whose name begins with a dot",
  "code": "code by its name, which this machine has",
  "mode-overrides": "feature.fs is localwithoverrides, and nothing says otherwise",
  "write": "feature.fs is read, and nothing says otherwise: what is written stays on this machine",
  "mode-remote": "nothing says otherwise: feature.fs is read or write",
};

const LISTS: Partial<Record<Rule, keyof PathRules>> = {
  "not-found-pattern": "notFound",
  "read-write-pattern": "readWrite",
  "read-only-pattern": "readOnly",
  "local-pattern": "local",
};

async function explainPath(config: Config, given: string): Promise<Explanation> {
  const absolute = given.startsWith("/") ? given : `${Deno.cwd()}/${given}`;
  const { mounts, note } = await mountsOf(config);
  const mapped = mappedPath(config, absolute);
  const path = mapped?.path ?? absolute;
  const shimPath = await unpackShim(shim, await buildId());
  const settings = settingsOf({ settings: runSettings(config, undefined, userEnvironment(), shimPath, mounts) });
  using judge = new PathJudge(shimPath);
  const [reading, writing] = [false, true].map((isWrite) =>
    describeDecision(config, path, judge.decide(settings, path, isWrite))
  ) as [Described, Described];
  const lines = [
    given,
    ...mapped ? [`  stands for ${mapped.path}: pattern "${mapped.pattern}" of feature.fs.mapping`] : [],
    `  reading: ${sentenceOf(reading)}`,
    `  writing: ${sentenceOf(writing)}`,
    ...note === undefined ? [] : [`  note: ${note}`],
  ];
  const json = { path: absolute, ...mapped ? { mapped } : {}, reading, writing, ...note === undefined ? {} : { note } };
  return { text: lines.join("\n"), json };
}

interface Described {
  readonly whose: "local" | "target" | "absent";
  readonly rule: Rule;
  readonly why: string;
  readonly pattern?: string;
  readonly asked_for?: string;
}

function describeDecision(config: Config, path: string, { outcome, rule, remotePath }: PathDecision): Described {
  const list = LISTS[rule];
  const pattern = list && patternIn(config.paths[list], path);
  return {
    whose: outcome === "remote" ? "target" : outcome,
    rule,
    why: WHY[rule],
    ...pattern === undefined ? {} : { pattern },
    ...remotePath === undefined || remotePath === path ? {} : { asked_for: remotePath },
  };
}

function sentenceOf({ whose, rule, why, pattern, asked_for: askedFor }: Described): string {
  const who = WHOSE[whose === "target" ? "remote" : whose];
  const which = pattern === undefined ? "" : ` ("${pattern}")`;
  return `${who}, by the rule ${rule}: ${why}${which}${askedFor === undefined ? "" : `; asked for as ${askedFor}`}`;
}

/** The table says which list; which of its patterns, these tell. */
function patternIn(patterns: readonly string[], path: string): string | undefined {
  const texts = path.endsWith("/") ? [`${plainPath(path)}/`, plainPath(path)].map(utf8) : [utf8(plainPath(path))];
  return patterns.find((source) => texts.some((text) => matches(compileRegex(source, { isCaseIgnored: true }), text)));
}

/** Without "//", "/./", ".." and a slash at its end, as patterns see it. */
function plainPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function mappedPath(config: Config, path: string): { path: string; pattern: string } | undefined {
  for (const entry of config.pathMapping) {
    const mapper = new PathMapper([entry]);
    const mapped = (path.endsWith("/") && mapper.map(utf8(`${plainPath(path)}/`))) || mapper.map(utf8(plainPath(path)));
    if (mapped) return { path: new TextDecoder().decode(mapped), pattern: entry[0] };
  }
  return undefined;
}

const CLUSTER_PATIENCE_MS = 5000;

/** Where the target's volumes are; what cannot be found out is said. */
async function mountsOf(config: Config): Promise<{ mounts: readonly string[]; note: string | undefined }> {
  const { target } = config;
  if (
    target.kind === "targetless" || target.kind === "process" || config.fsMode === "local" || !config.isAutoMounting
  ) {
    return { mounts: [], note: undefined };
  }
  try {
    const { openCluster } = await import("./open_cluster.ts");
    const { resolveTarget } = await import("../kube/pods.ts");
    const kube = await openCluster(config);
    using client = kube.client;
    const namespace = config.targetNamespace ?? kube.namespace;
    const found = await resolveTarget(client, namespace, target, AbortSignal.timeout(CLUSTER_PATIENCE_MS));
    return { mounts: found.mounts, note: undefined };
  } catch (error) {
    const reason = error instanceof UserError ? error.message : "the cluster does not answer";
    return { mounts: [], note: `where the target's volumes are is not known here: ${reason}` };
  }
}

// ---- variables ----

const TARGET_WHY: Readonly<Record<TargetRule, string>> = {
  "taken": "no rule leaves it out",
  "included": "feature.env.include names it",
  "never": "it would break the program, or mirrord, here",
  "not-included": "feature.env.include does not name it",
  "excluded": "feature.env.exclude names it",
  "excluded-by-default": "it speaks of the target's files or runtime; feature.env.include can take it all the same",
};

async function explainVariable(config: Config, name: string): Promise<Explanation> {
  const key = latin1(utf8(name));
  const { env } = config;
  const file: Environment = env.file === undefined ? new Map() : (await import("./env_file.ts")).readEnvFile(env.file);
  const rule = targetRules(env)(key);
  const isTaken = rule === "taken" || rule === "included";
  const mapping = mappedBy(env.mapping)(key);
  const isUnset = unsetBy(env.unset)(key);
  const own = isUnset ? "unset" : userEnvironment().has(key) ? "kept" : "none";
  const decides = Object.hasOwn(env.override, name)
    ? "override"
    : file.has(key)
    ? mapping ? "mapping" : "env_file"
    : isTaken
    ? mapping ? "mapping" : "target"
    : "own";
  const OWN = {
    unset: `it is unset: ${AWS_VARIABLES.includes(name) ? "feature.magic.aws" : "feature.env.unset"} names it`,
    kept: "it is this machine's",
    none: "there is none: this machine has no such variable",
  };
  const target = `the target's is ${isTaken ? "taken" : "not taken"}, by the rule ${rule}: ${TARGET_WHY[rule]}`;
  const answers: Record<typeof decides, string[]> = {
    override: ["it is what feature.env.override says, whatever else there is"],
    env_file: [`it is what the file of variables "${env.file}" says`],
    mapping: [
      `its value is that of the pattern "${mapping?.[0]}" of feature.env.mapping${
        file.has(key) ? "" : ", if the target has it"
      }`,
      target,
    ],
    target: [target, `if the target has none: ${OWN[own]}`],
    own: [target, OWN[own]],
  };
  return {
    text: [name, ...answers[decides].map((it) => `  ${it}`)].join("\n"),
    json: {
      variable: name,
      decides,
      target: { is_taken: isTaken, rule, why: TARGET_WHY[rule] },
      own,
      ...decides === "mapping" ? { pattern: mapping![0] } : {},
    },
  };
}

// ---- addresses ----

interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[::1]:port`; what has a slash in it is a path. */
function addressOf(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^/:[\]]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match && port > 0 && port < 65536 ? { host: match[1] ?? match[2]!, port } : undefined;
}

const LOOPBACK = /^(?:localhost|127\.[0-9.]+|::1|0\.0\.0\.0|::)$/;

interface Choice {
  readonly whose: "target" | "local" | "nobody";
  readonly rule: string;
  readonly why: string;
  /** Of the filter that decides. */
  readonly pattern?: string;
}

/** As native/names.c, native/sockets.c and, of filters, the intproxy decide. */
function explainAddress(config: Config, address: Address): Explanation {
  const name = nameChoice(config, address);
  const [tcp, udp] = [connectionChoice(config, address, "tcp"), connectionChoice(config, address, "udp")];
  const who = { target: "the target", local: "this machine", nobody: "nobody" };
  const sentence = ({ whose, rule, why, pattern }: Choice) =>
    `${who[whose]}, by the rule ${rule}: ${why}${pattern === undefined ? "" : ` ("${pattern}")`}`;
  const { host, port } = address;
  const lines = [`resolved by: ${sentence(name)}`, `TCP from: ${sentence(tcp)}`, `UDP from: ${sentence(udp)}`];
  return {
    text: [`${host.includes(":") ? `[${host}]` : host}:${port}`, ...lines.map((it) => `  ${it}`)].join("\n"),
    json: { host, port, name, tcp, udp },
  };
}

function nameChoice({ isDnsRemote, network }: Config, { host }: Address): Choice {
  if (bytesOf(host)) return { whose: "nobody", rule: "number", why: "an address needs no name server" };
  if (!isDnsRemote) return { whose: "local", rule: "dns-local", why: "feature.network.dns is off" };
  const filter = dnsFilterOf(network.outgoing, network.dns);
  const filtered = filter &&
    filterChoice(
      filter,
      "feature.network.dns.filter",
      (rule) => rule.name === normalName(host) || (!rule.name && !rule.subnet),
    );
  return filtered ??
    { whose: "target", rule: "dns", why: "names are resolved by the target's name servers and /etc/hosts" };
}

function connectionChoice(config: Config, { host, port }: Address, protocol: Protocol): Choice {
  const { network } = config;
  const bytes = bytesOf(host);
  if (protocol === "tcp" ? !config.isTcpRemote : !config.isUdpRemote) {
    return { whose: "local", rule: "outgoing-local", why: `feature.network.outgoing.${protocol} is off` };
  }
  const isLoopback = LOOPBACK.test(host);
  if (isLoopback && network.keepsLoopback) {
    return { whose: "local", rule: "ignore-localhost", why: "feature.network.outgoing.ignore_localhost is on" };
  }
  const names = new Set(bytes ? [] : [normalName(host)]);
  const filtered = network.outgoing &&
    filterChoice(
      network.outgoing,
      "feature.network.outgoing.filter",
      (rule) => matchesRule(rule, protocol, bytes ?? new Uint8Array(), port, names),
    );
  if (filtered && !(isLoopback && filtered.whose === "target")) return filtered;
  if (isLoopback) {
    const why = `unless a process of the run uses port ${port} itself: then it is that one`;
    return { whose: "target", rule: "loopback", why };
  }
  const own = protocol === "tcp"
    ? `; if it is the target's own address and the run listens on port ${port}: the run itself, by the rule own-server`
    : "";
  return { whose: "target", rule: "outgoing", why: `the agent reaches it from the target's network${own}` };
}

function filterChoice({ side, rules }: AddressFilter, key: string, isMatch: (rule: AddressRule) => boolean): Choice {
  const pattern = rules.find((text) => {
    const rule = parseAddressRule(text);
    return typeof rule === "object" && isMatch(rule);
  });
  const isRemote = (side === "remote") === (pattern !== undefined);
  const why = pattern === undefined ? `nothing of ${key}.${side} matches` : `${key}.${side} names it`;
  return { whose: isRemote ? "target" : "local", rule: "filter", why, ...pattern === undefined ? {} : { pattern } };
}

function bytesOf(host: string): Uint8Array | undefined {
  const rule = parseAddressRule(host);
  return typeof rule === "object" ? rule.subnet?.bytes : undefined;
}
