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
    const { stdout, stderr, success } = await new Deno.Command(bench.mirrord, {
      args: ["exec", "date", "+%s%N"],
      env: { ...bench.clusterEnv, MIRRORD_PROGRESS_MODE: "json" },
    }).output();
    const errors = new TextDecoder().decode(stderr);
    if (!success) throw new Error(errors);
    totals.push(Number(BigInt(new TextDecoder().decode(stdout).trim()) / 1_000_000n) - started);
    pods.push(podWaitMs(errors));
  }
  const [total, pod] = [median(totals), median(pods)];
  const run = await median(await plainPodStarts(bench));
  return [{
    what: "targetless `mirrord exec` in the cluster: typing to program",
    ours: `${total.toFixed(0)} ms`,
    beside: `${pod.toFixed(0)} ms of it waiting for the pod; a plain \`kubectl run\` pod is ready in ${
      run.toFixed(0)
    } ms`,
    ratio: (total / run).toFixed(2),
    bound: "",
  }];
}

/** The time of the step that waits for the agent's pod, from JSON progress. */
function podWaitMs(progress: string): number {
  for (const line of progress.split("\n")) {
    if (!line.startsWith("{")) continue;
    const event = JSON.parse(line);
    if (typeof event.ms === "number" && /pod is ready/i.test(event.text ?? event.name ?? "")) return event.ms;
  }
  return 0;
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
