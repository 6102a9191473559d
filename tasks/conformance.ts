/**
 * Finds which test holds which row of tests/conformance/rows.ts, by the comments `// Row L12` above tests, and prints
 * docs/conformance.md from both.
 */
import { type Row, ROWS } from "../tests/conformance/rows.ts";
import { sourceFiles } from "../tests/house/source_files.ts";

/** A test that says that it holds a row. */
export interface Claim {
  readonly row: string;
  readonly file: string;
  /** The test's or step's name; expressions in a template are shown as "…". */
  readonly name: string;
}

export type State = "held" | "decided otherwise" | "not yet";

/** How far below its comment a test's name may stand. */
const NAME_WITHIN_LINES = 8;

/** All claims in tests/ and in the tests of src/. */
export function claims(): Claim[] {
  const files = [
    ...sourceFiles(["tests/"], [".ts"]),
    ...sourceFiles(["src/"], ["_test.ts"]),
  ];
  return files.flatMap(({ path, text }) => claimsIn(path, text));
}

function claimsIn(file: string, text: string): Claim[] {
  const lines = text.split("\n");
  return lines.flatMap((line, at) => {
    const comment = /^\s*\/\/ Rows? ((?:[LERU]\d+(?:, )?)+)/.exec(line);
    if (!comment) return [];
    const name = nameIn(lines.slice(at + 1, at + 1 + NAME_WITHIN_LINES).join("\n"));
    return comment[1]!.split(", ").map((row) => ({ row, file, name }));
  });
}

/** The first text with a space in it: a test's name is a sentence. */
function nameIn(text: string): string {
  for (const [, , said] of text.matchAll(/(["`])((?:(?!\1)[^\\\n]|\\.)*)\1/g)) {
    if (said!.includes(" ")) return said!.replaceAll(/\$\{[^}]*\}/g, "…").replaceAll(/\\(.)/g, "$1");
  }
  return "";
}

export function stateOf(row: Row, found: readonly Claim[]): State {
  if (found.some((it) => it.row === row.id)) return "held";
  return row.decided === undefined ? "not yet" : "decided otherwise";
}

const PARTS = [
  [3, "Files, directories, environment, processes"],
  [4, "Names, connections, incoming traffic"],
  [5, "Targets, agents, command line"],
] as const;

export function emitConformanceDoc(): string {
  const found = claims();
  const states = ROWS.map((row) => stateOf(row, found));
  const count = (state: State) => states.filter((it) => it === state).length;
  const parts = PARTS.map(([issue, title]) => {
    const rows = ROWS.filter((row) => row.issue === issue).map((row) => line(row, found));
    return `## ${title}\n\n| row | rank | what must hold | state | held by |\n|---|---|---|---|---|\n${
      rows.join("\n")
    }\n`;
  });
  return `# Conformance

Printed from tests/conformance/rows.ts and the comments \`// Row …\` above tests by \`deno task gen\`: do not edit. Rank C must hold, c should
unless a decision says why not. ${count("held")} held, ${count("decided otherwise")} decided otherwise, ${
    count("not yet")
  } not yet.

${parts.join("\n")}`;
}

function line(row: Row, found: readonly Claim[]): string {
  const state = stateOf(row, found);
  const said = state === "not yet" ? `not yet (issue ${row.issue})` : state;
  const tests = found.filter((it) => it.row === row.id).map((it) => `${it.file}: ${it.name}`);
  const why = state === "decided otherwise" ? [row.decided!] : [];
  const cells = [row.id, row.rank, row.holds, said, [...tests, ...why].join("<br>")];
  return `| ${cells.map((it) => it.replaceAll("|", "\\|")).join(" | ")} |`;
}
