/** What of a cluster can be a target: pods that are ready, deployments of which something runs. Our own agents are none. */
import { type Kind, KINDS, type KubeClient, type Selection } from "./client.ts";
import type { Deployment, KubeObject, Pod } from "./objects.ts";

export const LISTED_KINDS = ["deployment", "pod"] as const;
export type ListedKind = typeof LISTED_KINDS[number];

export interface ListedTarget {
  readonly kind: ListedKind;
  readonly namespace: string;
  readonly name: string;
  /** Where there are several; without it the target is the whole, and its container chosen. */
  readonly container: string | undefined;
}

interface Listing {
  readonly from: Kind;
  readonly selection: Selection;
  readonly runs: (object: KubeObject) => boolean;
  readonly containers: (object: KubeObject) => readonly { readonly name: string }[];
}

const OURS = "app!=mirrord";
const LISTINGS: Readonly<Record<ListedKind, Listing>> = {
  deployment: {
    from: KINDS.deployments,
    selection: { labelSelector: OURS },
    runs: (it) => ((it as Deployment).status?.availableReplicas ?? 0) > 0,
    containers: (it) => (it as Deployment).spec.template?.spec.containers ?? [],
  },
  pod: {
    from: KINDS.pods,
    selection: { labelSelector: OURS, fieldSelector: "status.phase=Running" },
    runs: (it) => it.metadata.deletionTimestamp === undefined && isReady(it as Pod),
    containers: (it) => (it as Pod).spec.containers,
  },
};

/** Kind after kind, each in the order of the API server. Without a namespace: of all. */
export async function listTargets(
  client: KubeClient,
  namespace: string | undefined,
  kinds: readonly ListedKind[],
  signal?: AbortSignal,
): Promise<ListedTarget[]> {
  const targets: ListedTarget[] = [];
  for (const kind of LISTED_KINDS.filter((it) => kinds.includes(it))) {
    const { from, selection, runs, containers } = LISTINGS[kind];
    const { items } = await client.list<KubeObject>(from, namespace, selection, signal);
    for (const item of items.filter(runs)) {
      const { name } = item.metadata;
      const place = { kind, namespace: item.metadata.namespace ?? namespace ?? "", name };
      const names = containers(item).map((it) => it.name);
      const listed = names.length > 1 ? names : [undefined];
      targets.push(...listed.map((container) => ({ ...place, container })));
    }
  }
  return targets;
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((it) => it.type === "Ready" && it.status === "True") ?? false;
}
