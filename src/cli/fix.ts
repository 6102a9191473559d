/** `mirrord fix kubeconfig`: the kubeconfig's exec plugins get absolute paths. Says what it changes, and asks before. */
import { UserError } from "../base/errors.ts";
import { KUBE_OPTIONS } from "../config/kube_options.ts";
import type { CommandFix } from "../kube/kubeconfig_fix.ts";
import { parseArguments } from "./arguments.ts";
import { type Command, type CommandInput, isGiven, valueOf } from "./command.ts";
import type { HelpFlag } from "./help.ts";
import { printLine } from "./terminal.ts";

const FLAGS: readonly HelpFlag[] = [
  { flag: "--dry-run", doc: "Say what would be changed, and change nothing" },
  { flag: "--yes", short: "-y", doc: "Do not ask before files are changed" },
  ...KUBE_OPTIONS.filter((it) => it.flag === "--kubeconfig"),
];

export const FIX_COMMAND: Command = {
  name: "fix",
  summary: "Make a kubeconfig work outside of your shell",
  doc:
    `Gives the programs that a kubeconfig logs in with (users[].user.exec.command) their absolute paths, so that it works
where PATH is another one, as in editors: a name is looked for in PATH, a path is taken as relative to the kubeconfig.

Says what it changes and, in a terminal, asks before. Nothing else in the file changes, comments included. Exit code 0 when
every such program has an absolute path now, 1 when one was not found or you said no.`,
  usage: ["mirrord fix kubeconfig [options]"],
  examples: ["mirrord fix kubeconfig --dry-run", "mirrord fix kubeconfig --kubeconfig ~/clusters/staging.yaml"],
  flags: FLAGS,
  async run(given) {
    const input = behindWord(given);
    const path = valueOf(input, "--kubeconfig") ?? (Deno.env.get("MIRRORD_KUBECONFIG") || undefined);
    const { fixKubeconfig, replaceFile } = await import("../kube/kubeconfig_fix.ts");
    const files = await fixKubeconfig(path, (name) => Deno.env.get(name));
    const fixes = files.flatMap((it) => it.fixes);
    for (const fix of fixes) printLine(formatFix(fix));
    const changed = files.filter((it) => it.fixes.some(({ absolute }) => absolute !== undefined));
    const isComplete = fixes.every((it) => it.absolute !== undefined);
    if (changed.length === 0) {
      if (isComplete) printLine("nothing to fix: every plugin has an absolute path");
      return isComplete ? 0 : 1;
    }
    if (isGiven(input, "--dry-run")) {
      printLine("nothing was changed: --dry-run");
      return isComplete ? 0 : 1;
    }
    const asks = !isGiven(input, "--yes") && Deno.stdin.isTerminal();
    if (asks && !confirm(`Write ${changed.map((it) => it.path).join(", ")}?`)) return 1;
    for (const file of changed) {
      await replaceFile(file.path, file.text);
      printLine(`${file.path} was written`);
    }
    return isComplete ? 0 : 1;
  },
};

/** Options may stand on either side of "kubeconfig". */
function behindWord(input: CommandInput): CommandInput {
  const [word, ...more] = input.rest;
  const { flags, rest } = word === "kubeconfig" ? parseArguments(more, FLAGS) : { flags: [], rest: [] };
  if (word === "kubeconfig" && rest.length === 0) return { flags: [...input.flags, ...flags], rest };
  throw new UserError("USAGE", `Cannot fix "${input.rest.join(" ")}": only a kubeconfig can be fixed`, {
    hint: "mirrord fix kubeconfig [--dry-run]",
    exitCode: 2,
  });
}

function formatFix({ file, user, command, absolute }: CommandFix): string {
  const what = `${file}: user "${user}": ${command}`;
  return absolute === undefined ? `${what}: not found, left as it is` : `${what} → ${absolute}`;
}
