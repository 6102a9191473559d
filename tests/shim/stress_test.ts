/** Many threads in the shim at once. `deno task sanitize` runs this under ThreadSanitizer. */
import { answerFrom, directory, file, link } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";
import assert from "node:assert/strict";

const TREE = {
  "/data": directory("a", "b"),
  "/data/a": file("bytes of a"),
  "/data/b": file("bytes of b"),
  "/data/link": link("a"),
};

for (const threads of [5, 20]) {
  Deno.test(`${threads} threads ask, fork, spawn and close all at once, and each gets its own answers`, async () => {
    await using app = await startUnderShim("stress", [`${threads}`, "15"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "0 wrong\n");
  });
}
