/**
 * From a target as the user names it to the pods it stands for: a pod itself, the pods a workload or a Service selects,
 * those of a CronJob's running Jobs, those with a label.
 */
import { UserError } from "../base/errors.ts";
import { type Kind, KINDS, type KubeClient } from "./client.ts";
import { nearestNames } from "./nearest.ts";
import type { KubeObject, LabelSelector, Pod, Workload } from "./objects.ts";
import { RefusedError } from "./refusals.ts";

export type TargetKind = keyof typeof TARGETS;

export interface NamedTarget {
  readonly kind: TargetKind | "label";
  /** Of "label" it is the selector itself: "k=v,k2=v2". */
  readonly name: string;
  readonly container?: string | undefined;
}

interface TargetDecl {
  /** Where it lies; a later one is asked where the one before does not exist. */
  readonly kinds: readonly Kind[];
  /** What to type when nothing of it runs. */
  readonly wake: (name: string, namespace: string) => string;
}

const scale = (kind: string) => (name: string, namespace: string) =>
  `\`kubectl scale ${kind}/${name} --replicas 1 --namespace ${namespace}\` starts one`;
const describe = (kind: string) => (name: string, namespace: string) =>
  `\`kubectl describe ${kind} ${name} --namespace ${namespace}\` tells more`;

export const TARGETS = {
  pod: { kinds: [KINDS.pods], wake: describe("pod") },
  deployment: {
    kinds: [KINDS.deployments],
    wake: (name, namespace) => `${scale("deployment")(name, namespace)}; an Argo Rollout may own its pods`,
  },
  statefulset: { kinds: [KINDS.statefulSets], wake: scale("statefulset") },
  replicaset: { kinds: [KINDS.replicaSets], wake: scale("replicaset") },
  daemonset: { kinds: [KINDS.daemonSets], wake: describe("daemonset") },
  job: { kinds: [KINDS.jobs], wake: describe("job") },
  cronjob: {
    kinds: [KINDS.cronJobs, KINDS.cronJobsBeta],
    wake: (name, namespace) =>
      `\`kubectl create job ${name}-now --from cronjob/${name} --namespace ${namespace}\` starts one, then ` +
      `--target job/${name}-now`,
  },
  service: { kinds: [KINDS.services], wake: describe("service") },
  rollout: { kinds: [KINDS.rollouts], wake: describe("rollout") },
} as const satisfies Record<string, TargetDecl>;

/** What `workloadRef` of a Rollout may name. */
const REFERRED: Readonly<Record<string, Kind>> = {
  Deployment: KINDS.deployments,
  ReplicaSet: KINDS.replicaSets,
  StatefulSet: KINDS.statefulSets,
};

export interface TargetPods {
  readonly pods: readonly Pod[];
  /** What would help when nothing of it runs. */
  readonly hint: string;
}

/** Throws `UserError` when there is no such target, or when it can have no pods. */
export async function podsOfTarget(
  client: KubeClient,
  namespace: string,
  target: NamedTarget,
  signal?: AbortSignal,
): Promise<TargetPods> {
  const { kind, name } = target;
  if (kind === "label") {
    const hint = `\`kubectl get pods --selector ${name} --namespace ${namespace}\` lists those with the label`;
    return { pods: await listPods(client, namespace, name, signal), hint };
  }
  const hint = TARGETS[kind].wake(name, namespace);
  if (kind === "pod") return { pods: [await findNamed<Pod>(client, namespace, target, signal)], hint };
  const found = await findNamed<Workload>(client, namespace, target, signal);
  const selector = await selectorOf(client, namespace, target, found, signal);
  return { pods: selector === undefined ? [] : await listPods(client, namespace, selector, signal), hint };
}

