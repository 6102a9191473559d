/** Help texts, made from the tables of commands and options. */
import type { FlagDecl } from "./arguments.ts";

export interface HelpFlag extends FlagDecl {
  readonly doc: string;
  readonly env?: string;
  readonly default?: string;
  readonly group?: string;
}

export interface HelpCommand {
  readonly name: string;
  readonly summary: string;
  readonly isHidden?: boolean;
}

const WIDTH = 100;
const INDENT = 10;

export function formatOptions(flags: readonly HelpFlag[]): string {
  const groups = Map.groupBy(flags, (it) => it.group ?? "Options");
  return [...groups].map(([group, members]) => `${group}:\n${members.map(formatOption).join("")}`).join("\n");
}

function formatOption(flag: HelpFlag): string {
  const value = flag.value === undefined
    ? ""
    : flag.isValueOptional
    ? flag.takesNextWord ? ` [${flag.value}]` : `[=${flag.value}]`
    : ` ${flag.value}`;
  const head = `  ${flag.short === undefined ? "   " : `${flag.short},`} ${flag.flag}${value}`;
  const notes = [
    ...flag.default === undefined ? [] : [`default: ${flag.default}`],
    ...flag.env === undefined ? [] : [`env: ${flag.env}`],
  ];
  const doc = wrap(`${flag.doc}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`);
  return `${head}\n${doc.map((line) => `${" ".repeat(INDENT)}${line}\n`).join("")}`;
}

export function formatCommands(commands: readonly HelpCommand[]): string {
  const shown = commands.filter((it) => !it.isHidden);
  const width = Math.max(...shown.map((it) => it.name.length));
  return shown.map((it) => `  ${it.name.padEnd(width)}   ${it.summary}\n`).join("");
}

export function formatVariables(variables: Readonly<Record<string, string>> | undefined): string {
  if (!variables) return "";
  const rows = Object.entries(variables).map(([name, doc]) => `  ${name}\n${" ".repeat(INDENT)}${doc}\n`);
  return `\nOther variables:\n${rows.join("")}`;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH - INDENT) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
