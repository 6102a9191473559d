/** `mirrord verify-config`: is a configuration file right? Answers with one object of JSON, for editors and scripts. */
import { UserError } from "../base/errors.ts";
import type { Target } from "../config/target.ts";
import { type Command, isGiven } from "./command.ts";
import { printLine } from "./terminal.ts";

/** Kinds of targets that a run can have. */
const TARGET_TYPES = ["targetless", "pod", "deployment"];

export const VERIFY_CONFIG_COMMAND: Command = {
  name: "verify-config",
  summary: "Check a configuration file",
  doc: `Checks a configuration file without starting anything and prints one JSON object.

{"type": "Success", "config": …, "warnings": […], "compatible_target_types": […]} with exit code 0, or
{"type": "Fail", "errors": […]} with exit code 1. What MIRRORD_* variables say wins over the file, as in a run.`,
  usage: ["mirrord verify-config [--resolved] PATH"],
  examples: ["mirrord verify-config .mirrord/mirrord.json"],
  flags: [
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
    const answer = await verify(path, isGiven(input, "--resolved"));
    printLine(JSON.stringify(answer, undefined, 2));
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
  const { keyOf, saidByVariables } = await import("./configuration.ts");
  const errors: UserError[] = [];
  try {
    const typed = saidByVariables();
    const file = await readConfigFile(path, keyOf(typed));
    errors.push(...file.errors);
    const config = resolveConfig([...file.said, ...typed]);
    if (errors.length === 0) {
      return {
        type: "Success",
        config: { path: targetObject(config.target), namespace: config.targetNamespace ?? null },
        warnings: file.warnings,
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

/** As the reference tool's editors read it: `{ "pod": "web", "container": "app" }`, "targetless". */
function targetObject(target: Target): unknown {
  if (target.kind === "targetless") return "targetless";
  if (target.kind === "process") return { process: target.pid };
  return { [target.kind]: target.name, ...(target.container === undefined ? {} : { container: target.container }) };
}
