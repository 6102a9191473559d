/** The agent's C that reads what strangers send, under both sanitizers. */
import assert from "node:assert/strict";
import { numbersFrom } from "./decoders.ts";
import { buildReader, damaged, KINDS, packetsOf, readTraffic, SEGMENTS } from "./traffic.ts";

const ROUNDS = 2000;

Deno.test("heads, chunks, filters, segments and packets of strangers are read in their bounds, the same however they are cut", async (t) => {
  const directory = await Deno.makeTempDir();
  try {
    const program = await buildReader(directory);
    await t.step("damaged", async () => {
      assert.match(await readTraffic(program, damaged(ROUNDS, numbersFrom(42))), /^10000 inputs/);
    });
    for (const isV6 of [false, true]) {
      for (const [what, segments, bytes] of SEGMENTS) {
        await t.step(`segments of IPv${isV6 ? 6 : 4} are a stream again: ${what}`, async () => {
          const said = await readTraffic(program, [[KINDS.segments, packetsOf(segments, isV6)]]);
          assert.equal(said, `1 inputs, ${bytes} bytes of streams`);
        });
      }
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
