/**
 * Requests to a pod that a program here has stolen, beside requests from here to the same program in the pod by `kubectl
 * port-forward`: both cross the API server once each way. wrk with 32 connections, on the node for one and here for the other.
 */
import { type Load, loadOf } from "./incoming.ts";
import type { Bench } from "./main.ts";
import { median, outputOf, type Row } from "./measure.ts";
import { loadPeerImage, portForward } from "./network.ts";

const POD = "bench-http";
const IMAGE = "bench-http:1";
const PORT = 7080;
const ROUNDS = 3;

export async function measureStolen(bench: Bench): Promise<Row[]> {
  const peer = await loadPeerImage(bench, IMAGE, ["http", String(PORT)]);
  const kubectl = (...args: string[]) => outputOf(["kubectl", ...args], bench.clusterEnv);
  await kubectl("delete", "pod", POD, "--now", "--ignore-not-found");
  await kubectl("run", POD, `--image=${IMAGE}`, "--restart=Never");
  try {
    await kubectl("wait", "--for=condition=Ready", `pod/${POD}`, "--timeout=60s");
    const address = `${await kubectl("get", "pod", POD, "-o", "jsonpath={.status.podIP}")}:${PORT}`;
    const onNode = (command: readonly string[]) => [`${bench.root}tests/cluster/in-node`, ...command];
    const stolen: Load[] = [];
    const forwarded: Load[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const forward = await portForward(bench, POD, PORT);
      forwarded.push(await loadOf(`127.0.0.1:${forward.port}`, (command) => command));
      forward.stop();
      stolen.push(await whileStolen(bench, peer, () => loadOf(address, onNode)));
    }
    const [ours, theirs] = [stolen, forwarded].map((all) => median(all.map(({ rate }) => rate))) as [number, number];
    const times = (all: readonly Load[]) => `p50 ${all.at(-1)!.p50}, p99 ${all.at(-1)!.p99}`;
    return [{
      what: "stolen HTTP requests to a pod",
      ours: `${ours.toFixed(0)}/s, ${times(stolen)}`,
      beside: `${theirs.toFixed(0)}/s, ${times(forwarded)} by \`kubectl port-forward\``,
      ratio: (ours / theirs).toFixed(2),
      bound: "",
    }];
  } finally {
    await kubectl("delete", "pod", POD, "--now", "--wait=false");
  }
}

async function whileStolen(bench: Bench, peer: string, load: () => Promise<Load>): Promise<Load> {
  const flags = ["exec", "--steal", "--target", `pod/${POD}`, "--"];
  const script = `setsid ${peer} http ${PORT} & server=$!; sleep 1; echo up; read -r end; kill -9 -- -$server`;
  const child = new Deno.Command(bench.mirrord, {
    args: [...flags, "sh", "-c", script],
    env: { ...bench.clusterEnv, MIRRORD_PROGRESS_MODE: "off" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  try {
    return await load();
  } finally {
    await child.stdin.close();
    await reader.cancel();
    await child.status;
  }
}
