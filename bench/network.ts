/** TCP to a pod of the cluster: through mirrord, and through `kubectl port-forward` to the same pod, in turns. */
import type { Bench } from "./main.ts";
import { Conversation, outputOf, type Row, sideBySide } from "./measure.ts";

const POD = "bench-peer";
const IMAGE = "bench-peer:1";
const PORT = 7070;
const ROUNDS = 5;
const ECHOES = 3000;
const MEGABYTES = 500;

export async function measureNetwork(bench: Bench): Promise<Row[]> {
  const peer = await preparePod(bench);
  const forwarded = await portForward(bench, POD, PORT);
  try {
    await using shell = new Conversation(
      [bench.mirrord, "exec", "--target", `pod/${POD}`, "--", "sh"],
      { ...bench.clusterEnv, MIRRORD_PROGRESS_MODE: "off" },
    );
    const rows: Row[] = [];
    for (const test of TESTS) {
      const { ours, theirs, ratio } = await sideBySide(
        ROUNDS,
        async () => Number((await shell.ask(`${peer} ${test.mode} 127.0.0.1 ${PORT} ${test.amount}`)).split(" ")[0]),
        async () =>
          Number(
            (await outputOf([peer, test.beside ?? test.mode, "127.0.0.1", String(forwarded.port), String(test.amount)]))
              .split(" ")[0],
          ),
      );
      rows.push({
        what: test.what,
        ours: `${ours.toFixed(0)} ${test.unit}`,
        beside: `${theirs.toFixed(0)} ${test.unit} ${test.beside ? "by TCP and " : ""}\`kubectl port-forward\``,
        ratio: ratio.toFixed(2),
        bound: test.bound,
      });
    }
    return rows;
  } finally {
    forwarded.stop();
    await outputOf(["kubectl", "delete", "pod", POD, "--now", "--wait=false"], bench.clusterEnv);
  }
}

interface Test {
  readonly what: string;
  readonly mode: string;
  readonly amount: number;
  readonly unit: string;
  readonly bound: string;
  /** What kubectl does in its place: it forwards no datagrams. */
  readonly beside?: string;
}

const TESTS: readonly Test[] = [
  { what: "64-byte echo, median", mode: "latency", amount: ECHOES, unit: "µs", bound: "≤ 1.3" },
  { what: "64 bytes by UDP and back, median", mode: "udp", amount: ECHOES, unit: "µs", bound: "", beside: "latency" },
  { what: `${MEGABYTES} MB from the pod`, mode: "down", amount: MEGABYTES, unit: "MB/s", bound: "≥ 0.8" },
  { what: `${MEGABYTES} MB to the pod`, mode: "up", amount: MEGABYTES, unit: "MB/s", bound: "≥ 0.8" },
];

/** Builds peer.c twice: statically for the pod's image, dynamically (so that the shim can enter) for this side. */
async function preparePod(bench: Bench): Promise<string> {
  const client = await loadPeerImage(bench, IMAGE, ["server", String(PORT)]);
  await outputOf(["kubectl", "delete", "pod", POD, "--now", "--ignore-not-found"], bench.clusterEnv);
  await outputOf(["kubectl", "run", POD, `--image=${IMAGE}`, "--restart=Never"], bench.clusterEnv);
  await outputOf(["kubectl", "wait", "--for=condition=Ready", `pod/${POD}`, "--timeout=60s"], bench.clusterEnv);
  return client;
}

/** Resolves with the path of the peer for this side. */
export async function loadPeerImage(bench: Bench, image: string, args: readonly string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  const client = `${folder}/peer`;
  await Deno.mkdir(`${folder}/root`);
  await outputOf(["gcc", "-O2", "-o", client, `${bench.root}bench/peer.c`]);
  await outputOf(["gcc", "-O2", "-static", "-o", `${folder}/root/peer`, `${bench.root}bench/peer.c`]);
  await outputOf([`${bench.root}tests/cluster/load-image`, image, `${folder}/root`, "/peer", ...args]);
  return client;
}

export async function portForward(
  bench: Bench,
  pod: string,
  podPort: number,
): Promise<{ port: number; stop(): void }> {
  const child = new Deno.Command("kubectl", {
    args: ["port-forward", `pod/${pod}`, `:${podPort}`],
    env: bench.clusterEnv,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(value ?? "")?.[1]);
  if (!port) throw new Error(`kubectl port-forward said "${value}"`);
  return { port, stop: () => child.kill("SIGKILL") };
}
