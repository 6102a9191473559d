/**
 * Follows an agent from the moment its Job (or ephemeral container) is made until it runs, or until it is clear that it
 * will not. What is wrong is said as soon as the cluster says it, from the pod's state and from events, and never only
 * when the time is up.
 */
import type { UserError } from "../base/errors.ts";
import {
  type AgentNames,
  agentStatus,
  type Failure,
  failureOfEvent,
  failureOfPod,
  podDeleted,
  startTimeout,
} from "./agent_failure.ts";
import { KINDS, type KubeClient, type Selection } from "./client.ts";
import { delay } from "./deadline.ts";
import type { KubeEvent, Pod } from "./objects.ts";
import { type AgentAddress, dialPortForward } from "./port_forward.ts";
import { RefusedError } from "./refusals.ts";

/** For failures that may pass. */
const GRACE_MS = 1500;
const PROBE_MS = 60;
/** The refusal of a port nobody listens on comes right behind the handshake: after half the time that the way took, if not at once. */
const MIN_SILENCE_MS = 30;

/** The pods among which the agent is. */
export function podSelection({ job, pod }: AgentNames): Selection {
  return job === undefined ? { fieldSelector: `metadata.name=${pod}` } : { labelSelector: `job-name=${job}` };
}

/** Ends when it is disposed. */
export class StartWatch implements AsyncDisposable {
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
  #lastSeen = "nothing of it is to be seen yet";

  constructor(client: KubeClient, names: AgentNames, port: number, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#names = names;
    this.#port = port;
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    this.#signal.addEventListener("abort", () => this.#outcome.reject(this.#signal.reason), { once: true });
    this.#outcome.promise.catch(() => {}); // it may fail before anybody asks
    this.#spawn(this.#followPods());
    this.#spawn(this.#followEvents(names.job ?? names.pod!));
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
    const selection = podSelection(this.#names);
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
      if (this.#names.job !== undefined) this.#spawn(this.#followEvents(name));
    }
    const status = agentStatus(pod, this.#names);
    if (status?.state?.running) return this.#outcome.resolve(name);
    this.#lastSeen = describeState(pod, this.#names);
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
        if (type === "DELETED" || !this.#isOurs(event)) continue;
        if (event.type === "Warning" && event.message) this.#lastSeen = `${event.reason}: ${event.message}`;
        this.#consider(failureOfEvent(event, this.#names));
      }
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }

  /** Of a target's pod we know the events of our container only. */
  #isOurs({ involvedObject: { fieldPath = "" } }: KubeEvent): boolean {
    return this.#names.job !== undefined || fieldPath.includes(`{${this.#names.container}}`);
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

/** Whether a port-forward to it is accepted and stays open. Throws when it is refused for good. */
export async function isListening(address: AgentAddress, signal: AbortSignal): Promise<boolean> {
  const began = performance.now();
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
  const silenceMs = Math.max(MIN_SILENCE_MS, (performance.now() - began) / 2);
  const silence = delay(silenceMs, isOver.signal).then(() => true, () => false);
  // Whatever comes is a refusal: an agent says nothing before it is spoken to.
  const answer = opened.read(new Uint8Array(1)).then(() => false, () => false);
  const isUp = await Promise.race([answer, silence]);
  isOver.abort();
  return isUp;
}

function describeState(pod: Pod, names: AgentNames): string {
  const waiting = agentStatus(pod, names)?.state?.waiting;
  const reason = waiting?.reason ?? pod.status?.reason;
  return `its pod is ${pod.status?.phase ?? "not begun"}${reason ? ` (${reason})` : ""}`;
}

/** Resolves once the cluster says that the agent's pod has failed or is gone. */
export async function failureOf(
  client: KubeClient,
  names: AgentNames,
  pod: string,
  signal: AbortSignal,
): Promise<UserError> {
  const changes = client.observe<Pod>(KINDS.pods, names.namespace, podSelection(names), signal);
  for await (const { type, object } of changes) {
    if (object.metadata.name !== pod) continue;
    if (type === "DELETED") return podDeleted(names);
    const failure = failureOfPod(object, names);
    if (failure && !failure.mayPass) return failure.error;
  }
  throw new TypeError("Cannot come here: observing ends by its signal only");
}
