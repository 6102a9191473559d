/** Where the kinds of objects lie that this program asks for, and what access rules call them. */

/** A kind of object: where it lies and what access rules call it. */
export interface Kind {
  readonly api: string;
  readonly resource: string;
}

export const KINDS = {
  pods: { api: "api/v1", resource: "pods" },
  events: { api: "api/v1", resource: "events" },
  namespaces: { api: "api/v1", resource: "namespaces" },
  services: { api: "api/v1", resource: "services" },
  deployments: { api: "apis/apps/v1", resource: "deployments" },
  statefulSets: { api: "apis/apps/v1", resource: "statefulsets" },
  replicaSets: { api: "apis/apps/v1", resource: "replicasets" },
  daemonSets: { api: "apis/apps/v1", resource: "daemonsets" },
  cronJobs: { api: "apis/batch/v1", resource: "cronjobs" },
  cronJobsBeta: { api: "apis/batch/v1beta1", resource: "cronjobs" }, // before Kubernetes 1.21
  rollouts: { api: "apis/argoproj.io/v1alpha1", resource: "rollouts" },
  jobs: { api: "apis/batch/v1", resource: "jobs" },
} as const satisfies Record<string, Kind>;
