/**
 * `mirrord completions SHELL`: a script that has the shell ask `mirrord __complete` what can come next, and that hidden
 * command, which answers from the tables of commands and options, and of targets, namespaces and contexts from the cluster.
 *
 * Its answer is a line for each candidate, with a tab and what it is for; or one word for the shell: `:files`, `:commands`.
 */
import { UserError } from "../base/errors.ts";
import type { Command } from "./command.ts";
import type { HelpFlag } from "./help.ts";
import { printLine } from "./terminal.ts";

const BASH = `# bash completion of mirrord: source <(mirrord completions bash)
_mirrord() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" out=()
  mapfile -t out < <(mirrord __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  case "\${out[0]}" in
    :commands) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "\${cur#=}") ;;
    *) COMPREPLY=("\${out[@]%%$'\\t'*}") ;;
  esac
}
complete -F _mirrord mirrord`;

const ZSH = `#compdef mirrord
# zsh completion of mirrord: source <(mirrord completions zsh), or as _mirrord in a directory of $fpath
_mirrord() {
  local -a out candidates
  local line
  out=("\${(@f)$(mirrord __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case "$out[1]" in
    :commands) _command_names -e ;;
    :files) _files ;;
    *)
      for line in $out; do candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}"); done
      _describe mirrord candidates
      ;;
  esac
}
(( $+functions[compdef] )) && compdef _mirrord mirrord`;

const FISH = `# fish completion of mirrord: mirrord completions fish | source
function __mirrord_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l out (mirrord __complete -- $words[2..] 2>/dev/null)
  switch "$out[1]"
    case :commands
      complete -C(commandline -ct)
    case :files
      __fish_complete_path (commandline -ct)
    case '*'
      printf '%s\\n' $out
  end
end
complete -c mirrord -f -a '(__mirrord_complete)'`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

export const COMPLETIONS_COMMAND: Command = {
  name: "completions",
  summary: "Print a script that completes mirrord's commands in a shell",
  doc: `Prints a script for a shell, which completes commands, options, targets, namespaces and contexts of mirrord.

bash:  source <(mirrord completions bash)      in ~/.bashrc
zsh:   source <(mirrord completions zsh)       in ~/.zshrc, behind compinit
fish:  mirrord completions fish | source       in ~/.config/fish/config.fish`,
  usage: ["mirrord completions bash|zsh|fish"],
  flags: [],
  run(input) {
    const [shell = "", more] = input.rest;
    const script = Object.hasOwn(SCRIPTS, shell) && more === undefined ? SCRIPTS[shell] : undefined;
    if (script === undefined) {
      throw new UserError("USAGE", `Cannot complete in "${input.rest.join(" ")}": there is no such shell here`, {
        hint: "mirrord completions bash|zsh|fish",
        exitCode: 2,
      });
    }
    printLine(script);
    return Promise.resolve(0);
  },
};

/** The command that the scripts ask. `commands` are all there are. */
export function completeCommand(commands: () => readonly Command[]): Command {
  return {
    name: "__complete",
    summary: "Tell what can come next (for completions)",
    doc: "Tells what can come next, for the scripts of `mirrord completions`.",
    usage: ["mirrord __complete -- WORD..."],
    flags: [],
    isHidden: true,
    runsProgram: true,
    async run(input) {
      const lines = await candidates(commands().filter((it) => !it.isHidden), joinedWords(input.rest));
      if (lines.length > 0) printLine(lines.join("\n"));
      return 0;
    },
  };
}

/** bash makes three words of --flag=value. */
function joinedWords(words: readonly string[]): string[] {
  const found: string[] = [];
  for (const word of words) {
    if (word === "=" && found.at(-1)?.startsWith("--")) continue;
    found.push(word);
  }
  if (words.at(-1) === "=") found.push("");
  return found;
}

const GLOBAL: readonly HelpFlag[] = [
  { flag: "--help", short: "-h", doc: "Print help" },
  { flag: "--version", short: "-V", doc: "Print the version" },
];

/** What may stand in the place of the last word. */
export async function candidates(commands: readonly Command[], words: readonly string[]): Promise<string[]> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const name = before.find((it) => !it.startsWith("-"));
  if (name === undefined) {
    const all = current.startsWith("-") ? GLOBAL.map(flagLine) : commands.map((it) => `${it.name}\t${it.summary}`);
    return starting(all, current);
  }
  const command = commands.find((it) => it.name === name);
  if (!command) return [];
  const place = placeIn(command, before.slice(before.indexOf(name) + 1));
  if (place === "arguments") return name === "exec" ? [":files"] : [];
  if (typeof place === "object") return await valuesOf(place, current, before);
  const attached = /^(--[\w-]+)=(.*)$/s.exec(current);
  const flag = attached && command.flags.find((it) => it.flag === attached[1]);
  if (flag && attached) {
    const values = await valuesOf(flag, attached[2]!, before);
    return values[0]?.startsWith(":") ? values : values.map((it) => `${flag.flag}=${it}`);
  }
  if (current.startsWith("-")) return starting([...command.flags, GLOBAL[0]!].map(flagLine), current);
  if (name === "exec") return [":commands"];
  if (name === "fix") return starting(["kubeconfig"], current);
  return ["verify-config", "explain", "extract"].includes(name)
    ? [":files"]
    : name === "completions"
    ? SHELLS(current)
    : [];
}

const SHELLS = (current: string) => starting(Object.keys(SCRIPTS), current);

/** Behind these words: an option of the command, the value of one, or the arguments of the program. */
function placeIn(command: Command, words: readonly string[]): HelpFlag | "options" | "arguments" {
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") return at === words.length - 1 ? "options" : "arguments";
    if (!word.startsWith("-")) return "arguments";
    const flag = command.flags.find((it) => it.flag === word || it.short === word);
    if (!flag?.value || (flag.isValueOptional && !flag.takesNextWord)) continue;
    if (at === words.length - 1) return flag;
    at++;
  }
  return "options";
}

function flagLine({ flag, doc }: HelpFlag): string {
  return `${flag}\t${doc}`;
}

function starting(lines: readonly string[], current: string): string[] {
  return lines.filter((it) => it.startsWith(current));
}

async function valuesOf(flag: HelpFlag, current: string, before: readonly string[]): Promise<string[]> {
  if (flag.value === "FILE" || flag.value === "PATH" && flag.flag === "--config-file") return [":files"];
  if (flag.value === "BOOL") return starting(["true", "false"], current);
  const { FS_MODES } = await import("../config/options.ts");
  if (flag.flag === "--fs-mode") return starting(FS_MODES, current);
  if (flag.value === "LEVEL" && flag.flag === "--level") {
    return starting((await import("../config/proxy_options.ts")).LOG_LEVELS.slice(1), current);
  }
  if (flag.flag === "--output") return starting(await outputsOf(before), current);
  const { contexts, namespaces, targets } = await import("./complete_live.ts");
  if (flag.flag === "--context") return starting(await contexts(before), current);
  if (flag.value === "NAMESPACE") return starting(await namespaces(before), current);
  return flag.flag === "--target" ? starting(await targets(before), current) : [];
}

async function outputsOf(before: readonly string[]): Promise<readonly string[]> {
  const isList = before.find((it) => !it.startsWith("-")) === "ls";
  return isList ? (await import("./ls_format.ts")).OUTPUTS : ["text", "json"];
}
