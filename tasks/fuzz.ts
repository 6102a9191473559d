/** `deno task fuzz [SECONDS]`: damages bytes for the decoders of both sides, with new seeds each time, until the time is over. */
import { buildDecoder, decodeInC } from "../tests/fuzz/c_decoder.ts";
import { DECODERS, fuzz, mutated, numbersFrom, seedsOf } from "../tests/fuzz/decoders.ts";
import { buildReader, damaged, readTraffic } from "../tests/fuzz/traffic.ts";
import { say } from "./prepare.ts";

const ROUNDS = 20_000;

async function run(seconds: number): Promise<void> {
  const directory = await Deno.makeTempDir();
  const program = await buildDecoder(directory);
  const reader = await buildReader(directory);
  const seeds = (await seedsOf("layer")).map((it) => it.subarray(5));
  const until = Date.now() + seconds * 1000;
  let rounds = 0;
  for (; Date.now() < until; rounds++) {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const below = numbersFrom(seed);
    for (const decoder of DECODERS) await fuzz(decoder, ROUNDS, seed);
    await readTraffic(reader, damaged(ROUNDS, below));
    await decodeInC(program, Array.from({ length: ROUNDS }, () => mutated(seeds, below)));
  }
  await Deno.remove(directory, { recursive: true });
  say(`${rounds * ROUNDS} damaged inputs for each decoder, nothing found`);
}

if (import.meta.main) await run(Number(Deno.args[0] ?? 60));
