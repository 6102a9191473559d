/** `mirrord verify-config`: is a configuration file right? Answers with one object of JSON, for editors and scripts. */
import { UserError } from "../base/errors.ts";
import type { Target } from "../config/target.ts";
import { type Command, isGiven, valueOf } from "./command.ts";
import { printLine } from "./terminal.ts";

/** Kinds of targets that a run can have. */
const TARGET_TYPES = [
  ...[
    "targetless",
    "pod",
    "deployment",
    "rollout",
    "statefulset",
    "daemonset",
    "replicaset",
    "job",
    "cronjob",
    "service",
  ],
];

export const VERIFY_CONFIG_COMMAND: Command = {
  name: "verify-config",
  summary: "Check a configuration file",
  doc: `Checks a configuration file without starting anything and prints one JSON object.

{"type": "Success", "config": …, "warnings": […], "compatible_target_types": […]} with exit code 0, or
{"type": "Fail", "errors": […]} with exit code 1. What MIRRORD_* variables say wins over the file, as in a run.`,
  usage: ["mirrord verify-config [--resolved] [-o json|text] PATH"],
  examples: ["mirrord verify-config .mirrord/mirrord.json", "mirrord verify-config -o text mirrord.yaml"],
  flags: [
    { flag: "--output", short: "-o", value: "FORMAT", doc: "json or text", default: "json" },
    { flag: "--resolved", doc: "Print the whole configuration as well, defaults filled in: resolved_config" },
    { flag: "--ide", doc: "For editors: the target may be missing, as it may be anyway" },
  ],
  async run(input) {
    const [path, more] = input.rest;
    if (path === undefined || more !== undefined) {
      throw new UserError(
        "USAGE",
        `Cannot verify: ${more === undefined ? "no file was named" : "one file at a time"}`,
        {
          hint: "mirrord verify-config [--resolved] PATH",
          exitCode: 2,
        },
      );
    }
    const format = valueOf(input, "--output") ?? "json";
    if (format !== "json" && format !== "text") {
      throw new UserError("USAGE", `Cannot print as "${format}"`, { hint: "one of: json, text", exitCode: 2 });
    }
    const answer = await verify(path, isGiven(input, "--resolved"));
    printLine(format === "json" ? JSON.stringify(answer, undefined, 2) : formatAnswer(path, answer));
    return answer.type === "Success" ? 0 : 1;
  },
};

interface Success {
  readonly type: "Success";
  readonly config: { readonly path: unknown; readonly namespace: string | null };
  readonly warnings: readonly string[];
  readonly compatible_target_types: readonly string[];
  readonly resolved_config?: unknown;
}

async function verify(path: string, isResolved: boolean): Promise<Success | { type: "Fail"; errors: string[] }> {
  const { readConfigFile } = await import("../config/file.ts");
  const { formatConfig, resolveConfig } = await import("../config/resolve.ts");
  const { adviceOn } = await import("../config/advice.ts");
  const { checkJqPrograms } = await import("./check_jq.ts");
  const { keyOf, saidByVariables } = await import("./configuration.ts");
  const errors: UserError[] = [];
  try {
    const typed = saidByVariables();
    const file = await readConfigFile(path, keyOf(typed));
    errors.push(...file.errors);
    const config = resolveConfig([...file.said, ...typed]);
    await checkJqPrograms(config.incoming.jqPrograms);
    if (errors.length === 0) {
      return {
        type: "Success",
        config: { path: targetObject(config.target), namespace: config.targetNamespace ?? null },
        warnings: [...file.warnings, ...adviceOn(config)],
        compatible_target_types: TARGET_TYPES,
        ...(isResolved ? { resolved_config: formatConfig(config) } : {}),
      };
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    errors.push(error);
  }
  return {
    type: "Fail",
    errors: errors.map((it) => it.hint === undefined ? it.message : `${it.message} (${it.hint})`),
  };
}

function formatAnswer(path: string, answer: Success | { type: "Fail"; errors: string[] }): string {
  if (answer.type === "Fail") return [`${path} is not right:`, ...answer.errors.map((it) => `  ${it}`)].join("\n");
  const { warnings, resolved_config } = answer;
  const resolved = resolved_config === undefined ? [] : [JSON.stringify(resolved_config, undefined, 2)];
  return [`${path} is right`, ...warnings.map((it) => `  warning: ${it}`), ...resolved].join("\n");
}

/** As the reference tool's editors read it: `{ "pod": "web", "container": "app" }`, "targetless". */
function targetObject(target: Target): unknown {
  if (target.kind === "targetless") return "targetless";
  if (target.kind === "process") return { process: target.pid };
  return { [target.kind]: target.name, ...(target.container === undefined ? {} : { container: target.container }) };
}
