/** `mirrord ls`: what can be a target, for people (a table), for scripts (JSON, names). */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import type { ListedTarget } from "../kube/listing.ts";
import { type Command, type CommandInput, isGiven, valueOf } from "./command.ts";
import { loadConfig } from "./configuration.ts";
import { complain, isOutputTerminal, printLine } from "./terminal.ts";

const KUBERNETES = EXEC_OPTIONS.filter((it) => it.group === "Kubernetes");
const NAMESPACE = EXEC_OPTIONS.find((it) => it.key === "target.namespace")!;
const OUTPUTS = ["json", "name", "table"] as const;

export const LS_COMMAND: Command = {
  name: "ls",
  summary: "List what can be a target",
  doc: `Lists what can be a target: pods that are ready, and deployments of which at least one pod is available.

Where there are several containers, each is listed.`,
  usage: ["mirrord ls [options]"],
  examples: ["mirrord ls --target-namespace shop", "mirrord ls --output json --type deployment"],
  flags: [
    {
      flag: "--output",
      short: "-o",
      value: "FORMAT",
      doc: "json, name or table",
      default: "table on a terminal, else json",
    },
    { flag: "--type", short: "-t", value: "TYPE", doc: "Only these: pod, deployment; may be given several times" },
    { flag: "--all-namespaces", short: "-A", doc: "Of all namespaces" },
    { ...NAMESPACE, doc: "Namespace to list", group: "Kubernetes" },
    ...KUBERNETES,
    CONFIG_FILE_OPTION,
  ],
  async run(input) {
    if (input.rest[0] !== undefined) {
      throw misuse(`Cannot list: "${input.rest[0]}" is too much`, "mirrord ls [options]");
    }
    const format = outputOf(input);
    const { LISTED_KINDS, listTargets } = await import("../kube/listing.ts");
    const kinds = typesOf(input, LISTED_KINDS);
    const { config } = await loadConfig(input);
    const [{ loadKubeconfig }, { KubeClient }] = await Promise.all([
      import("../kube/kubeconfig.ts"),
      import("../kube/client.ts"),
    ]);
    const { kubeconfig: path, context, acceptInvalidCertificates: isInsecure } = config.kube;
    const kube = await loadKubeconfig({ path, context, isInsecure });
    using client = new KubeClient(kube.server);
    const isAll = isGiven(input, "--all-namespaces");
    const namespace = config.targetNamespace ?? kube.namespace;
    const targets = await listTargets(client, isAll ? undefined : namespace, kinds);
    if (targets.length === 0 && format === "table") {
      complain(`Nothing runs that can be a target in ${isAll ? "any namespace" : `namespace "${namespace}"`}\n`);
    } else if (targets.length > 0 || format === "json") printLine(formatTargets(targets, format, isAll));
    return 0;
  },
};

type Output = typeof OUTPUTS[number];

function outputOf(input: CommandInput): Output {
  const text = valueOf(input, "--output") ?? (isOutputTerminal() ? "table" : "json");
  const output = OUTPUTS.find((it) => it === text);
  if (output) return output;
  throw misuse(`Cannot print as "${text}": there is no such format`, `one of: ${OUTPUTS.join(", ")}`);
}

function typesOf<T extends string>(input: CommandInput, all: readonly T[]): readonly T[] {
  const words = input.flags.filter((it) => it.decl.flag === "--type").flatMap((it) => it.text!.split(","));
  const types = words.map((word) => {
    const type = all.find((it) => it === word.trim());
    if (type) return type;
    throw misuse(`Cannot list "${word}": no such type of targets, or not yet`, `one of: ${all.join(", ")}`);
  });
  return types.length > 0 ? types : all;
}

export function formatTargets(targets: readonly ListedTarget[], output: Output, isAll: boolean): string {
  const paths = targets.map(({ kind, name, container }) => {
    return `${kind}/${name}${container === undefined ? "" : `/container/${container}`}`;
  });
  if (output === "json") return JSON.stringify(paths);
  if (output === "name") return paths.join("\n");
  const rows = [["NAMESPACE", "TARGET"], ...targets.map(({ namespace }, at) => [namespace, paths[at]!])];
  const width = Math.max(...rows.map(([namespace]) => namespace!.length));
  return rows.map(([namespace, path]) => isAll ? `${namespace!.padEnd(width)}   ${path}` : path).join("\n");
}

function misuse(message: string, hint: string): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}
