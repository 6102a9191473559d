/** From a target as the user names it to one container that runs, on a known node. Chooses; changes nothing. */
import { UserError } from "../base/errors.ts";
import { type Kind, KINDS, type KubeClient } from "./client.ts";
import { nearestNames } from "./nearest.ts";
import type { Container, ContainerStatus, Deployment, KubeObject, LabelSelector, Pod } from "./objects.ts";
import { RefusedError } from "./refusals.ts";

export interface NamedTarget {
  readonly kind: "pod" | "deployment";
  readonly name: string;
  readonly container?: string | undefined;
}

export interface ResolvedTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly node: string;
  readonly container: string;
  /** As the container runtime knows it, without "containerd://" before it. */
  readonly containerId: string;
  readonly podIPs: readonly string[];
  /** Where volumes are mounted in the container: ConfigMaps, Secrets, disks. */
  readonly mounts: readonly string[];
  /** Why this one, where there was a choice; else empty. */
  readonly choice: string;
}

const DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container";
/** Containers that stand beside the app in meshes and the like: never what is meant unless named. */
const SIDECARS = new Set([
  "istio-proxy",
  "istio-init",
  "linkerd-proxy",
  "linkerd-init",
  "kuma-sidecar",
  "kuma-init",
  "vault-agent",
  "vault-agent-init",
  "queue-proxy",
  "traffic-agent",
]);

/** Throws `UserError` when there is no such target, or nothing of it runs. */
export async function resolveTarget(
  client: KubeClient,
  namespace: string,
  target: NamedTarget,
  signal?: AbortSignal,
): Promise<ResolvedTarget> {
  if (target.kind === "pod") {
    const pod = await findNamed<Pod>(client, KINDS.pods, namespace, target, signal);
    const { container, choice } = chooseContainer(pod, target);
    return resolved(namespace, pod, requireRunning(pod, container, target), container, choice);
  }
  const deployment = await findNamed<Deployment>(client, KINDS.deployments, namespace, target, signal);
  const labelSelector = formatSelector(deployment.spec.selector);
  const { items: pods } = await client.list<Pod>(KINDS.pods, namespace, { labelSelector }, signal);
  return choosePod(namespace, pods, target);
}

/** The ready pod that has been there longest. */
function choosePod(namespace: string, pods: readonly Pod[], target: NamedTarget): ResolvedTarget {
  const sorted = pods.toSorted((a, b) => ageKey(a) < ageKey(b) ? -1 : 1);
  const candidates = sorted.filter((pod) => {
    const { container } = chooseContainer(pod, target);
    const status = statusOf(pod, container);
    return whyNotRunning(pod, status) === undefined && status?.ready;
  });
  const pod = candidates[0];
  if (!pod) throw nothingRuns(target, namespace, sorted);
  const { container, choice } = chooseContainer(pod, target);
  const which = candidates.length > 1 ? [`the oldest of ${candidates.length} ready pods`] : [];
  const all = [...which, ...(choice ? [choice] : [])].join(", ");
  return resolved(namespace, pod, requireRunning(pod, container, target), container, all);
}

function nothingRuns(target: NamedTarget, namespace: string, pods: readonly Pod[]): UserError {
  const states = pods.slice(0, 3).map((pod) => {
    const status = statusOf(pod, chooseContainer(pod, target).container);
    return `pod "${pod.metadata.name}" ${whyNotRunning(pod, status) ?? "is not ready"}`;
  });
  const because = states.length > 0 ? states.join("; ") : "it has no pods";
  return new UserError("TARGET_NOT_RUNNING", `Cannot use target "${describe(target)}": ${because}`, {
    hint: pods.length > 0
      ? `\`kubectl describe pod ${pods[0]!.metadata.name} --namespace ${namespace}\` tells more`
      : `\`kubectl scale ${describe(target)} --replicas 1 --namespace ${namespace}\` starts one; ` +
        "an Argo Rollout may own its pods",
  });
}

function chooseContainer(pod: Pod, target: NamedTarget): { container: Container; choice: string } {
  const containers = pod.spec.containers;
  const names = containers.map((it) => it.name);
  if (target.container !== undefined) {
    const named = containers.find((it) => it.name === target.container);
    if (named) return { container: named, choice: "" };
    throw new UserError(
      "TARGET_CONTAINER_NOT_FOUND",
      `Cannot use target "${describe(target)}": pod "${pod.metadata.name}" has no container "${target.container}"`,
      { hint: `its containers: ${names.join(", ")}` },
    );
  }
  const annotated = pod.metadata.annotations?.[DEFAULT_CONTAINER];
  const byAnnotation = containers.find((it) => it.name === annotated);
  const chosen = byAnnotation ?? containers.find((it) => !SIDECARS.has(it.name)) ?? containers[0]!;
  if (containers.length === 1) return { container: chosen, choice: "" };
  const why = byAnnotation ? `the annotation ${DEFAULT_CONTAINER} says so` : `the first of ${names.join(", ")}`;
  return { container: chosen, choice: `container "${chosen.name}": ${why}` };
}

