/** What both ends' rehearsals of connects have to keep. */
import assert from "node:assert/strict";

const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** Makes its connects, says nothing, and leaves nothing open. */
export async function checkRehearsal(rehearse: (log: (line: string) => void) => Promise<number>): Promise<void> {
  const said: string[] = [];
  const rehearsed = async () => await rehearse((line) => said.push(line));
  assert.equal(await rehearsed(), 16);
  const before = descriptors();
  assert.equal(await rehearsed(), 16);
  assert.equal(descriptors(), before);
  assert.deepEqual(said, []);
}
