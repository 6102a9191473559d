/** Which container of a pod is meant, and why; whether it runs. */
import { UserError } from "../base/errors.ts";
import type { Container, ContainerStatus, Pod } from "./objects.ts";

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

export interface ChosenContainer {
  readonly container: Container;
  /** Why this one, where there was a choice; else empty. */
  readonly choice: string;
}

/** Throws `UserError` when the named one is not there; `target` is what the user wrote, for that message. */
export function chooseContainer(pod: Pod, named: string | undefined, target: string): ChosenContainer {
  const containers = pod.spec.containers;
  if (named !== undefined) return { container: findContainer(pod, named, target), choice: "" };
  const annotated = pod.metadata.annotations?.[DEFAULT_CONTAINER];
  const byAnnotation = containers.find((it) => it.name === annotated);
  const others = containers.filter((it) => !SIDECARS.has(it.name));
  const chosen = byAnnotation ?? others[0] ?? containers[0]!;
  if (containers.length === 1) return { container: chosen, choice: "" };
  const first = `the first of ${others.map((it) => it.name).join(", ")}`;
  const why = byAnnotation
    ? `the annotation ${DEFAULT_CONTAINER} says so`
    : others.length === 0
    ? `the first, since all of ${containers.map((it) => it.name).join(", ")} are known sidecars`
    : others.length === 1
    ? "the only one that is no known sidecar"
    : others.length < containers.length
    ? `${first}, which are no known sidecars`
    : first;
  return { container: chosen, choice: `container "${chosen.name}": ${why}` };
}

/** Sidecars that are init containers, and debugging containers, can be named too. */
function findContainer(pod: Pod, name: string, target: string): Container {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const all = [...containers, ...initContainers.filter((it) => it.restartPolicy === "Always"), ...ephemeralContainers];
  const found = all.find((it) => it.name === name);
  if (found) return found;
  throw new UserError(
    "TARGET_CONTAINER_NOT_FOUND",
    `Cannot use target "${target}": pod "${pod.metadata.name}" has no container "${name}"`,
    { hint: `its containers: ${all.map((it) => it.name).join(", ")}` },
  );
}

export function statusOf(pod: Pod, container: Container): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  return [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses]
    .find((it) => it.name === container.name);
}

/** As the rest of a sentence about the pod; undefined when the container runs. */
export function whyNotRunning(pod: Pod, status: ContainerStatus | undefined): string | undefined {
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