/** As a query has it; undefined: nothing of it runs just now. */
async function selectorOf(
  client: KubeClient,
  namespace: string,
  target: NamedTarget,
  { spec, status }: Workload,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const said = describeTarget(target);
  switch (target.kind) {
    case "service": {
      const pairs = Object.entries(spec.selector ?? {}).map(([key, value]) => `${key}=${value}`);
      if (pairs.length > 0) return pairs.join(",");
      throw unusable(said, "it selects no pods: it stands for something else", "name the workload behind it");
    }
    case "cronjob": {
      const jobs = Array.isArray(status?.active) ? status.active.map((it) => it.name) : [];
      return jobs.length === 0 ? undefined : `job-name in (${jobs.join(",")})`;
    }
    case "rollout": {
      const { workloadRef } = spec;
      if (!workloadRef) break;
      const kind = REFERRED[workloadRef.kind];
      const referred = kind && await client.find<Workload>(kind, namespace, workloadRef.name, signal);
      if (referred?.spec.selector) return formatSelector(referred.spec.selector);
      const what = `${workloadRef.kind}/${workloadRef.name}`;
      throw unusable(said, `its workloadRef names ${what}, which is not there`, "its pods can be named themselves");
    }
  }
  const selector = spec.selector ? formatSelector(spec.selector as LabelSelector) : "";
  if (selector !== "") return selector;
  throw unusable(said, "it has no selector for its pods", "its pods can be named themselves");
}

function unusable(said: string, because: string, hint: string): UserError {
  return new UserError("TARGET_NOT_RUNNING", `Cannot use target "${said}": ${because}`, { hint });
}

async function listPods(client: KubeClient, namespace: string, labelSelector: string, signal?: AbortSignal) {
  return (await client.list<Pod>(KINDS.pods, namespace, { labelSelector }, signal)).items;
}

async function findNamed<T extends KubeObject>(
  client: KubeClient,
  namespace: string,
  target: NamedTarget,
  signal: AbortSignal | undefined,
): Promise<T> {
  const kinds: readonly Kind[] = TARGETS[target.kind as TargetKind].kinds;
  for (const kind of kinds) {
    const found = await client.find<T>(kind, namespace, target.name, signal);
    if (found) return found;
  }
  throw await notFound(client, namespace, target, kinds, signal);
}

async function notFound(
  client: KubeClient,
  namespace: string,
  target: NamedTarget,
  kinds: readonly Kind[],
  signal: AbortSignal | undefined,
): Promise<UserError> {
  const names = await namesOf(client, kinds, namespace, signal);
  const said = describeTarget(target);
  if (names === "unknown") {
    const because = `this cluster knows no ${kinds[0]!.resource} at all`;
    return new UserError("TARGET_NOT_FOUND", `Cannot use target "${said}": ${because}`, {
      hint: "`kubectl api-resources` lists what it knows; the pods can be named themselves",
    });
  }
  const nearest = nearestNames(target.name, names);
  const hint = nearest.length > 0
    ? `did you mean ${nearest.map((it) => `${target.kind}/${it}`).join(" or ")}?`
    : names.length > 0
    ? `there are: ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`
    : `\`mirrord ls --all-namespaces --output table\` lists what there is`;
  const because = `no such ${target.kind} in namespace "${namespace}"`;
  return new UserError("TARGET_NOT_FOUND", `Cannot use target "${said}": ${because}`, { hint });
}

/** For a hint: without the right to list there is none. "unknown": the cluster has no such kind. */
async function namesOf(
  client: KubeClient,
  kinds: readonly Kind[],
  namespace: string,
  signal?: AbortSignal,
): Promise<string[] | "unknown"> {
  for (const kind of kinds) {
    try {
      return (await client.list(kind, namespace, {}, signal)).items
        .filter((it) => it.metadata.labels?.app !== "mirrord")
        .map((it) => it.metadata.name);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (error.status !== 404) return [];
    }
  }
  return "unknown";
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

/** As the user would write it. */
export function describeTarget({ kind, name, container }: NamedTarget): string {
  return `${kind}/${name}${container === undefined ? "" : `/container/${container}`}`;
}
