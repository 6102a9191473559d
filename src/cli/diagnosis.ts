/** What `mirrord diagnose` finds out, step by step; a step that fails ends it, and what was found until then is told. */
import { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import type { KubeClient } from "../kube/client.ts";
import { formatRight, isAllowed, rightsOfRun } from "../kube/rights.ts";
import type { AgentSource } from "./control.ts";
import { textOf } from "./environment.ts";
import { capabilitiesOf, type Feature, featuresHere, featuresThere } from "./features.ts";
import { openCluster } from "./open_cluster.ts";
import { shakeHands } from "./own_agent.ts";
import { findProgram } from "./program.ts";
import { startProgress } from "./progress.ts";
import { type ErrorObject, errorObject } from "./report.ts";
import { reachableAgent } from "./run.ts";
import { userEnvironment } from "./self.ts";
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
  readonly here: {
    readonly kernel: string;
    readonly architecture: string;
    readonly version: string;
    readonly features: readonly Feature[];
  };
  /** Of one that was named. */
  program?: ProgramDiagnosis;
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
    readonly version: string;
    readonly user: number;
    readonly capabilities: readonly string[];
    readonly features: readonly Feature[];
    readonly startMs: number;
    readonly reachMs: number;
    readonly roundTripMs: Times;
  };
  /** Why there is no more. */
  error?: ErrorObject;
}

export interface ProgramDiagnosis {
  readonly name: string;
  /** Null: it cannot be run at all. */
  readonly path: string | null;
  readonly canBeEntered: boolean;
  /** Which way: a library in it, or a process that answers its system calls. Null: none. */
  readonly way: "shim" | "supervisor" | null;
  /** Why not. */
  readonly because: string | null;
}

/** Of requests to the API server: each is an answer of its own. */
const API_ROUNDS = 20;

/** `program` is looked at; the way to the target is not, when nobody has named one but a program. */
export async function diagnose(config: Config, rounds: number, program: string | undefined): Promise<Diagnosis> {
  const here = {
    ...{ kernel: Deno.osRelease(), architecture: Deno.build.arch, version: VERSION },
    features: featuresHere(),
  };
  const diagnosis: Diagnosis = { here };
  if (program !== undefined) diagnosis.program = diagnoseProgram(program);
  if (program !== undefined && config.isTargetDefault) return diagnosis;
  using signals = new StartSignals(0n);
  try {
    if (config.target.kind !== "process") await diagnoseCluster(config, diagnosis, signals.signal);
    await diagnoseAgent(config, rounds, diagnosis, signals.signal);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    diagnosis.error = errorObject(error);
  }
  return diagnosis;
}

function diagnoseProgram(name: string): ProgramDiagnosis {
  try {
    const { path, obstacle, isSupervised } = findProgram(name, textOf(userEnvironment(), "PATH"));
    if (obstacle !== undefined) return { name, path, canBeEntered: false, way: null, because: obstacle };
    return { name, path, canBeEntered: true, way: isSupervised ? "supervisor" : "shim", because: null };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { name, path: null, canBeEntered: false, way: null, because: error.message };
  }
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
  using progress = startProgress("off", "mirrord diagnose");
  const own = { ...config, agent: { ...config.agent, keepAliveSeconds: 0 } };
  const found = await reachableAgent(own, progress, undo, signal);
  const started = performance.now();
  const client = await found.explained(shakeHands(found.source, undo, signal));
  const reached = performance.now();
  const roundTripMs = await timesOf(rounds, () => client.ask({ type: "Ping" }, () => {}));
  const told = await client.ask({ type: "GetFeatures" }, (it) => it && { ...it });
  if (!told) throw new UserError("AGENT_LOST", "Cannot diagnose: the agent does not answer", {});
  const { kernel, user } = told;
  const [startMs, reachMs] = [started - began, reached - started].map(rounded) as [number, number];
  diagnosis.agent = {
    ...{ place: placeOf(found.source), kernel, version: client.agentVersion, user },
    capabilities: capabilitiesOf(told),
    features: featuresThere(told, config.target.kind === "targetless"),
    ...{ startMs, reachMs, roundTripMs },
  };
}

function placeOf(source: AgentSource): string {
  if (source.kind === "process") return `on this machine, pid ${source.pid}`;
  return `pod ${source.address.pod} in namespace ${source.address.namespace}`;
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
