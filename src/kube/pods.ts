/** From a target as the user names it to one container that runs, on a known node. Chooses; changes nothing. */
import { UserError } from "../base/errors.ts";
import { AGENT_CONTAINER } from "./agent_manifest.ts";
import type { KubeClient } from "./client.ts";
import { portsOf, type ProbedPort } from "./container_ports.ts";
import { chooseContainer, statusOf, whyNotRunning } from "./containers.ts";
import type { Container, ContainerStatus, Pod } from "./objects.ts";
import { describeTarget, type NamedTarget, podsOfTarget } from "./workloads.ts";

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
  /** What the container says it listens on; it may listen on others too. */
  readonly ports: readonly number[];
  readonly probes: readonly ProbedPort[];
  /** Why this one, where there was a choice; else empty. */
  readonly choice: string;
}

/** Throws `UserError` when there is no such target, or nothing of it runs. */
export async function resolveTarget(
  client: KubeClient,
  namespace: string,
  target: NamedTarget,
  signal?: AbortSignal,
): Promise<ResolvedTarget> {
  const { pods, hint } = await podsOfTarget(client, namespace, target, signal);
  if (target.kind !== "pod") return choosePod(namespace, pods, target, hint);
  const pod = pods[0]!;
  const { container, choice } = chooseContainer(pod, target.container, describeTarget(target));
  const status = statusOf(pod, container);
  const because = whyNotRunning(pod, status);
  if (because === undefined) return resolved(namespace, pod, status!, container, choice);
  throw new UserError("TARGET_NOT_RUNNING", `Cannot use target "${describeTarget(target)}": it ${because}`, { hint });
}

/** The ready pod that has been there longest: during a rollout the one that was not replaced yet. */
function choosePod(namespace: string, all: readonly Pod[], target: NamedTarget, hint: string): ResolvedTarget {
  // An agent may bear the labels of what it stands beside.
  const pods = all.filter((pod) => !pod.spec.containers.some((it) => it.name === AGENT_CONTAINER))
    .toSorted((a, b) => ageKey(a) < ageKey(b) ? -1 : 1);
  const candidates = pods.filter((pod) => {
    const status = statusOf(pod, chooseContainer(pod, target.container, describeTarget(target)).container);
    return whyNotRunning(pod, status) === undefined && status?.ready;
  });
  const pod = candidates[0];
  if (!pod) throw nothingRuns(target, namespace, pods, hint);
  const { container, choice } = chooseContainer(pod, target.container, describeTarget(target));
  const which = candidates.length > 1
    ? [`pod ${pod.metadata.name}: the oldest of ${candidates.length} ready pods`]
    : [];
  const why = [...which, ...(choice ? [choice] : [])].join("; ");
  return resolved(namespace, pod, statusOf(pod, container)!, container, why);
}

function nothingRuns(target: NamedTarget, namespace: string, pods: readonly Pod[], hint: string): UserError {
  const states = pods.slice(0, 3).map((pod) => {
    const status = statusOf(pod, chooseContainer(pod, target.container, describeTarget(target)).container);
    return `pod "${pod.metadata.name}" ${whyNotRunning(pod, status) ?? "is not ready"}`;
  });
  const none = target.kind === "label" ? "no pod has this label" : "no pod of it runs";
  const because = states.length > 0 ? states.join("; ") : none;
  return new UserError("TARGET_NOT_RUNNING", `Cannot use target "${describeTarget(target)}": ${because}`, {
    hint: pods.length > 0
      ? `\`kubectl describe pod ${pods[0]!.metadata.name} --namespace ${namespace}\` tells more`
      : hint,
  });
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
    ...portsOf(container),
    choice,
  };
}

function ageKey({ metadata }: Pod): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}
