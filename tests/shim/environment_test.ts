/** feature.env.load_from_process: variables that a process sets when the shim enters it. */
import assert from "node:assert/strict";
import { joinNul, utf8 } from "../../src/base/bytes.ts";
import { startUnderShim } from "../support/under_shim.ts";

const ENTRIES = joinNul(["Proxy_Url", "FROM_TARGET=a=b", "SHARED=target's", "EMPTY="].map(utf8));
const OWN = { SHARED: "own", OWN: "kept", PROXY_URL: "x", proxy_url: "y" };

async function environmentOf(command: string[], isEnvironmentHere = true): Promise<Map<string, string>> {
  await using app = await startUnderShim(command[0]!, command.slice(1), {
    settings: { isEnvironmentHere, fsMode: 0 },
    prepare: (directory) => Deno.writeFileSync(`${directory}/environment`, ENTRIES),
    env: OWN,
  });
  const lines = (await app.end()).stdout.trimEnd().split("\n");
  return new Map(lines.map((it) => [it.slice(0, it.indexOf("=")), it.slice(it.indexOf("=") + 1)]));
}

Deno.test("a process sets the target's variables when it starts, and unsets what is to go", async () => {
  const found = await environmentOf(["/usr/bin/env"]);
  assert.equal(found.get("FROM_TARGET"), "a=b");
  assert.equal(found.get("SHARED"), "target's");
  assert.equal(found.get("EMPTY"), "");
  assert.equal(found.get("OWN"), "kept");
  assert.ok(!found.has("PROXY_URL") && !found.has("proxy_url"));
});

Deno.test("a program that was given an environment of somebody's making has them all the same", async () => {
  const found = await environmentOf(["/usr/bin/env", "-i", "SHARED=launcher's", "/usr/bin/env"]);
  assert.equal(found.get("FROM_TARGET"), "a=b");
  assert.equal(found.get("SHARED"), "target's");
  assert.ok(!found.has("OWN"));
});

Deno.test("what a program makes of its variables is what its children get", async () => {
  const found = await environmentOf(["/usr/bin/env", "-u", "FROM_TARGET", "SHARED=changed", "/usr/bin/env"]);
  assert.equal(found.get("SHARED"), "changed");
  assert.ok(!found.has("FROM_TARGET"));
});

Deno.test("shells see them too", async () => {
  const found = await environmentOf(["/bin/bash", "-c", 'echo "SEEN=$FROM_TARGET"']);
  assert.equal(found.get("SEEN"), "a=b");
});

Deno.test("without the option nothing is set", async () => {
  const found = await environmentOf(["/usr/bin/env"], false);
  assert.equal(found.get("SHARED"), "own");
  assert.ok(!found.has("FROM_TARGET"));
});
