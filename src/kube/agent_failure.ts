/** What keeps an agent from starting, found in the state of its pod and in events, in the cluster's own words. */
import { UserError } from "../base/errors.ts";
import type { ContainerStatus, KubeEvent, Pod } from "./objects.ts";

/** What the messages name. */
export interface AgentNames {
  readonly namespace: string;
  readonly image: string;
  readonly container: string;
  /** Undefined: it is an ephemeral container of `pod`. */
  readonly job?: string;
  /** The target's. */
  readonly pod?: string;
}

/** The state of the agent's container. */
export function agentStatus({ status = {} }: Pod, { container }: AgentNames): ContainerStatus | undefined {
  const { containerStatuses = [], ephemeralContainerStatuses = [] } = status;
  return [...containerStatuses, ...ephemeralContainerStatuses].find((it) => it.name === container);
}

/** Reasons of a waiting container that will not go away by waiting. */
const IMAGE_REASONS = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "RegistryUnavailable",
  "ImageInspectError",
]);
const CREATE_REASONS = new Set([
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
  "CrashLoopBackOff",
]);
/** Reasons of a container that ended without having begun. */
const NOT_BEGUN_REASONS = new Set(["StartError", "ContainerCannotRun"]);
/** These say only that another one was said before. */
const REPEATED = /^Back-off (pulling image|restarting)/;

export interface Failure {
  readonly error: UserError;
  /** It may pass: worth a moment's wait. */
  readonly mayPass?: boolean;
}

/** Undefined while there is still hope. */
export function failureOfPod(pod: Pod, names: AgentNames): Failure | undefined {
  if (pod.metadata.deletionTimestamp) return { error: podDeleted(names) };
  const { state } = agentStatus(pod, names) ?? {};
  const { waiting, terminated } = state ?? {};
  if (waiting?.reason && IMAGE_REASONS.has(waiting.reason)) {
    const message = waiting.message ?? waiting.reason;
    // The event of a moment before or after has the cause.
    return { error: imageUnavailable(names, message), mayPass: REPEATED.test(message) };
  }
  if (waiting?.reason && CREATE_REASONS.has(waiting.reason)) {
    return { error: notStarted(names, `${waiting.reason}: ${waiting.message ?? "no reason given"}`) };
  }
  if (terminated) {
    const last = terminated.message?.trim();
    if (last && NOT_BEGUN_REASONS.has(terminated.reason ?? "")) return { error: notStarted(names, last) };
    const own = last === undefined ? undefined : agentsOwnError(last);
    if (own) return { error: own };
    const how = `it ended with exit code ${terminated.exitCode}`;
    return { error: crashed(names, last ? `${how}: ${last.slice(-1000)}` : `${how} (${terminated.reason ?? "?"})`) };
  }
  if (names.job === undefined) return undefined; // all else is about the target
  const { phase, reason, message } = pod.status ?? {};
  if (phase === "Failed" || phase === "Succeeded") {
    const words = [reason, message].filter(Boolean).join(": ") || phase;
    return { error: reason ? unschedulable(names, words) : crashed(names, words) };
  }
  const unscheduled = pod.status?.conditions?.find((it) => it.type === "PodScheduled" && it.status === "False");
  if (unscheduled?.reason === "Unschedulable") {
    return { error: unschedulable(names, unscheduled.message ?? unscheduled.reason), mayPass: true };
  }
  return undefined;
}

/** What the agent said before it ended, if it is one of its own sentences: they say best what is wrong. */
function agentsOwnError(log: string): UserError | undefined {
  const errors = [...log.matchAll(/^error: (Cannot [^\n]*?)(?:\n hint: ([^\n]*?))? {3}\(code ([A-Z_]+)\)$/gm)];
  const [, message, hint, code] = errors.at(-1) ?? [];
  if (message === undefined || code === undefined) return undefined;
  return new UserError(code, message, hint === undefined ? {} : { hint: `${hint} (said by the agent)` });
}

/** Events of the Job and of its pod. */
export function failureOfEvent(event: KubeEvent, names: AgentNames): Failure | undefined {
  const message = event.message ?? "";
  if (event.involvedObject.kind === "Job") {
    return event.reason === "FailedCreate" ? { error: refused(names, message) } : undefined;
  }
  if (event.reason === "Failed" && /pull image/i.test(message)) return { error: imageUnavailable(names, message) };
  if (event.reason === "InspectFailed" || event.reason === "ErrImageNeverPull") {
    return { error: imageUnavailable(names, message) };
  }
  return undefined;
}

export function startTimeout(names: AgentNames, ms: number, lastSeen: string): UserError {
  const what = names.job === undefined ? `pod ${names.pod}` : `job ${names.job}`;
  return new UserError("AGENT_START_TIMEOUT", `Cannot start the agent: not ready after ${ms / 1000} s: ${lastSeen}`, {
    hint: `--agent-startup-timeout waits longer; \`kubectl describe ${what} --namespace ${names.namespace}\` ` +
      "while it waits tells more",
  });
}

export function podDeleted({ namespace }: AgentNames): UserError {
  return new UserError(
    "AGENT_POD_DELETED",
    `Cannot use the agent: somebody deletes its pod in namespace "${namespace}"`,
    {
      hint: "a policy of the cluster may do so; `kubectl get events` in that namespace shows who",
    },
  );
}

/** The API server accepted the Job, and its pod is refused: quotas, policies, Pod Security. */
function refused({ namespace }: AgentNames, message: string): UserError {
  const because = message.replace(/^Error creating: /, "").trim();
  const hint = /exceeded quota/i.test(because)
    ? `a ResourceQuota of namespace "${namespace}" is used up`
    : /PodSecurity|violates/i.test(because)
    ? `Pod Security of namespace "${namespace}" forbids the agent's rights: --agent-namespace names a namespace ` +
      "whose level is privileged, and targetless needs none of them"
    : `a policy or a limit of namespace "${namespace}" forbids it; --agent-namespace names another`;
  return new UserError("AGENT_REFUSED", `Cannot create the agent's pod: ${because}`, { hint });
}

function imageUnavailable({ image }: AgentNames, message: string): UserError {
  return new UserError("AGENT_IMAGE_UNAVAILABLE", `Cannot use the agent's image "${image}": ${message.trim()}`, {
    hint: "--agent-image names another; the node must be able to pull it",
  });
}

function unschedulable(_: AgentNames, message: string): UserError {
  const isFull = /^OutOf|too many pods|insufficient/i.test(message);
  return new UserError("AGENT_UNSCHEDULABLE", `Cannot place the agent's pod: ${message.trim()}`, {
    hint: isFull
      ? "there is no room for another pod: --ephemeral-container needs none, agent.resources may ask for less"
      : "the node or the cluster has no room for it, or does not admit it",
  });
}

function notStarted(_: AgentNames, message: string): UserError {
  return new UserError("AGENT_NOT_STARTED", `Cannot start the agent's container: ${message.trim()}`, {
    hint: "the node's container runtime refuses it; is the image the agent's?",
  });
}

function crashed({ image }: AgentNames, message: string): UserError {
  return new UserError("AGENT_CRASHED", `Cannot use the agent: ${message.trim()}`, {
    hint: `is "${image}" the agent of this version?`,
  });
}
