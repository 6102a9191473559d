/**
 * An agent in the cluster: makes its Job, or puts it into the target's pod, and removes it when it does not come up.
 *
 * Rights: create and delete jobs (or patch pods/ephemeralcontainers), list and watch pods, create pods/portforward; with
 * those to list and watch events some failures are told sooner. docs/rbac.md has them as a Role.
 */
import { toHex } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import type { AgentNames } from "./agent_failure.ts";
import { AGENT_CONTAINER, agentJobManifest, type AgentSpec, ephemeralPatch } from "./agent_manifest.ts";
import { failureOf, isListening, StartWatch } from "./agent_start.ts";
import { KINDS, type KubeClient } from "./client.ts";
import { delay } from "./deadline.ts";
import type { ResolvedTarget } from "./pods.ts";
import type { AgentAddress } from "./port_forward.ts";
import { RefusedError } from "./refusals.ts";

export interface AgentOptions {
  readonly client: KubeClient;
  /** Where the Job is made. */
  readonly namespace: string;
  /** Undefined: targetless. */
  readonly target: ResolvedTarget | undefined;
  /** In the target's pod rather than as a Job. */
  readonly isEphemeral?: boolean;
  readonly spec: AgentSpec;
  readonly startupTimeoutMs: number;
  /** What was just done, as it is done: "agent job mirrord-agent-… created". */
  readonly onStep?: (text: string) => void;
  readonly signal?: AbortSignal;
}

export interface ClusterAgent {
  readonly address: AgentAddress;
  /** 32 bytes, which only the client knows. */
  readonly secret: Uint8Array<ArrayBuffer>;
  /** Undefined: it is an ephemeral container. */
  readonly jobName: string | undefined;
  /** Of the pod. */
  readonly container: string;
  /**
   * Deletes the Job; the agent also leaves by itself, and its Job then goes after `ttlSeconds`: who has asked for more than
   * the least of them wants to read its log, and nothing is deleted. Nobody can take an ephemeral container away: it leaves
   * when nobody comes.
   */
  remove(): Promise<void>;
  /**
   * What `work` with the agent promises, unless the agent fails meanwhile: then rejects with what the cluster says of
   * it. When `work` fails first, the cluster has a moment to say why.
   */
  explained<T>(work: Promise<T>): Promise<T>;
}

/** An agent that runs already, made by a run before. */
export interface KnownAgent {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly port: number;
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly job?: string;
}

/** The kubelet reports the end of a container up to two seconds late. */
const EXPLAIN_MS = 2000;
const NO_SERVER_CODES: ReadonlySet<string> = new Set(["KUBE_UNREACHABLE", "KUBE_CERTIFICATE"]);
/** Removing must not hold up a Ctrl-C for long. */
const REMOVE_MS = 2000;
/** How long an API server that is about to make a Job may take to say so after a Ctrl-C. */
const LAST_WORD_MS = 1000;
/** An ephemeral agent's port may be taken by what runs in the pod. */
const PORT_TRIES = 3;

/** Resolves when the agent's container runs. On failure and on abort the Job is deleted before it rejects. */
export async function createAgent(options: AgentOptions): Promise<ClusterAgent> {
  if (!options.isEphemeral) return await createOnce(options);
  for (let tried = 1;; tried++) {
    try {
      return await createOnce(options);
    } catch (error) {
      const isTaken = error instanceof UserError && error.code === "PORT_NOT_FREE";
      if (!isTaken || tried === PORT_TRIES) throw error;
    }
  }
}

/** Undefined when it is gone. It is not removed when a run fails: others may use it. */
export async function attachAgent(
  options: Pick<AgentOptions, "client" | "signal">,
  image: string,
  known: KnownAgent,
): Promise<ClusterAgent | undefined> {
  const { namespace, pod, container, port, secret, job } = known;
  const address = { server: options.client.server, namespace, pod, port };
  if (!await isListening(address, options.signal ?? new AbortController().signal)) return undefined;
  const names: AgentNames = { namespace, image, container, ...(job === undefined ? { pod } : { job }) };
  return {
    address,
    secret,
    jobName: job,
    container,
    remove: () => Promise.resolve(),
    explained: (work) => explained(work, options, names, pod),
  };
}

/** Jobs that stay for longer when they have ended are not deleted. */
const LEAST_TTL_SECONDS = 1;

/** Does somebody want to read the log of an agent that has ended? */
export function isLogWanted({ ttlSeconds }: { readonly ttlSeconds: number }): boolean {
  return ttlSeconds > LEAST_TTL_SECONDS;
}

/** The Job was refused: there is nothing to remove. */
class NeverMade extends Error {}

