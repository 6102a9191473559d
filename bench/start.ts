/** How long it takes from typing to the program. */
import type { Bench } from "./main.ts";
import { median, outputOf, type Row, sideBySide, timeOf } from "./measure.ts";

const ROUNDS = 11;

/** What needs no cluster: help, and a process of this machine as the target, each beside a plain `true`. */
export async function measureStart(bench: Bench): Promise<Row[]> {
  const target = new Deno.Command("unshare", { args: ["--net", "sleep", "infinity"] }).spawn();
  try {
    const plain = () => timeOf(["true"]);
    const rows: Row[] = [];
    for (
      const [what, args, bound] of [
        ["`mirrord --version`", ["--version"], "100 ms"],
        ["`mirrord --help`", ["--help"], "100 ms"],
        [
          "`mirrord exec --target process/PID -- true`",
          ["exec", "--target", `process/${target.pid}`, "--", "true"],
          "",
        ],
      ] as const
    ) {
      const { ours, theirs, ratio } = await sideBySide(ROUNDS, () => timeOf([bench.mirrord, ...args]), plain);
      rows.push({
        what,
        ours: `${ours.toFixed(0)} ms`,
        beside: `${theirs.toFixed(1)} ms \`true\``,
        ratio: ratio.toFixed(0),
        bound,
      });
    }
    return rows;
  } finally {
    target.kill("SIGKILL");
    await target.status;
  }
}

/** From typing to the program's first instruction in the cluster, step by step; and the same with an agent that was kept. */
export async function measureClusterStart(bench: Bench): Promise<Row[]> {
  const plain = median(await plainPodStarts(bench));
  const pod = `bench-start-${Date.now()}`;
  await runPlainPod(bench, pod);
  try {
    const targetless = await startsOf(bench, []);
    const cold = await startsOf(bench, ["--target", `pod/${pod}`]);
    const keep = ["--target", `pod/${pod}`, "--agent-keep-alive", "30"];
    await startOf(bench, keep);
    const kept = await startsOf(bench, keep);
    const rowOf = (what: string, { totalMs, steps }: Start, ratio: string, beside: string, bound = "") => ({
      what: `${what}: typing to program`,
      ours: `${totalMs.toFixed(0)} ms`,
      beside: [...steps].map(([step, ms]) => `${ms.toFixed(0)} ms of it ${step}`).join(", ") + beside,
      ratio,
      bound,
    });
    const ready = `; a plain \`kubectl run\` pod is ready in ${plain.toFixed(0)} ms`;
    return [
      rowOf("targetless `mirrord exec` in the cluster", targetless, (targetless.totalMs / plain).toFixed(2), ready),
      rowOf("`mirrord exec` of a pod", cold, (cold.totalMs / plain).toFixed(2), ready),
      rowOf(
        "the same with a kept agent",
        kept,
        (kept.totalMs / cold.totalMs).toFixed(2),
        "",
        "500 ms or 0.1 of the cold one",
      ),
    ];
  } finally {
    await outputOf(["kubectl", "delete", "pod", pod, "--now", "--wait=false"], bench.clusterEnv);
  }
}

interface Start {
  totalMs: number;
  /** By what the program says that it does, in order. */
  steps: ReadonlyMap<string, number>;
}

async function startsOf(bench: Bench, flags: readonly string[]): Promise<Start> {
  const starts: Start[] = [];
  for (let round = 0; round < 5; round++) starts.push(await startOf(bench, flags));
  const steps = [...starts[0]!.steps.keys()].map((step) =>
    [step, median(starts.map((start) => start.steps.get(step) ?? 0))] as const
  );
  return { totalMs: median(starts.map(({ totalMs }) => totalMs)), steps: new Map(steps) };
}

async function startOf(bench: Bench, flags: readonly string[]): Promise<Start> {
  const started = Date.now();
  const child = new Deno.Command(bench.mirrord, {
    args: ["exec", ...flags, "--", "date", "+%s%N"],
    env: { ...bench.clusterEnv, MIRRORD_PROGRESS_MODE: "json" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [steps, output] = await Promise.all([stepTimes(child.stderr), child.stdout.text()]);
  if (!(await child.status).success) throw new Error(`mirrord exec ${flags.join(" ")} date failed`);
  return { totalMs: Number(BigInt(output.trim()) / 1_000_000n) - started, steps };
}

/** How long each step took, by when its lines of JSON progress came; reads the stream to its end. */
async function stepTimes(progress: ReadableStream<Uint8Array>): Promise<Map<string, number>> {
  const began = new Map<string, number>();
  const took = new Map<string, number>();
  let pending = "";
  for await (const text of progress.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + text).split("\n");
    pending = lines.pop()!;
    for (const { type, name, parent } of lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line))) {
      if (type === "NewTask" && parent) began.set(name, performance.now());
      else if (type === "FinishedTask" && began.has(name)) took.set(name, performance.now() - began.get(name)!);
    }
  }
  return took;
}

async function plainPodStarts(bench: Bench): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const name = `bench-plain-${Date.now()}`;
    const started = performance.now();
    await runPlainPod(bench, name);
    times.push(performance.now() - started);
    await outputOf(["kubectl", "delete", "pod", name, "--now", "--wait=false"], bench.clusterEnv);
  }
  return times;
}

async function runPlainPod(bench: Bench, name: string): Promise<void> {
  const image = "--image=docker.io/local/busybox:1";
  await outputOf(["kubectl", "run", name, image, "--restart=Never", "--", "sleep", "600"], bench.clusterEnv);
  await outputOf(["kubectl", "wait", "--for=condition=Ready", `pod/${name}`, "--timeout=60s"], bench.clusterEnv);
}
