/**
 * The command line: which commands there are, and who gets to run. A command is a value; what it needs beyond its options
 * is imported when it runs, so that `--help` costs nothing.
 */
import { UserError } from "../base/errors.ts";
import { nearest } from "../base/nearest.ts";
import { AGENT_COMMAND } from "./agent.ts";
import { parseAnywhere, parseArguments } from "./arguments.ts";
import { type Command, wantsObjects } from "./command.ts";
import { completeCommand, COMPLETIONS_COMMAND } from "./completions.ts";
import { DIAGNOSE_COMMAND } from "./diagnose.ts";
import { CONSOLE_COMMAND } from "./console.ts";
import { DUMP_COMMAND } from "./dump.ts";
import { EXEC_COMMAND } from "./exec.ts";
import { EXPLAIN_COMMAND } from "./explain.ts";
import { EXT_COMMAND } from "./ext.ts";
import { EXTRACT_COMMAND } from "./extract.ts";
import { FIX_COMMAND } from "./fix.ts";
import { formatCommands, formatOptions, formatVariables } from "./help.ts";
import { AGENT_JQ_COMMAND } from "./agent_jq.ts";
import { INTPROXY_COMMAND } from "./intproxy.ts";
import { LS_COMMAND } from "./ls.ts";
import { refuseOther } from "./other_commands.ts";
import { PORT_FORWARD_COMMAND } from "./port_forward.ts";
import { report } from "./report.ts";
import { printLine } from "./terminal.ts";
import { VERIFY_CONFIG_COMMAND } from "./verify_config.ts";
import { UP_COMMAND } from "./up.ts";
import { VERSION } from "./version.ts";
import { VERSION_COMMAND } from "./version_command.ts";

export const COMMANDS: readonly Command[] = [
  EXEC_COMMAND,
  LS_COMMAND,
  VERIFY_CONFIG_COMMAND,
  EXPLAIN_COMMAND,
  PORT_FORWARD_COMMAND,
  DUMP_COMMAND,
  UP_COMMAND,
  CONSOLE_COMMAND,
  EXTRACT_COMMAND,
  EXT_COMMAND,
  COMPLETIONS_COMMAND,
  DIAGNOSE_COMMAND,
  FIX_COMMAND,
  VERSION_COMMAND,
  AGENT_COMMAND,
  AGENT_JQ_COMMAND,
  INTPROXY_COMMAND,
  completeCommand(() => COMMANDS),
];

const VERSION_FLAG = { flag: "--version", short: "-V", doc: "Print the version" } as const;
const HELP_FLAG = { flag: "--help", short: "-h", doc: "Print help, of a command too" } as const;

/** Runs what the arguments say; resolves with the exit code. Never throws. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let format: "text" | "json" = "text";
  try {
    const { flags, rest, isHelpWanted } = parseArguments(args, [VERSION_FLAG]);
    if (flags.length > 0) {
      printLine(`mirrord ${VERSION}`);
      return 0;
    }
    const [name, ...words] = rest;
    if (isHelpWanted || name === undefined || name === "help") {
      printLine(helpFor(rest.find((it) => it !== "help")));
      return isHelpWanted || name !== undefined ? 0 : 2;
    }
    const command = findCommand(name);
    if (wantsObjects(command, words)) format = "json";
    return await runCommand(command, words);
  } catch (error) {
    return report(error, format);
  }
}

async function runCommand(command: Command, words: readonly string[]): Promise<number> {
  const parsed = command.runsProgram ? parseArguments(words, command.flags) : parseAnywhere(words, command.flags);
  if (parsed.isHelpWanted) {
    printLine(formatCommandHelp(command));
    return 0;
  }
  return await command.run({ flags: parsed.flags, rest: parsed.rest });
}

function findCommand(name: string): Command {
  const found = COMMANDS.find((it) => it.name === name);
  if (found) return found;
  refuseOther(name);
  const near = nearest(name, COMMANDS.filter((it) => !it.isHidden).map((it) => it.name));
  throw new UserError("USAGE", `Cannot understand "${name}": no such command`, {
    hint: near ? `did you mean "mirrord ${near}"?` : "`mirrord --help` lists the commands",
    exitCode: 2,
  });
}

function helpFor(name: string | undefined): string {
  if (name !== undefined) return formatCommandHelp(findCommand(name));
  return `mirrord runs a program on this machine in the context of a pod, a workload or a process elsewhere:
its environment, its files, its names and its network.

Usage:
  mirrord COMMAND [options]

Commands:
${formatCommands(COMMANDS)}
${formatOptions([HELP_FLAG, VERSION_FLAG])}
Examples:
  mirrord exec curl echo-server
  mirrord exec --target deployment/web -- node server.js

Use "mirrord COMMAND --help" for the options of a command.`;
}

function formatCommandHelp(command: Command): string {
  const options = formatOptions([...command.flags, { ...HELP_FLAG, doc: "Print this help", group: "Help" }]);
  return `${command.doc}

Usage:
${command.usage.map((it) => `  ${it}\n`).join("")}
${options}${formatVariables(command.variables)}${
    command.examples ? `\nExamples:\n${command.examples.map((it) => `  ${it}`).join("\n")}` : ""
  }`.trimEnd();
}
