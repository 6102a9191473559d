/** The shared object itself: what it exports, what it needs, and that every hook has its two tests. */
import assert from "node:assert/strict";
import { parseHooks } from "../../src/proto/emit_md.ts";
import { outdated } from "../../tasks/generate.ts";
import { builtShim } from "../support/under_shim.ts";

/** Runs on the libc of Debian 10, Ubuntu 18.10, RHEL 8 and later. */
const GLIBC_FLOOR = [2, 28];

const hooks = parseHooks(await Deno.readTextFile(new URL("../../native/hooks.def", import.meta.url)));

async function lines(command: string, ...args: string[]): Promise<string[]> {
  const { stdout, success } = await new Deno.Command(command, { args }).output();
  assert.ok(success, command);
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

/** For `mirrord explain`, which loads the shim to ask it. */
const NO_HOOKS = ["mirrord_explain_path"];

Deno.test("the shim exports the hooks of the table and nothing else", async () => {
  const symbols = await lines("nm", "-D", "--defined-only", await builtShim());
  const exported = symbols.map((it) => it.split(" ").at(-1)!.replace(/@.*/, ""));
  assert.deepEqual(exported.sort(), [...hooks.map((it) => it.symbol), ...NO_HOOKS].sort());
});

Deno.test("the shim runs on glibc 2.28 and needs no other library", async () => {
  const shim = await builtShim();
  const versions = (await lines("objdump", "-T", shim)).flatMap((it) => /GLIBC_([0-9.]+)/.exec(it)?.[1] ?? []);
  const tooNew = versions.filter((it) => {
    const [major = 0, minor = 0] = it.split(".").map(Number);
    return major > GLIBC_FLOOR[0]! || minor > GLIBC_FLOOR[1]!;
  });
  assert.deepEqual(tooNew, []);
  const needed = (await lines("readelf", "-d", shim)).flatMap((it) => /NEEDED.*\[(.*)\]/.exec(it)?.[1] ?? []);
  assert.ok(needed.every((it) => it === "libc.so.6" || it === "libdl.so.2"), needed.join());
});

Deno.test("every alias names a hook of the table", () => {
  const names = new Set(hooks.filter((it) => !it.aliasOf).map((it) => it.symbol));
  assert.deepEqual(hooks.filter((it) => it.aliasOf && !names.has(it.aliasOf)), []);
});

Deno.test("every hook is named by a test of this folder", async () => {
  let text = "";
  for await (const entry of Deno.readDir(new URL("./", import.meta.url))) {
    const isOther = entry.name.endsWith("_test.ts") && entry.name !== "exports_test.ts";
    if (isOther) text += await Deno.readTextFile(new URL(entry.name, import.meta.url));
  }
  const named = new Set(text.match(/\b\w+\b/g));
  const bases = new Set(hooks.map((it) => it.symbol).filter((it) => named.has(it)));
  // The stat tests make the 64-bit names themselves.
  const missing = hooks.filter(({ symbol }) => !bases.has(symbol) && !bases.has(symbol.replace(/64$/, "")));
  assert.deepEqual(missing, []);
});

Deno.test("the header and the documents are as printed from their tables", async () => {
  assert.deepEqual(await outdated(), []);
});
