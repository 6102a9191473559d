/** Who may import whom: arrows only go down. main > cli > { layer, agent, kube } > { proto, config } > sys > base */
import assert from "node:assert/strict";
import { sourceFiles } from "./source_files.ts";

const MAY: Readonly<Record<string, readonly string[]>> = {
  base: [],
  sys: ["base"],
  proto: ["sys", "base"],
  config: ["base"],
  kube: ["sys", "base"],
  agent: ["proto", "sys", "base"],
  layer: ["proto", "config", "sys", "base"],
  cli: ["layer", "agent", "kube", "proto", "config", "sys", "base"],
};

/** Printed when somebody crosses the line. */
const BECAUSE: Readonly<Record<string, string>> = {
  "agent>layer": "agent and layer share nothing but the wire: either can be replaced, and each is tested alone",
  "layer>agent": "agent and layer share nothing but the wire: either can be replaced, and each is tested alone",
  "agent>kube": "the agent runs in a pod and must not know kubeconfigs",
  "agent>config": "the agent gets plain options from cli/agent.ts; it has no configuration of its own",
  "layer>kube": "the layer gets a byte stream; how the agent is reached is not its business",
  "kube>layer": "kube hands out a byte stream and knows nothing of what runs over it",
};

/** What a file imports, statically or when it runs. */
function importsOf(text: string): string[] {
  const statements = /(?:\bfrom|\bimport\s*\(|^import)\s*"([^"]+)"/gm;
  return [...text.matchAll(statements)].map((match) => match[1]!);
}

/** "src/agent/names.ts" and "../base/bytes.ts" make "base"; undefined for packages and for files outside src/. */
function layerOf(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const path = new URL(specifier, `file:///${from}`).pathname;
  return /^\/src\/([^/]+)\//.exec(path)?.[1];
}

Deno.test("a folder of src/ imports only from folders below it", () => {
  const crossings: string[] = [];
  for (const { path, text } of sourceFiles(["src/"], [".ts"])) {
    const own = path.split("/")[1]!;
    const allowed = MAY[own];
    assert.ok(allowed, `${path}: src/${own} is not in the table of this test`);
    for (const specifier of importsOf(text)) {
      const other = layerOf(path, specifier);
      if (other === undefined || other === own || allowed.includes(other)) continue;
      crossings.push(`${path} imports ${specifier}: ${BECAUSE[`${own}>${other}`] ?? "arrows only go down"}`);
    }
  }
  assert.deepEqual(crossings, []);
});

Deno.test("only src/cli writes to the terminal, only main.ts ends the process", () => {
  const crossings: string[] = [];
  for (const { path, text } of sourceFiles(["src/"], [".ts"])) {
    if (path.endsWith("_test.ts")) continue;
    if (/\bDeno\.exit\b|\bprocess\.exit\b/.test(text)) crossings.push(`${path} ends the process`);
    if (/\bconsole\.\w+\(/.test(text)) crossings.push(`${path} uses console`);
    // The bytes of the wire are no messages: an agent with --stdio has its client there.
    const mayWrite = path === "src/cli/terminal.ts" || path === "src/agent/transport.ts";
    if (!mayWrite && /\bDeno\.(stdout|stderr)\b/.test(text)) crossings.push(`${path} writes to the terminal`);
  }
  assert.deepEqual(crossings, []);
});

Deno.test("starting the command line loads no package and no node module", () => {
  const seen = new Map<string, string[]>();
  const files = new Map(sourceFiles(["src/"], [".ts"]).map((it) => [it.path, it.text]));
  const visit = (path: string) => {
    const text = files.get(path);
    if (text === undefined || seen.has(path)) return;
    const specifiers = [...text.matchAll(/^(?:import|export) (?!type)[^"]*?from "([^"]+)"/gm)].map((it) => it[1]!);
    seen.set(path, specifiers.filter((it) => !it.startsWith(".")));
    for (const it of specifiers) if (it.startsWith(".")) visit(new URL(it, `file:///${path}`).pathname.slice(1));
  };
  visit("src/cli/mod.ts");
  assert.deepEqual([...seen].filter(([, packages]) => packages.length > 0), [], "each costs a start 5 to 30 ms");
});
