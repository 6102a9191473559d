/**
 * The rights that a run needs, and which of them are missing. They are asked for one by one (SelfSubjectAccessReview) only
 * when a request was refused, so that a user who needs a Role learns all of it at once: a run with the rights pays nothing.
 */
import { type Kind, KINDS, type KubeClient } from "./client.ts";
import { RefusedError } from "./refusals.ts";
import { type NamedTarget, TARGETS } from "./workloads.ts";

export interface Right {
  readonly verb: string;
  readonly kind: Kind;
  readonly subresource?: string;
  readonly namespace: string;
  /** What is lost without it; a run does not need it. */
  readonly optional?: string;
}

export interface RightsOfRun {
  readonly target: NamedTarget | undefined;
  readonly targetNamespace: string;
  readonly agentNamespace: string;
  readonly isEphemeral: boolean;
}

const REVIEWS: Kind = { api: "apis/authorization.k8s.io/v1", resource: "selfsubjectaccessreviews" };

export function rightsOfRun({ target, targetNamespace, agentNamespace, isEphemeral }: RightsOfRun): Right[] {
  const { pods, jobs, events } = KINDS;
  const namespace = isEphemeral ? targetNamespace : agentNamespace;
  const finding: Right[] = !target
    ? []
    : target.kind === "pod"
    ? [{ verb: "get", kind: pods, namespace: targetNamespace }]
    : [
      ...(target.kind === "label"
        ? []
        : [{ verb: "get", kind: TARGETS[target.kind].kinds[0]!, namespace: targetNamespace }]),
      { verb: "list", kind: pods, namespace: targetNamespace },
    ];
  const making: Right[] = isEphemeral
    ? [{ verb: "patch", kind: pods, subresource: "ephemeralcontainers", namespace }]
    : [{ verb: "create", kind: jobs, namespace }, { verb: "delete", kind: jobs, namespace }];
  return [
    ...finding,
    ...making,
    { verb: "list", kind: pods, namespace },
    { verb: "watch", kind: pods, namespace },
    { verb: "create", kind: pods, subresource: "portforward", namespace },
    { verb: "list", kind: events, namespace, optional: "why an agent does not start may be told late" },
    { verb: "watch", kind: events, namespace, optional: "why an agent does not start may be told late" },
  ];
}

/** As access rules write it: "create jobs.batch". */
export function formatRight({ verb, kind, subresource }: Right): string {
  const group = groupOf(kind);
  const resource = subresource === undefined ? kind.resource : `${kind.resource}/${subresource}`;
  return `${verb} ${resource}${group === "" ? "" : `.${group}`}`;
}

/** "apis/apps/v1" is group "apps"; "api/v1" is the core's, which has no name. */
function groupOf({ api }: Kind): string {
  return api.startsWith("apis/") ? api.split("/")[1]! : "";
}

export async function isAllowed(client: KubeClient, right: Right, signal?: AbortSignal): Promise<boolean> {
  const { verb, kind, subresource, namespace } = right;
  const review = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: {
      resourceAttributes: {
        ...{ verb, namespace, group: groupOf(kind), resource: kind.resource },
        ...(subresource === undefined ? {} : { subresource }),
      },
    },
  };
  const { status } = await client.review<{ status?: { allowed?: boolean } }>(REVIEWS, review, signal);
  return status?.allowed ?? false;
}

/** The refusal with every right that is missing, not only the first; what is none is left as it is. */
export async function withMissingRights(client: KubeClient, error: unknown, run: RightsOfRun): Promise<unknown> {
  if (!(error instanceof RefusedError) || error.status !== 403) return error;
  const needed = rightsOfRun(run).filter((it) => it.optional === undefined);
  try {
    const missing = (await Promise.all(needed.map(async (it) => await isAllowed(client, it) ? [] : [it]))).flat();
    if (missing.length === 0) return error;
    const places = Map.groupBy(missing, (it) => it.namespace);
    const rights = [...places].map(([namespace, some]) =>
      `in namespace "${namespace}": ${[...new Set(some.map(formatRight))].join(", ")}`
    );
    const hint = `missing ${rights.join("; ")}. docs/rbac.md has a Role with what a run needs`;
    return new RefusedError(error.code, error.message, error.status, error.reason, hint);
  } catch {
    return error; // not even that may be asked
  }
}
