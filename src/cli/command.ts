/** What a command is: a value with its options, its help and the function that runs it. */
import type { Parsed } from "./arguments.ts";
import type { HelpFlag } from "./help.ts";

export interface CommandInput {
  readonly flags: Parsed<HelpFlag>["flags"];
  readonly rest: readonly string[];
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What it does, for its own help. */
  readonly doc: string;
  readonly usage: readonly string[];
  readonly examples?: readonly string[];
  readonly flags: readonly HelpFlag[];
  /** Variables that are no option's: name and what it is for. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly isHidden?: boolean;
  /** Its other words end its options: they are a program's, with options of its own. */
  readonly runsProgram?: boolean;
  /** Whoever runs it reads objects: errors are objects too. */
  readonly isForPrograms?: boolean;
  /** Shows the steps of its start; with MIRRORD_PROGRESS_MODE=json errors are objects too. */
  readonly showsProgress?: boolean;
  /** Resolves with the exit code, unless the process became another program. Errors are thrown. */
  run(input: CommandInput): Promise<number>;
}

/** The value of a flag when it was given (the last one wins). */
export function valueOf(input: CommandInput, flag: string): string | undefined {
  return input.flags.findLast((it) => it.decl.flag === flag)?.text;
}

export function isGiven(input: CommandInput, flag: string): boolean {
  return input.flags.some((it) => it.decl.flag === flag);
}

/** Are errors of this command line to be objects? Asked of words that may make no sense. */
export function wantsObjects(command: Command | undefined, words: readonly string[]): boolean {
  if (!command) return false;
  if (command.isForPrograms) return true;
  if (command.showsProgress && Deno.env.get("MIRRORD_PROGRESS_MODE") === "json") return true;
  const flag = command.flags.find((it) => it.flag === "--output");
  return words.some((word, at) => {
    if (word === "--json") return command.flags.some((it) => it.flag === word);
    if (!flag) return false;
    if (word === flag.flag || word === flag.short) return words[at + 1] === "json";
    return word === `${flag.flag}=json` || (flag.short && [`${flag.short}json`, `${flag.short}=json`].includes(word));
  });
}
