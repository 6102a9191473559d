/**
 * What of a cluster can be a target: pods that are ready, workloads and Services of which something runs. Our own agents
 * are none, and neither is a ReplicaSet that belongs to something else in the list.
 *
 * Kinds are asked for side by side, each page by page; what a pod says of itself is kept only as far as it is printed,
 * so that ten thousand pods fit. A kind that the cluster does not know, or that one may not list, is left out unless it
 * was asked for by name.
 */
import { type Kind, KINDS, type KubeClient, type Selection } from "./client.ts";
import type { KubeObject, Pod, Workload } from "./objects.ts";
import { RefusedError } from "./refusals.ts";
import { TARGETS } from "./workloads.ts";

/** In the order of the list. */
export const LISTED_KINDS = [
  "deployment",
  "rollout",
  "statefulset",
  "daemonset",
  "cronjob",
  "job",
  "service",
  "replicaset",
  "pod",
] as const satisfies readonly (keyof typeof TARGETS)[];
export type ListedKind = typeof LISTED_KINDS[number];

export interface ListedTarget {
  readonly kind: ListedKind;
  readonly namespace: string;
  readonly name: string;
  /** Where there are several; without it the target is the whole, and its container chosen. */
  readonly container: string | undefined;
  /** "2/3": so many of so many pods (of a pod: containers) are ready; empty where nobody counts them. */
  readonly ready: string;
  readonly createdAt: string | undefined;
  readonly images: readonly string[];
}

export interface Listed {
  readonly targets: readonly ListedTarget[];
  /** Why kinds are missing that nobody asked for by name. */
  readonly warnings: readonly string[];
}

export interface ListOptions {
  /** Undefined: of all. */
  readonly namespace: string | undefined;
  /** Undefined: all that can be listed. */
  readonly kinds?: readonly ListedKind[] | undefined;
  readonly signal?: AbortSignal;
}

/** A container, as far as the list tells of it. */
interface Part {
  readonly name: string;
  readonly image?: string;
}

/** What is kept of an object. */
interface Entry {
  readonly name: string;
  readonly namespace: string;
  readonly createdAt: string | undefined;
  readonly ready: string;
  readonly parts: readonly Part[];
  /** Of a pod. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** Of a Service. */
  readonly selector: Readonly<Record<string, string>> | undefined;
}

interface Listing {
  readonly selection: Selection;
  readonly runs: (object: KubeObject) => boolean;
  readonly ready: (object: KubeObject) => string;
}

const OURS = { labelSelector: "app!=mirrord" };
const statusOf = (it: KubeObject) => (it as Workload).status ?? {};
const specOf = (it: KubeObject) => (it as Workload).spec;

function replicated(count: (object: KubeObject) => number | undefined): Listing {
  return {
    selection: OURS,
    runs: (it) => (count(it) ?? 0) > 0,
    ready: (it) => `${count(it) ?? 0}/${specOf(it).replicas ?? statusOf(it).desiredNumberScheduled ?? 1}`,
  };
}

const LISTINGS: Readonly<Record<ListedKind, Listing>> = {
  deployment: replicated((it) => statusOf(it).availableReplicas),
  rollout: replicated((it) => statusOf(it).availableReplicas),
  statefulset: replicated((it) => statusOf(it).readyReplicas),
  daemonset: replicated((it) => statusOf(it).numberReady),
  replicaset: replicated((it) => isControlled(it) ? 0 : statusOf(it).readyReplicas),
  job: { selection: OURS, runs: (it) => !isControlled(it) && Number(statusOf(it).active ?? 0) > 0, ready: () => "" },
  cronjob: {
    selection: OURS,
    runs: (it) => Array.isArray(statusOf(it).active) && (statusOf(it).active as unknown[]).length > 0,
    ready: () => "",
  },
  // Whether something of it runs, its pods say.
  service: { selection: OURS, runs: () => true, ready: () => "" },
  pod: {
    selection: { ...OURS, fieldSelector: "status.phase=Running" },
    runs: (it) => it.metadata.deletionTimestamp === undefined && isReady(it as Pod),
    ready: (it) => {
      const statuses = (it as Pod).status?.containerStatuses ?? [];
      return `${statuses.filter((status) => status.ready).length}/${(it as Pod).spec.containers.length}`;
    },
  },
};

