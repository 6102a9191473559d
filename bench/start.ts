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

/** From typing to the program's first instruction in the cluster, and how much of it the pod took. */
export async function measureClusterStart(bench: Bench): Promise<Row[]> {
  const totals: number[] = [];
  const pods: number[] = [];
  for (let round = 0; round < 5; round++) {
    const started = Date.now();
    const child = new Deno.Command(bench.mirrord, {
      args: ["exec", "date", "+%s%N"],
      env: { ...bench.clusterEnv, MIRRORD_PROGRESS_MODE: "json" },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const [podMs, output] = await Promise.all([stepMs(child.stderr, "creating the agent"), child.stdout.text()]);
    if (!(await child.status).success) throw new Error("mirrord exec date failed");
    totals.push(Number(BigInt(output.trim()) / 1_000_000n) - started);
    pods.push(podMs);
  }
  const [total, pod] = [median(totals), median(pods)];
  const run = median(await plainPodStarts(bench));
  return [{
    what: "targetless `mirrord exec` in the cluster: typing to program",
    ours: `${total.toFixed(0)} ms`,
    beside: `${
      pod.toFixed(0)
    } ms of it making the agent's Job and waiting for its pod; a plain \`kubectl run\` pod is ready in ${
      run.toFixed(0)
    } ms`,
    ratio: (total / run).toFixed(2),
    bound: "",
  }];
}

/** How long a step took, by when its lines of JSON progress came; reads the stream to its end. */
async function stepMs(progress: ReadableStream<Uint8Array>, step: string): Promise<number> {
  let pending = "";
  let began = 0;
  let took = 0;
  for await (const text of progress.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + text).split("\n");
    pending = lines.pop()!;
    for (const { type, name } of lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line))) {
      if (name !== step) continue;
      if (type === "NewTask") began = performance.now();
      else if (type === "FinishedTask") took = performance.now() - began;
    }
  }
  return took;
}

async function plainPodStarts(bench: Bench): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const name = `bench-plain-${Date.now()}`;
    const started = performance.now();
    await outputOf(
      ["kubectl", "run", name, "--image=docker.io/local/busybox:1", "--restart=Never", "--", "sleep", "60"],
      bench.clusterEnv,
    );
    await outputOf(["kubectl", "wait", "--for=condition=Ready", `pod/${name}`, "--timeout=60s"], bench.clusterEnv);
    times.push(performance.now() - started);
    await outputOf(["kubectl", "delete", "pod", name, "--now", "--wait=false"], bench.clusterEnv);
  }
  return times;
}