async function createOnce(options: AgentOptions): Promise<ClusterAgent> {
  const { client, target, isEphemeral } = options;
  options.signal?.throwIfAborted();
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const name = randomName();
  const port = 30000 + crypto.getRandomValues(new Uint16Array(1))[0]! % 30000;
  const { image } = options.spec;
  const names: AgentNames = isEphemeral
    ? { namespace: target!.namespace, image, container: name, pod: target!.pod }
    : { namespace: options.namespace, image, container: AGENT_CONTAINER, job: name };
  const remove = async () => {
    if (!isEphemeral) await client.delete(KINDS.jobs, names.namespace, name, AbortSignal.timeout(REMOVE_MS));
  };
  try {
    const secretSha256 = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", secret)));
    const pod = await start(options, names, name, port, secretSha256);
    const address = { server: client.server, namespace: names.namespace, pod, port };
    return {
      address,
      secret,
      jobName: names.job,
      container: names.container,
      remove: isLogWanted(options.spec) ? () => Promise.resolve() : remove,
      explained: (work) => explained(work, options, names, pod),
    };
  } catch (error) {
    // The first failure is the one to tell; the agent also leaves by itself. A server that is not there is not asked
    // again, nor one that has refused to make it.
    if (error instanceof NeverMade) throw error.cause;
    const code = error instanceof UserError ? error.code : undefined;
    const isRead = code === "AGENT_CRASHED" && isLogWanted(options.spec);
    if (!isRead && !(code && NO_SERVER_CODES.has(code))) await remove().catch(() => {});
    throw error;
  }
}

/** "mirrord-agent-" and ten of a-z0-9, as users of such tools know it. */
function randomName(): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  const random = crypto.getRandomValues(new Uint32Array(10));
  return `mirrord-agent-${[...random].map((it) => letters[it % letters.length]).join("")}`;
}

/** Makes the agent and resolves with the name of its pod once it runs; watching begins before, so as to miss nothing. */
async function start(
  options: AgentOptions,
  names: AgentNames,
  name: string,
  port: number,
  secretSha256: string,
): Promise<string> {
  const { client, target, spec, startupTimeoutMs, onStep } = options;
  await using watch = new StartWatch(client, names, port, options.signal);
  watch.failAfter(startupTimeoutMs);
  const made = async (signal: AbortSignal) => {
    if (options.isEphemeral) {
      const patch = ephemeralPatch({ name, port, secretSha256, target: target! }, spec);
      return await addToPod(client, target!, patch, signal);
    }
    const job = agentJobManifest({ name, namespace: names.namespace, port, secretSha256, target }, spec);
    await client.create(KINDS.jobs, names.namespace, job, signal).catch((error: unknown) => {
      throw error instanceof RefusedError && error.status < 500 ? new NeverMade("refused", { cause: error }) : error;
    });
  };
  await withLastWord(made, options.signal);
  onStep?.(options.isEphemeral ? `agent container ${name} added to pod ${names.pod}` : `agent job ${name} created`);
  const pod = await watch.running;
  onStep?.(options.isEphemeral ? `agent container ${name} is running` : `agent pod ${pod} is running`);
  return pod;
}

/** Called off midway nobody would know whether it was made: so it gets a moment to be. Rejects with the signal's reason. */
async function withLastWord<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const cut = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => timer = setTimeout(() => cut.abort(signal!.reason), LAST_WORD_MS);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const result = await work(cut.signal);
    signal?.throwIfAborted();
    return result;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** How a cluster answers that knows no ephemeral containers, or only those of before 1.22. */
const NO_EPHEMERAL_STATUSES: ReadonlySet<number> = new Set([400, 404, 405, 415, 501]);

async function addToPod(
  client: KubeClient,
  { namespace, pod }: ResolvedTarget,
  patch: object,
  signal: AbortSignal,
): Promise<void> {
  try {
    await client.patch(KINDS.pods, namespace, pod, "ephemeralcontainers", patch, signal);
  } catch (error) {
    if (!(error instanceof RefusedError) || !NO_EPHEMERAL_STATUSES.has(error.status)) throw error;
    if (!await client.find(KINDS.pods, namespace, pod, signal)) throw error;
    const version = await client.version(signal).catch(() => "");
    throw new UserError(
      "EPHEMERAL_UNSUPPORTED",
      `Cannot put the agent into pod "${pod}": this cluster${version && ` (${version})`} has no ephemeral containers ` +
        `as they are since Kubernetes 1.22; it says: ${error.message}`,
      { hint: "without --ephemeral-container the agent is a Job beside the target" },
    );
  }
}

async function explained<T>(
  work: Promise<T>,
  { client, signal }: Pick<AgentOptions, "client" | "signal">,
  names: AgentNames,
  pod: string,
): Promise<T> {
  const stop = new AbortController();
  const failure = failureOf(client, names, pod, stop.signal);
  // Only its failing counts: where nobody may watch any more, `work` stands for itself.
  const failed = failure.catch(() => new Promise<never>(() => {})).then((error) => Promise.reject(error));
  failed.catch(() => {});
  try {
    return await Promise.race([work, failed]);
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = delay(EXPLAIN_MS, stop.signal).catch(() => {}).then(() => undefined);
    throw await Promise.race([failure.catch(() => undefined), late]) ?? error;
  } finally {
    stop.abort();
    await failure.catch(() => {});
  }
}