/** Kind after kind, each in the order of the API server. */
export async function listTargets(client: KubeClient, options: ListOptions): Promise<Listed> {
  const wanted = LISTED_KINDS.filter((it) => options.kinds?.includes(it) ?? true);
  // A Service is what its pods are.
  const asked = LISTED_KINDS.filter((it) => wanted.includes(it) || it === "pod" && wanted.includes("service"));
  const warnings: string[] = [];
  const answers = await Promise.all(asked.map(async (kind) => {
    try {
      return [kind, await entriesOf(client, kind, options)] as const;
    } catch (error) {
      // Without pods there is nothing to say; what was asked for by name has to be there.
      if (!(error instanceof RefusedError) || kind === "pod" || options.kinds) throw error;
      if (error.status !== 404) warnings.push(`${kind}s are left out: ${error.message}`);
      return [kind, []] as const;
    }
  }));
  const found = new Map<ListedKind, readonly Entry[]>(answers);
  const services = found.get("service");
  if (services) found.set("service", services.flatMap((it) => withPods(it, found.get("pod") ?? [])));
  return { targets: wanted.flatMap((kind) => found.get(kind)!.flatMap((entry) => listed(kind, entry))), warnings };
}

async function entriesOf(client: KubeClient, kind: ListedKind, options: ListOptions): Promise<Entry[]> {
  const { selection, runs, ready } = LISTINGS[kind];
  const kinds: readonly Kind[] = TARGETS[kind].kinds;
  const entries: Entry[] = [];
  for (const [index, from] of kinds.entries()) {
    try {
      for await (const page of client.pages<KubeObject>(from, options.namespace, selection, options.signal)) {
        entries.push(...page.filter(runs).map((it) => entryOf(kind, it, ready(it), options.namespace)));
      }
      break;
    } catch (error) {
      const isUnknown = error instanceof RefusedError && error.status === 404;
      if (!isUnknown || index === kinds.length - 1) throw error;
    }
  }
  return entries;
}

function entryOf(kind: ListedKind, object: KubeObject, ready: string, namespace: string | undefined): Entry {
  const { metadata } = object;
  const containers = kind === "pod"
    ? (object as Pod).spec.containers
    : (object as Workload).spec.template?.spec.containers ?? [];
  const selector = kind === "service" ? (object as Workload).spec.selector as Entry["selector"] : undefined;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? namespace ?? "",
    createdAt: metadata.creationTimestamp,
    ready,
    parts: containers.map(({ name, image }) => ({ name, ...(image === undefined ? {} : { image }) })),
    labels: kind === "pod" ? metadata.labels ?? {} : undefined,
    selector,
  };
}

/** A Service with what its pods are made of; nothing when none of them is ready. */
function withPods(service: Entry, pods: readonly Entry[]): Entry[] {
  const wanted = Object.entries(service.selector ?? {});
  if (wanted.length === 0) return [];
  const behind = pods.filter((pod) =>
    pod.namespace === service.namespace && wanted.every(([key, value]) => pod.labels?.[key] === value)
  );
  return behind.length === 0 ? [] : [{ ...service, ready: String(behind.length), parts: behind[0]!.parts }];
}

function listed(kind: ListedKind, { name, namespace, createdAt, ready, parts }: Entry): ListedTarget[] {
  const place = { kind, namespace, name, ready, createdAt };
  const images = (some: readonly Part[]) => some.flatMap((it) => it.image ?? []);
  if (parts.length <= 1) return [{ ...place, container: undefined, images: images(parts) }];
  return parts.map((part) => ({ ...place, container: part.name, images: images([part]) }));
}

function isControlled({ metadata }: KubeObject): boolean {
  return metadata.ownerReferences?.some((it) => it.controller) ?? false;
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((it) => it.type === "Ready" && it.status === "True") ?? false;
}

/** For a choice among them: undefined without the right to list them. */
export async function listNamespaces(client: KubeClient, signal?: AbortSignal): Promise<string[] | undefined> {
  try {
    const { items } = await client.list<KubeObject>(KINDS.namespaces, undefined, {}, signal);
    return items.map((it) => it.metadata.name);
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}
