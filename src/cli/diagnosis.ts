/** What `mirrord diagnose` finds out, step by step; a step that fails ends it, and what was found until then is told. */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import type { KubeClient } from "../kube/client.ts";
import { formatRight, isAllowed, rightsOfRun } from "../kube/rights.ts";
import { AgentClient } from "../layer/intproxy/agent_client.ts";
import type { AgentSource } from "./control.ts";
import { openCluster } from "./open_cluster.ts";
import { startProgress } from "./progress.ts";
import { StartSignals } from "./start_signals.ts";
import { VERSION } from "./version.ts";

export interface Times {
  readonly rounds: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface Diagnosis {
  readonly here: { readonly kernel: string; readonly architecture: string; readonly version: string };
  api?: { readonly url: string; readonly version: string; readonly roundTripMs: Times };
  rights?: readonly {
    readonly right: string;
    readonly namespace: string;
    readonly isAllowed: boolean;
    /** What is lost, where a run can do without. */
    readonly without?: string;
  }[];
  agent?: {
    readonly place: string;
    readonly kernel: string;
    readonly startMs: number;
    readonly reachMs: number;
    readonly roundTripMs: Times;
  };
  /** Why there is no more. */
  error?: { readonly code: string; readonly message: string; readonly hint?: string };
}

/** Of requests to the API server: each is an answer of its own. */
const API_ROUNDS = 20;

export async function diagnose(config: Config, rounds: number): Promise<Diagnosis> {
  const here = { kernel: Deno.osRelease(), architecture: Deno.build.arch, version: VERSION };
  const diagnosis: Diagnosis = { here };
  using signals = new StartSignals(0n);
  try {
    if (config.target.kind !== "process") await diagnoseCluster(config, diagnosis, signals.signal);
    await diagnoseAgent(config, rounds, diagnosis, signals.signal);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { code, message, hint } = error;
    diagnosis.error = { code, message, ...(hint === undefined ? {} : { hint }) };
  }
  return diagnosis;
}

async function diagnoseCluster(config: Config, diagnosis: Diagnosis, signal: AbortSignal): Promise<void> {
  const { client, namespace } = await openCluster(config);
  using _client: KubeClient = client;
  const version = await client.version(signal);
  const roundTripMs = await timesOf(API_ROUNDS, async () => void await client.version(signal));
  diagnosis.api = { url: client.server.url, version, roundTripMs };
  const { target } = config;
  const targetNamespace = config.targetNamespace ?? namespace;
  const rights = rightsOfRun({
    target: target.kind === "targetless" || target.kind === "process" ? undefined : target,
    targetNamespace,
    agentNamespace: config.agent.namespace ?? targetNamespace,
    isEphemeral: config.agent.isEphemeral,
  });
  diagnosis.rights = await Promise.all(rights.map(async (right) => ({
    right: formatRight(right),
    namespace: right.namespace,
    isAllowed: await isAllowed(client, right, signal),
    ...(right.optional === undefined ? {} : { without: right.optional }),
  })));
}

async function diagnoseAgent(
  config: Config,
  rounds: number,
  diagnosis: Diagnosis,
  signal: AbortSignal,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  const began = performance.now();
  const { source, place } = await startAgent(config, undo, signal);
  const started = performance.now();
  const { duplex, secret } = await reach(source, undo, signal);
  const client = new AgentClient(duplex, { log: () => {} });
  undo.defer(() => client.close());
  await client.shakeHands(VERSION, secret);
  const reached = performance.now();
  const roundTripMs = await timesOf(rounds, () => client.ask({ type: "Ping" }, () => {}));
  const path = utf8("/proc/sys/kernel/osrelease");
  const kernel = await client.ask(
    { type: "Open", path, flags: 0, inlineBytes: 256 },
    (reply) => reply && reply.errno === 0 ? fromUtf8(reply.data.slice()).trim() : "of unknown version",
  );
  const [startMs, reachMs] = [started - began, reached - started].map(rounded) as [number, number];
  diagnosis.agent = { place, kernel, startMs, reachMs, roundTripMs };
}

async function startAgent(config: Config, undo: AsyncDisposableStack, signal: AbortSignal) {
  const { target } = config;
  if (target.kind === "process") {
    return { source: { kind: "process", pid: target.pid } as AgentSource, place: `on this machine, pid ${target.pid}` };
  }
  const { agentInCluster } = await import("./cluster.ts");
  using progress = startProgress("off", "mirrord diagnose");
  const own = { ...config, agent: { ...config.agent, keepAliveSeconds: 0 } };
  const { source } = await agentInCluster(own, target, progress, undo, signal);
  const { namespace, pod } = (source as Extract<AgentSource, { kind: "port-forward" }>).address;
  return { source, place: `pod ${pod} in namespace ${namespace}` };
}

async function reach(
  source: AgentSource,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<{ duplex: Duplex; secret: Uint8Array }> {
  if (source.kind === "process") {
    const { startLocalAgent } = await import("./local_agent.ts");
    return { duplex: undo.use(startLocalAgent(source.pid, () => {})).duplex, secret: new Uint8Array(32) };
  }
  const { openPortForward } = await import("../kube/port_forward.ts");
  const duplex = undo.use(await openPortForward(source.address, { signal }));
  return { duplex, secret: Uint8Array.fromHex(source.secret) };
}

/** One after the other. */
async function timesOf(rounds: number, round: () => Promise<void>): Promise<Times> {
  const times: number[] = [];
  for (let done = 0; done < rounds; done++) {
    const began = performance.now();
    await round();
    times.push(performance.now() - began);
  }
  return percentiles(times);
}

/** By nearest rank. */
export function percentiles(times: readonly number[]): Times {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (percent: number) => rounded(sorted[Math.max(0, Math.ceil(sorted.length * percent / 100) - 1)] ?? 0);
  return { rounds: sorted.length, p50: at(50), p90: at(90), p99: at(99), max: at(100) };
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
