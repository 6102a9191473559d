/** Judged by difference, as difference_test.ts: libraries that only the target has. */
import assert from "node:assert/strict";
import { differences } from "../support/inside.ts";
import { builtProgram, sandboxTest } from "../support/sandbox_case.ts";
import { run } from "../support/inside.ts";

const FIXTURE = new URL("./programs/libraries_fixture.sh", import.meta.url).pathname;

const INTENDED: never[] = [];

sandboxTest("programs load the target's libraries, with what these need, as inside", {}, async (it) => {
  const program = await builtProgram("difference/programs/libraries.c");
  await run("sh", [FIXTURE, `${it.sandbox.root}/data/libs`, "/data/libs"]);
  await Deno.copyFile(program, `${it.sandbox.root}/tmp/program`);
  const environment = "LD_LIBRARY_PATH=/nowhere:/data/libs/listed";
  const inside = await it.inside(["env", environment, "/tmp/program", "/data/libs"]);
  const outside = await it.run(["env", environment, program, "/data/libs"]);
  const [there, here] = [inside, outside].map(({ stdout, stderr, code }) => `${stdout}${stderr}code ${code}\n`);
  await Deno.writeTextFile("/tmp/libs.inside", there!);
  assert.ok(there!.split("\n").length > 100 && inside.code === 0, `inside it said only ${there}`);
  assert.deepEqual(await differences({ inside: there!, outside: here! }, INTENDED), []);
});
