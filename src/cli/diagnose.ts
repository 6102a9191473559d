/** `mirrord diagnose`: is there a way to the target, how long is it, and what is missing on it. */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import { type Command, type CommandInput, valueOf } from "./command.ts";
import { loadConfig } from "./configuration.ts";
import type { Diagnosis } from "./diagnosis.ts";
import type { Feature } from "./features.ts";
import type { HelpFlag } from "./help.ts";
import { complain, printLine } from "./terminal.ts";

const GROUPS: readonly string[] = ["Target", "Agent", "Kubernetes", "Configuration", "Accepted, without effect"];
const DEFAULT_ROUNDS = 100;
const MOST_ROUNDS = 10_000;

const FLAGS: readonly HelpFlag[] = [
  { flag: "--output", short: "-o", value: "FORMAT", doc: "text or json", default: "text" },
  { flag: "--rounds", value: "NUMBER", doc: "How many round trips to measure", default: String(DEFAULT_ROUNDS) },
  CONFIG_FILE_OPTION,
  ...EXEC_OPTIONS.filter((it) => GROUPS.includes(it.group)),
];

export const DIAGNOSE_COMMAND: Command = {
  name: "diagnose",
  summary: "Measure the way to the target, and say what is missing on it, or for a program",
  doc:
    `Asks the API server for its version and for your rights, makes an agent as a run would, asks it what it may do and
its kernel can, and measures round trips to it. Nothing stays behind. Exit code 0 when a run could be made, else 125.

With PROGRAM it says whether mirrord can enter it; with no target, that alone.`,
  usage: ["mirrord diagnose [latency] [options] [PROGRAM]"],
  examples: [
    "mirrord diagnose --target deployment/web",
    "mirrord diagnose /usr/local/bin/server",
    "mirrord diagnose --output json | jq .agent.roundTripMs",
  ],
  flags: FLAGS,
  async run(input) {
    const [program, more] = input.rest[0] === "latency" ? input.rest.slice(1) : input.rest;
    if (program === "license") {
      throw new UserError("COMMAND_UNSUPPORTED", 'Cannot run "mirrord diagnose license": there is no license', {
        hint: "`mirrord diagnose` measures the way to the target",
        exitCode: 2,
      });
    }
    if (more !== undefined) {
      throw misuse(`Cannot diagnose: "${more}" is too much`, "mirrord diagnose [latency] [options] [PROGRAM]");
    }
    const format = valueOf(input, "--output") ?? "text";
    if (format !== "text" && format !== "json") throw misuse(`Cannot print as "${format}"`, "one of: text, json");
    const rounds = roundsOf(input);
    const { config } = await loadConfig(input);
    const { diagnose } = await import("./diagnosis.ts");
    const diagnosis = await diagnose(config, rounds, program);
    printLine(format === "json" ? JSON.stringify(diagnosis, undefined, 2) : formatDiagnosis(diagnosis));
    if (diagnosis.error && format === "text") complain(`error: ${diagnosis.error.message}\n`);
    return diagnosis.error || diagnosis.program?.canBeEntered === false ? 125 : 0;
  },
};

function roundsOf(input: CommandInput): number {
  const text = valueOf(input, "--rounds") ?? String(DEFAULT_ROUNDS);
  const rounds = /^[0-9]{1,5}$/.test(text) ? Number(text) : NaN;
  if (rounds >= 1 && rounds <= MOST_ROUNDS) return rounds;
  throw misuse(`Cannot measure "${text}" round trips: it is no number from 1 to ${MOST_ROUNDS}`, "--rounds 100");
}

function misuse(message: string, hint: string): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}

export function formatDiagnosis({ here, program, api, rights, agent }: Diagnosis): string {
  const lines = [
    `this machine   Linux ${here.kernel}, ${here.architecture}, mirrord ${here.version}`,
    ...here.features.map(formatFeature),
  ];
  if (program) {
    const { name, path, because, way } = program;
    const how = way === "supervisor" ? ", by a supervisor that answers its system calls" : "";
    lines.push(`program        ${path ?? name}`, because === null ? `  ✓ can be entered${how}` : `  x ${because}`);
  }
  if (api) {
    lines.push(
      `API server     ${api.url}, Kubernetes ${api.version}`,
      `  round trips  ${formatTimes(api.roundTripMs)}`,
    );
  }
  if (rights) {
    lines.push("rights");
    for (const { right, namespace, isAllowed, without } of rights) {
      const note = isAllowed ? "" : without === undefined ? ": missing" : `: missing, so ${without}`;
      lines.push(`  ${isAllowed ? "✓" : "x"} ${right} in ${namespace}${note}`);
    }
  }
  if (agent) {
    lines.push(
      `agent          ${agent.place}, Linux ${agent.kernel}, mirrord ${agent.version}, user ${agent.user}`,
      ...agent.features.map(formatFeature),
      `  started in   ${agent.startMs} ms, reached in ${agent.reachMs} ms`,
      `  round trips  ${formatTimes(agent.roundTripMs)}`,
    );
  }
  return lines.join("\n");
}

function formatFeature({ name, isThere, without }: Feature): string {
  return `  ${isThere ? "✓" : "x"} ${name}${isThere ? "" : `: missing, so ${without}`}`;
}

function formatTimes({ rounds, p50, p90, p99, max }: NonNullable<Diagnosis["api"]>["roundTripMs"]): string {
  return `${rounds}: half of them within ${p50} ms, 90 % within ${p90} ms, 99 % within ${p99} ms, all within ${max} ms`;
}
