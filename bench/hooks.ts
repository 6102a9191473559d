/** What a call costs that stays on this machine: the same program bare and under the shim, in turns. */
import type { Bench } from "./main.ts";
import { median, outputOf, type Row } from "./measure.ts";

const ROUNDS = 5;
const CALLS = ["access()", "stat()", "open()+close()", "read()", "fstat()"];
const COUNT = "40000";

export async function measureHooks(bench: Bench): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  const program = `${folder}/hooks`;
  await outputOf(["gcc", "-O2", "-o", program, `${bench.root}bench/hooks.c`]);
  // Any process will do: what is measured asks nobody.
  const ours = [bench.mirrord, "exec", "--target", `process/${Deno.pid}`, "--", program, COUNT];
  const added: number[][] = [];
  const bare: number[][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const without = numbers(await outputOf([program, COUNT]));
    const under = numbers(await outputOf(ours, { MIRRORD_PROGRESS_MODE: "off" }));
    bare.push(without);
    added.push(under.map((ns, at) => ns - without[at]!));
  }
  await Deno.remove(folder, { recursive: true });
  return CALLS.map((call, at) => ({
    what: `Hook: local ${call}, added`,
    ours: `${median(added.map((it) => it[at]!)).toFixed(0)} ns`,
    beside: `${median(bare.map((it) => it[at]!)).toFixed(0)} ns bare`,
    ratio: "",
    bound: call === "open()+close()" ? "≤ 100 ns (two hooks)" : "≤ 50 ns",
  }));
}

function numbers(text: string): number[] {
  return text.trim().split(" ").map(Number);
}
