/** What is printed from the tables is what they say. */
import assert from "node:assert/strict";
import { outdated } from "../../tasks/generate.ts";

Deno.test("generated files are as `deno task gen` prints them", async () => {
  assert.deepEqual(await outdated(), []);
});
