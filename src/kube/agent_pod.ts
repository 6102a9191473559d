/**
 * An agent in the cluster: makes its Job, watches until it runs, removes it when it does not come up.
 *
 * What is wrong is said as soon as the cluster says it, from the pod's state and from events, and never only when the
 * time is up. Rights: create and delete jobs, list and watch pods, create pods/portforward; with those to list and
 * watch events some failures are told sooner.
 */
import { toHex } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import {
  type AgentNames,
  type Failure,
  failureOfEvent,
  failureOfPod,
  podDeleted,
  startTimeout,
} from "./agent_failure.ts";
import { AGENT_CONTAINER, type AgentJob, agentJobManifest } from "./agent_manifest.ts";
import { KINDS, type KubeClient } from "./client.ts";
import { delay } from "./deadline.ts";
import type { KubeEvent, Pod } from "./objects.ts";
import type { ResolvedTarget } from "./pods.ts";
import { type AgentAddress, dialPortForward } from "./port_forward.ts";
import { RefusedError } from "./refusals.ts";

export interface AgentOptions {
  readonly client: KubeClient;
  /** Where the Job is made. */
  readonly namespace: string;
  /** Undefined: targetless. */
  readonly target: ResolvedTarget | undefined;
  readonly image: string;
  readonly pullPolicy: AgentJob["pullPolicy"];
  readonly startupTimeoutMs: number;
  /** How long the cluster keeps the finished Job. */
  readonly ttlSeconds: number;
  /** What was just done, as it is done: "agent job mirrord-agent-… created". */
  readonly onStep?: (text: string) => void;
  readonly signal?: AbortSignal;
}

export interface ClusterAgent {
  readonly address: AgentAddress;
  /** 32 bytes, which only the client knows. */
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly jobName: string;
  /** Deletes the Job; the agent also leaves by itself, and its Job then goes after `ttlSeconds`. */
  remove(): Promise<void>;
  /**
   * What `work` with the agent promises, unless the agent fails meanwhile: then rejects with what the cluster says of
   * it. When `work` fails first, the cluster has a moment to say why.
   */
  explained<T>(work: Promise<T>): Promise<T>;
}

/** How long the agent waits for its client. */
const COMMUNICATION_TIMEOUT_SECONDS = 30;
/** For failures that may pass. */
const GRACE_MS = 1500;
const PROBE_MS = 100;
/** The refusal of a port nobody listens on comes right behind the WebSocket's handshake. */
const SILENCE_MS = 60;
/** The kubelet reports the end of a container up to two seconds late. */
const EXPLAIN_MS = 2000;
const NO_SERVER_CODES: ReadonlySet<string> = new Set(["KUBE_UNREACHABLE", "KUBE_CERTIFICATE"]);
/** Removing must not hold up a Ctrl-C for long. */
const REMOVE_MS = 5000;

/** Resolves when the agent's container runs. On failure and on abort the Job is deleted before it rejects. */
export async function createAgent(options: AgentOptions): Promise<ClusterAgent> {
  const { client, namespace, image } = options;
  options.signal?.throwIfAborted();
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const names: AgentNames = { job: randomName(), namespace, image };
  const port = 30000 + crypto.getRandomValues(new Uint16Array(1))[0]! % 30000;
  const manifest = agentJobManifest({
    ...options,
    name: names.job,
    port,
    secretSha256: toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", secret))),
    communicationTimeoutSeconds: COMMUNICATION_TIMEOUT_SECONDS,
    target: options.target && { node: options.target.node, containerId: options.target.containerId },
  });
  const remove = () => client.delete(KINDS.jobs, namespace, names.job, AbortSignal.timeout(REMOVE_MS));
  try {
    const pod = await start(options, names, port, manifest);
    const address = { server: client.server, namespace, pod, port };
    return { address, secret, jobName: names.job, remove, explained: (work) => explained(work, options, names, pod) };
  } catch (error) {
    // The first failure is the one to tell; the agent also leaves by itself. A server that is not there is not asked
    // again.
    if (!(error instanceof UserError) || !NO_SERVER_CODES.has(error.code)) await remove().catch(() => {});
    throw error;
  }
}

/** "mirrord-agent-" and ten of a-z0-9, as users of such tools know it. */
function randomName(): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  const random = crypto.getRandomValues(new Uint32Array(10));
  return `mirrord-agent-${[...random].map((it) => letters[it % letters.length]).join("")}`;
}

/** Makes the Job and resolves with the name of its pod once it runs; watching begins before, so as to miss nothing. */
async function start(options: AgentOptions, names: AgentNames, port: number, manifest: object): Promise<string> {
  const { client, namespace, startupTimeoutMs, onStep } = options;
  await using watch = new StartWatch(client, names, port, options.signal);
  watch.failAfter(startupTimeoutMs);
  // Not aborted midway: then nobody would know whether it is there.
  await client.create(KINDS.jobs, namespace, manifest);
  onStep?.(`agent job ${names.job} created`);
  const pod = await watch.running;
  onStep?.(`agent pod ${pod} is running`);
  return pod;
}

/** Follows the pod and the events of one Job until it is clear how it ends. */
class StartWatch implements AsyncDisposable {
  readonly #client: KubeClient;
  readonly #names: AgentNames;
  readonly #port: number;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #outcome = Promise.withResolvers<string>();
  readonly #tasks: Promise<void>[] = [];
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  #pod: string | undefined;
  #isProbed = false;
  #passing: Failure | undefined;
  #lastSeen = "its Job has no pod yet";

