/** Prints docs/wire.md from the two schemas and docs/hooks.md from native/hooks.def. */
import type { Schema } from "./schema.ts";

export function emitWireDoc(wires: readonly { title: string; intro: string; schema: Schema }[]): string {
  const parts = wires.map(({ title, intro, schema }) => {
    const rows = Object.entries(schema).map(([type, { id, doc, fields }]) => {
      const list = Object.entries(fields).map(([name, kind]) => `\`${name}: ${kind}\``).join(" ");
      return `| ${id} | ${type} | ${list || "-"} | ${doc.replaceAll("|", "\\|")} |`;
    });
    return [`## ${title}`, "", intro, "", "| id | message | fields | meaning |", "|---|---|---|---|", ...rows].join(
      "\n",
    );
  });
  return `# The two wires\n\nPrinted from src/proto by \`deno task gen\`: do not edit.\n\n${parts.join("\n\n")}\n`;
}

export interface HookRow {
  symbol: string;
  /** The hook whose body an alias shares. */
  aliasOf: string | undefined;
  /** The heading of the table above the row: "files", "sockets" and so on. */
  family: string;
}

/** Reads native/hooks.def: one row a line, headings as one-line comments that end in a colon. */
export function parseHooks(table: string): HookRow[] {
  const rows: HookRow[] = [];
  let family = "";
  for (const line of table.split("\n")) {
    const heading = /^\/\* (.+): \*\/$/.exec(line);
    if (heading) family = heading[1]!;
    const alias = /^ALIAS\s*\((\w+),\s*(\w+)\)/.exec(line);
    if (alias) rows.push({ symbol: alias[1]!, aliasOf: alias[2]!, family });
    const hook = /^HOOK(?:_VA|_LIST)?\s*\([^,(]+,\s*(\w+),/.exec(line);
    if (hook) rows.push({ symbol: hook[1]!, aliasOf: undefined, family });
  }
  return rows;
}

export function emitHooksDoc(rows: readonly HookRow[]): string {
  const families = [...new Set(rows.map((it) => it.family))];
  const lines = families.map((family) => {
    const own = rows.filter((it) => it.family === family);
    const names = own.filter((it) => !it.aliasOf).map((hook) => {
      const aliases = own.filter((it) => it.aliasOf === hook.symbol).map((it) => `\`${it.symbol}\``);
      return `\`${hook.symbol}\`${aliases.length ? ` (and ${aliases.join(", ")})` : ""}`;
    });
    return `## ${family}\n\n${names.join(", ")}\n`;
  });
  const intro =
    `Printed from native/hooks.def by \`deno task gen\`: do not edit. ${rows.length} symbols are exported; ` +
    "everything else in the shim is hidden.";
  return `# Functions the shim takes over\n\n${intro}\n\n${lines.join("\n")}`;
}
