/** `mirrord ls`: what can be a target, for people (tables), for scripts and IDE plugins (JSON, names). */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import { kindOf } from "../config/target.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Listed, ListedKind } from "../kube/listing.ts";
import { type Command, type CommandInput, isGiven, valueOf } from "./command.ts";
import { loadConfig } from "./configuration.ts";
import { formatRichTargets, formatTargets, OUTPUTS } from "./ls_format.ts";
import { complain, isOutputTerminal, printLine } from "./terminal.ts";

const KUBERNETES = EXEC_OPTIONS.filter((it) => it.group === "Kubernetes");
const NAMESPACE = EXEC_OPTIONS.find((it) => it.key === "target.namespace")!;
const TYPES_VARIABLE = "MIRRORD_LS_TARGET_TYPES";
const RICH_VARIABLE = "MIRRORD_LS_RICH_OUTPUT";

export const LS_COMMAND: Command = {
  name: "ls",
  summary: "List what can be a target",
  doc: `Lists what can be a target: pods that are ready, workloads and Services of which something runs.

Where there are several containers, each is listed.`,
  usage: ["mirrord ls [options]"],
  examples: ["mirrord ls --target-namespace shop", "mirrord ls --output json --type deployment"],
  flags: [
    {
      flag: "--output",
      short: "-o",
      value: "FORMAT",
      doc: "json, name, table or wide (a table with what is ready, ages and images)",
      default: "table on a terminal, else json",
    },
    {
      flag: "--type",
      short: "-t",
      value: "TYPE",
      doc: "Only these: pod, deployment, rollout, statefulset, daemonset, replicaset, job, cronjob, service; may be " +
        "given several times",
      default: "all",
      env: TYPES_VARIABLE,
    },
    { flag: "--all-namespaces", short: "-A", doc: "Of all namespaces; JSON then has objects with namespace and path" },
    { ...NAMESPACE, doc: "Namespace to list", group: "Kubernetes" },
    ...KUBERNETES,
    CONFIG_FILE_OPTION,
  ],
  variables: {
    [RICH_VARIABLE]: 'JSON for IDE plugins when it is "true": an object with targets, current_namespace, namespaces',
  },
  async run(input) {
    if (input.rest[0] !== undefined) {
      throw misuse(`Cannot list: "${input.rest[0]}" is too much`, "mirrord ls [options]");
    }
    const format = outputOf(input);
    const { LISTED_KINDS, listNamespaces, listTargets } = await import("../kube/listing.ts");
    const kinds = typesOf(input, LISTED_KINDS);
    const { config } = await loadConfig(input);
    const { openCluster } = await import("./open_cluster.ts");
    const kube = await openCluster(config);
    using client: KubeClient = kube.client;
    const isAll = isGiven(input, "--all-namespaces");
    const namespace = config.targetNamespace ?? kube.namespace;
    const isRich = format === "json" && Deno.env.get(RICH_VARIABLE) === "true";
    const [listed, namespaces] = await Promise.all([
      listTargets(client, { namespace: isAll ? undefined : namespace, kinds }),
      isRich ? listNamespaces(client) : undefined,
    ]);
    for (const warning of listed.warnings) complain(`warning: ${warning}\n`);
    if (isRich) printLine(formatRichTargets(listed.targets, namespace, namespaces ?? [namespace]));
    else printTargets(listed, format, isAll, namespace);
    return 0;
  },
};

function printTargets({ targets }: Listed, format: Output, isAll: boolean, namespace: string): void {
  if (targets.length > 0 || format === "json") printLine(formatTargets(targets, format, isAll));
  else if (format !== "name") {
    complain(`Nothing runs that can be a target in ${isAll ? "any namespace" : `namespace "${namespace}"`}\n`);
  }
}

type Output = typeof OUTPUTS[number];

function outputOf(input: CommandInput): Output {
  const text = valueOf(input, "--output") ?? (isOutputTerminal() ? "table" : "json");
  const output = OUTPUTS.find((it) => it === text);
  if (output) return output;
  throw misuse(`Cannot print as "${text}": there is no such format`, `one of: ${OUTPUTS.join(", ")}`);
}

/** Undefined: nobody named any. */
function typesOf(input: CommandInput, all: readonly ListedKind[]): readonly ListedKind[] | undefined {
  const given = input.flags.filter((it) => it.decl.flag === "--type").flatMap((it) => it.text!.split(","));
  const words = given.length > 0 ? given : typesInVariable();
  const types = words.map((word) => {
    const kind = kindOf(word.trim().toLowerCase());
    const type = all.find((it) => it === kind);
    if (type) return type;
    throw misuse(`Cannot list "${word}": no such type of targets`, `one of: ${all.join(", ")}`);
  });
  return types.length > 0 ? types : undefined;
}

/** IDE plugins write JSON. Types that are no objects of a cluster ("targetless") say nothing here. */
function typesInVariable(): string[] {
  const text = Deno.env.get(TYPES_VARIABLE)?.trim() ?? "";
  if (text === "") return [];
  const words = text.startsWith("[") ? fromJson(text) : text.split(",");
  return words.filter((it) => it.trim() !== "" && it !== "targetless");
}

function fromJson(text: string): string[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((it) => typeof it === "string")) return value;
  } catch {
    // The same sentence.
  }
  throw misuse(`Cannot use the value of ${TYPES_VARIABLE}: it is no JSON array of strings`, '["deployment","pod"]');
}

function misuse(message: string, hint: string): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}
