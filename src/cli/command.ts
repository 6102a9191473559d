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