function requireRunning(pod: Pod, container: Container, target: NamedTarget): ContainerStatus {
  const status = statusOf(pod, container);
  const because = whyNotRunning(pod, status);
  if (because === undefined) return status!;
  const name = pod.metadata.name;
  throw new UserError("TARGET_NOT_RUNNING", `Cannot use target "${describe(target)}": it ${because}`, {
    hint: `\`kubectl describe pod ${name}${namespaceFlag(pod)}\` tells more`,
  });
}

/** As the rest of a sentence about the pod; undefined when the container runs. */
function whyNotRunning(pod: Pod, status: ContainerStatus | undefined): string | undefined {
  if (pod.metadata.deletionTimestamp) return "is being deleted";
  const { phase, reason, message } = pod.status ?? {};
  if (phase !== "Running" && phase !== "Pending") {
    return `is ${phase ?? "of no known phase"}${suffix(reason, message)}, not running`;
  }
  const { waiting, terminated, running } = status?.state ?? {};
  if (running && status?.containerID && pod.spec.nodeName) return undefined;
  if (waiting) return `is not running: its container waits${suffix(waiting.reason, waiting.message)}`;
  if (terminated) return `is not running: its container ended with exit code ${terminated.exitCode}`;
  const unscheduled = pod.status?.conditions?.find((it) => it.type === "PodScheduled" && it.status === "False");
  return `is ${phase}${suffix(unscheduled?.reason ?? reason, unscheduled?.message ?? message)}, not running`;
}

function suffix(reason: string | undefined, message: string | undefined): string {
  if (!reason) return "";
  return ` (${reason}${message ? `: ${message}` : ""})`;
}

function resolved(
  namespace: string,
  pod: Pod,
  status: ContainerStatus,
  container: Container,
  choice: string,
): ResolvedTarget {
  const { podIPs, podIP } = pod.status ?? {};
  return {
    namespace,
    pod: pod.metadata.name,
    node: pod.spec.nodeName!,
    container: container.name,
    containerId: status.containerID!.replace(/^[a-z0-9-]+:\/\//, ""),
    podIPs: podIPs?.map((it) => it.ip) ?? (podIP ? [podIP] : []),
    mounts: container.volumeMounts?.map((it) => it.mountPath) ?? [],
    choice,
  };
}

async function findNamed<T extends KubeObject>(
  client: KubeClient,
  kind: Kind,
  namespace: string,
  target: NamedTarget,
  signal: AbortSignal | undefined,
): Promise<T> {
  const found = await client.find<T>(kind, namespace, target.name, signal);
  if (found) return found;
  const names = await namesOf(client, kind, namespace, signal);
  const nearest = nearestNames(target.name, names);
  const hint = nearest.length > 0
    ? `did you mean ${nearest.map((it) => `${target.kind}/${it}`).join(" or ")}?`
    : names.length > 0
    ? `there are: ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`
    : `\`kubectl get ${kind.resource} --namespace ${namespace}\` lists what there is`;
  const message = `Cannot use target "${describe(target)}": no such ${target.kind} in namespace "${namespace}"`;
  throw new UserError("TARGET_NOT_FOUND", message, { hint });
}

/** For a hint: without the right to list there is none. */
async function namesOf(client: KubeClient, kind: Kind, namespace: string, signal?: AbortSignal): Promise<string[]> {
  try {
    return (await client.list(kind, namespace, {}, signal)).items
      .filter((it) => it.metadata.labels?.app !== "mirrord")
      .map((it) => it.metadata.name);
  } catch (error) {
    if (error instanceof RefusedError) return [];
    throw error;
  }
}

/** A selector as a query has it. */
export function formatSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const equal = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator === "In" ? "in" : "notin"} (${values.join(",")})`;
  });
  return [...equal, ...expressions].join(",");
}

function statusOf(pod: Pod, container: Container): ContainerStatus | undefined {
  return pod.status?.containerStatuses?.find((it) => it.name === container.name);
}

function ageKey({ metadata }: Pod): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}

function describe({ kind, name, container }: NamedTarget): string {
  return `${kind}/${name}${container === undefined ? "" : `/container/${container}`}`;
}

function namespaceFlag({ metadata }: Pod): string {
  return metadata.namespace ? ` --namespace ${metadata.namespace}` : "";
}
