import assert from "node:assert/strict";
import { rehearse } from "./rehearsal.ts";

const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("a rehearsal of the layer makes its connects, says nothing, and leaves nothing open", async () => {
  const said: string[] = [];
  const rehearsed = async () => await rehearse((line) => said.push(line));
  assert.equal(await rehearsed(), 16);
  const before = descriptors();
  assert.equal(await rehearsed(), 16);
  assert.equal(descriptors(), before);
  assert.deepEqual(said, []);
});
