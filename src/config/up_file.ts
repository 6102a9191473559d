/**
 * mirrord-up.yaml: several services, each a program of this machine in the context of a target. Each becomes a configuration
 * file of its own, as `mirrord exec` reads it. Keys that nobody knows are refused, and so is what needs the operator.
 */
import { UserError } from "../base/errors.ts";
import { nearest } from "../base/nearest.ts";
import { readKeys } from "./file.ts";
import { saidByFile } from "./keys.ts";
import { resolveConfig } from "./resolve.ts";
import { isObject } from "./values.ts";

export interface UpService {
  readonly name: string;
  /** As in a configuration file. */
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly command: readonly string[];
  /** It names no target: the one of its own name is meant. */
  readonly isTargetMissing: boolean;
  readonly namespace: string | undefined;
}

type Keys = Readonly<Record<string, unknown>>;

const COMMON = ["accept_invalid_certificates", "operator", "telemetry", "context"];
const SERVICE = [
  ...["target", "env", "default_mode", "http_filter", "ignore_ports", "skip", "context", "split_queues", "run"],
];
const RUN = ["type", "command"];

/** The services that are named (all without names), but for those that skip themselves. Throws `UserError`. */
export async function readUpFile(
  path: string,
  key: string | undefined,
  names: readonly string[],
): Promise<{ readonly services: readonly UpService[]; readonly key: string }> {
  const { content, key: used } = await readKeys(path, key);
  checkKeys(path, "", content, ["common", "services"]);
  const common = keysAt(path, "common", content["common"]);
  checkKeys(path, "common.", common, COMMON);
  if (common["operator"]) throw refuse(path, "common.operator", NEEDS_OPERATOR, "leave it out, or say false");
  const services = Object.entries(keysAt(path, "services", content["services"]));
  for (const name of names) {
    if (services.some(([it]) => it === name)) continue;
    const near = nearest(name, services.map(([it]) => it));
    throw refuse(path, `services.${name}`, "there is no such service", near && `did you mean "${near}"?`);
  }
  const wanted = services.filter(([name]) => names.length === 0 || names.includes(name));
  const read = wanted.flatMap(([name, value]) => serviceOf(path, name, value, common, used, names.includes(name)));
  if (read.length > 0) return { services: read, key: used };
  throw refuse(path, "services", "there is none to run", "docs/config.md says how such a file looks");
}

const NEEDS_OPERATOR = "it needs the operator, which this tool does not have";

function serviceOf(
  path: string,
  name: string,
  value: unknown,
  common: Keys,
  key: string,
  isNamed: boolean,
): UpService[] {
  const at = `services.${name}`;
  const it = keysAt(path, at, value);
  checkKeys(path, `${at}.`, it, SERVICE);
  if (it["skip"] === true && !isNamed) return [];
  if (it["split_queues"]) throw refuse(path, `${at}.split_queues`, NEEDS_OPERATOR, "leave it out");
  if (it["default_mode"] === "replace") {
    throw refuse(path, `${at}.default_mode`, NEEDS_OPERATOR, '"split" takes the requests of your session alone');
  }
  if (![undefined, null, "split"].includes(it["default_mode"] as string)) {
    throw refuse(path, `${at}.default_mode`, `there is no mode "${it["default_mode"]}"`, 'allowed: "split"');
  }
  const run = keysAt(path, `${at}.run`, it["run"]);
  checkKeys(path, `${at}.run.`, run, RUN);
  const target = targetOf(path, at, it["target"]);
  const configuration = configurationOf(it, common, target, key);
  checkConfiguration(path, name, configuration);
  return [{
    name,
    configuration,
    command: commandOf(path, at, run),
    isTargetMissing: target.path === undefined,
    namespace: target.namespace,
  }];
}

function configurationOf(it: Keys, common: Keys, target: Target, key: string): Keys {
  const http_filter = it["http_filter"] ??
    { header_filter: `^baggage:(.*[ ,])?mirrord-session=${literal(key)}([ ,;].*)?$` };
  const isTargetless = target.path === "targetless";
  const ignore_ports = it["ignore_ports"];
  const said = (name: string, value: unknown) => value === undefined || value === null ? {} : { [name]: value };
  return {
    ...said("accept_invalid_certificates", common["accept_invalid_certificates"]),
    ...said("telemetry", common["telemetry"]),
    ...said("kube_context", it["context"] ?? common["context"]),
    key,
    target: { ...said("path", target.path), ...said("namespace", target.namespace) },
    feature: {
      ...said("env", it["env"]),
      network: {
        incoming: isTargetless ? "off" : { mode: "steal", http_filter, ...said("ignore_ports", ignore_ports) },
      },
    },
  };
}

function literal(key: string): string {
  return key.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

interface Target {
  readonly path: unknown;
  readonly namespace: string | undefined;
}

/** "none", a path, or an object with path and namespace. */
function targetOf(path: string, at: string, value: unknown): Target {
  if (typeof value === "string") return { path: value === "none" ? "targetless" : value, namespace: undefined };
  const it = keysAt(path, `${at}.target`, value);
  checkKeys(path, `${at}.target.`, it, ["path", "namespace"]);
  const { path: named, namespace } = it as { path?: unknown; namespace?: unknown };
  return { path: named ?? undefined, namespace: typeof namespace === "string" ? namespace : undefined };
}

function commandOf(path: string, at: string, run: Keys): string[] {
  const { type = "exec", command } = run as { type?: unknown; command?: unknown };
  if (type === "container") {
    const hint = "`type: exec` runs the program itself, outside of its container";
    throw refuse(path, `${at}.run.type`, "programs in containers cannot be entered", hint);
  }
  if (type !== "exec") throw refuse(path, `${at}.run.type`, `there is no type "${type}"`, 'allowed: "exec"');
  const words = typeof command === "string" ? command.trim().split(/\s+/) : command;
  const isWord = (it: unknown) => ["string", "number", "boolean"].includes(typeof it); // YAML takes 80 for a number
  if (Array.isArray(words) && words.length > 0 && words[0] !== "" && words.every(isWord)) return words.map(String);
  throw refuse(path, `${at}.run.command`, "it is no list of words", "command: [node, server.js]");
}

/** As `mirrord exec` would; that no target is named is not wrong yet. */
function checkConfiguration(path: string, name: string, configuration: Keys): void {
  const target = configuration["target"] as { path?: unknown };
  const whole = { ...configuration, target: { ...target, path: target.path ?? "pod/any" } };
  const { said, errors } = saidByFile(whole, `service "${name}" of ${path}`);
  if (errors[0]) throw errors[0];
  resolveConfig(said);
}

function keysAt(path: string, at: string, value: unknown): Keys {
  if (value === undefined || value === null) return {};
  if (isObject(value)) return value;
  throw refuse(path, at, "it is no object of keys");
}

function checkKeys(path: string, prefix: string, keys: Keys, known: readonly string[]): void {
  const odd = Object.keys(keys).find((it) => !known.includes(it));
  if (odd === undefined) return;
  const near = nearest(odd, known);
  throw new UserError("CONFIG_KEY_UNKNOWN", `Cannot use "${prefix}${odd}" in ${path}: there is no such key`, {
    hint: near ? `did you mean "${prefix}${near}"?` : `known: ${known.join(", ")}`,
    exitCode: 2,
  });
}

function refuse(path: string, key: string, because: string, hint?: string): UserError {
  return new UserError("VALUE_INVALID", `Cannot use the value of "${key}" in ${path}: ${because}`, {
    ...(hint === undefined ? {} : { hint }),
    exitCode: 2,
  });
}