  constructor(client: KubeClient, names: AgentNames, port: number, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#names = names;
    this.#port = port;
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    this.#signal.addEventListener("abort", () => this.#outcome.reject(this.#signal.reason), { once: true });
    this.#outcome.promise.catch(() => {}); // it may fail before anybody asks
    this.#spawn(this.#followPods());
    this.#spawn(this.#followEvents(names.job));
  }

  /** The pod's name. */
  get running(): Promise<string> {
    return this.#outcome.promise;
  }

  failAfter(ms: number): void {
    const fail = () => this.#outcome.reject(this.#passing?.error ?? startTimeout(this.#names, ms, this.#lastSeen));
    this.#timers.push(setTimeout(fail, ms));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timers.forEach(clearTimeout);
    this.#stop.abort();
    while (this.#tasks.length > 0) await this.#tasks.pop();
  }

  #spawn(task: Promise<void>): void {
    this.#tasks.push(task.catch((error) => {
      if (!this.#signal.aborted) this.#outcome.reject(error);
    }));
  }

  async #followPods(): Promise<void> {
    const selection = { labelSelector: `job-name=${this.#names.job}` };
    const changes = this.#client.observe<Pod>(KINDS.pods, this.#names.namespace, selection, this.#signal);
    for await (const { type, object: pod } of changes) {
      if (type === "DELETED") this.#outcome.reject(podDeleted(this.#names));
      else this.#look(pod);
    }
  }

  #look(pod: Pod): void {
    const name = pod.metadata.name;
    if (this.#pod === undefined) {
      this.#pod = name;
      this.#spawn(this.#followEvents(name));
    }
    const status = pod.status?.containerStatuses?.find((it) => it.name === AGENT_CONTAINER);
    if (status?.state?.running) return this.#outcome.resolve(name);
    this.#lastSeen = describeState(pod);
    this.#passing = undefined;
    this.#consider(failureOfPod(pod, this.#names));
    if (pod.spec.nodeName && !this.#isProbed) {
      this.#isProbed = true;
      this.#spawn(this.#probe(name));
    }
  }

  /**
   * The kubelet reports a container up to a second after it has started. So we knock: as soon as a port-forward is not
   * refused, the agent is there. A mistake does no harm, since the client's own port-forward waits again.
   */
  async #probe(pod: string): Promise<void> {
    const { namespace } = this.#names;
    const address = { server: this.#client.server, namespace, pod, port: this.#port };
    while (!this.#signal.aborted) {
      if (await isListening(address, this.#signal)) return this.#outcome.resolve(pod);
      await delay(PROBE_MS, this.#signal);
    }
  }

  /** Best effort: not everybody may read events. */
  async #followEvents(name: string): Promise<void> {
    const selection = { fieldSelector: `involvedObject.name=${name}` };
    try {
      const changes = this.#client.observe<KubeEvent>(KINDS.events, this.#names.namespace, selection, this.#signal);
      for await (const { type, object: event } of changes) {
        if (type === "DELETED") continue;
        if (event.type === "Warning" && event.message) this.#lastSeen = `${event.reason}: ${event.message}`;
        this.#consider(failureOfEvent(event, this.#names));
      }
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }

  #consider(failure: Failure | undefined): void {
    if (!failure) return;
    if (!failure.mayPass) return this.#outcome.reject(failure.error);
    this.#passing = failure;
    this.#timers.push(setTimeout(() => {
      if (this.#passing?.error.code === failure.error.code) this.#outcome.reject(failure.error);
    }, GRACE_MS));
  }
}

async function isListening(address: AgentAddress, signal: AbortSignal): Promise<boolean> {
  let duplex;
  try {
    duplex = await dialPortForward(address, signal);
  } catch (error) {
    // No container of the pod yet. Whoever may not do this at all is told now rather than after the wait.
    if (error instanceof RefusedError && (error.status === 401 || error.status === 403)) throw error;
    signal.throwIfAborted();
    return false;
  }
  using opened = duplex;
  const isOver = new AbortController();
  const silence = delay(SILENCE_MS, isOver.signal).then(() => true, () => false);
  // Whatever comes is a refusal: an agent says nothing before it is spoken to.
  const answer = opened.read(new Uint8Array(1)).then(() => false, () => false);
  const isUp = await Promise.race([answer, silence]);
  isOver.abort();
  return isUp;
}

function describeState(pod: Pod): string {
  const waiting = pod.status?.containerStatuses?.find((it) => it.name === AGENT_CONTAINER)?.state?.waiting;
  const reason = waiting?.reason ?? pod.status?.reason;
  return `its pod is ${pod.status?.phase ?? "not begun"}${reason ? ` (${reason})` : ""}`;
}

async function explained<T>(
  work: Promise<T>,
  { client, signal }: AgentOptions,
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

/** Resolves once the cluster says that the agent's pod has failed or is gone. */
async function failureOf(client: KubeClient, names: AgentNames, pod: string, signal: AbortSignal): Promise<UserError> {
  const selection = { labelSelector: `job-name=${names.job}` };
  for await (const { type, object } of client.observe<Pod>(KINDS.pods, names.namespace, selection, signal)) {
    if (object.metadata.name !== pod) continue;
    if (type === "DELETED") return podDeleted(names);
    const failure = failureOfPod(object, names);
    if (failure && !failure.mayPass) return failure.error;
  }
  throw new TypeError("Cannot come here: observing ends by its signal only");
}
