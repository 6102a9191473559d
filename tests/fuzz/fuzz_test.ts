/** A short run of the fuzzers: the same inputs each time. `deno task fuzz` goes on with others. */
import assert from "node:assert/strict";
import { buildDecoder, decodeInC } from "./c_decoder.ts";
import { DECODERS, fuzz, mutated, numbersFrom, seedsOf } from "./decoders.ts";

const ROUNDS = 3000;

for (const decoder of DECODERS) {
  // Row U10
  Deno.test(`${decoder.name} refuses damaged bytes, or reads them, and does nothing else`, async () => {
    await fuzz(decoder, ROUNDS, 42);
  });
}

// Row U10
Deno.test("the shim's decoder reads no byte beyond a damaged frame, under both sanitizers", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const program = await buildDecoder(directory);
    const seeds = (await seedsOf("layer")).map((it) => it.subarray(5));
    const below = numbersFrom(42);
    const bodies = [...seeds, ...Array.from({ length: ROUNDS }, () => mutated(seeds, below))];
    assert.match(await decodeInC(program, bodies), /^[1-9]\d* of \d+$/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
