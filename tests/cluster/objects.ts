/** What the end-to-end tests put into the cluster. */
import { BUSYBOX } from "./namespace.ts";

interface PodOptions {
  name: string;
  /** What sh runs in the first container. */
  script: string;
  labels?: Record<string, string>;
  env?: Record<string, string>;
  securityContext?: object;
  volumes?: { name: string; path: string; source: object }[];
  /** More containers, each idle. */
  others?: string[];
}

export function pod({ name, labels = {}, ...options }: PodOptions): object {
  return { apiVersion: "v1", kind: "Pod", metadata: { name, labels }, spec: podSpec({ name, ...options }) };
}

/** A pod whose container ends, once: it is not started again. */
export function endingPod(name: string, exitCode: number): object {
  const spec = { ...podSpec({ name, script: `exit ${exitCode}` }), restartPolicy: "Never" };
  return { apiVersion: "v1", kind: "Pod", metadata: { name }, spec };
}

function podSpec({ script, env = {}, securityContext = {}, volumes = [], others = [] }: PodOptions): object {
  const idle = { image: BUSYBOX, command: ["sleep", "100000"] };
  return {
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    securityContext,
    containers: [
      {
        name: "app",
        image: BUSYBOX,
        command: ["/bin/sh", "-c", script],
        env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
        volumeMounts: volumes.map(({ name, path }) => ({ name, mountPath: path })),
      },
      ...others.map((name) => ({ name, ...idle })),
    ],
    volumes: volumes.map(({ name, source }) => ({ name, ...source })),
  };
}

/** A workload of apps/v1 whose pods bear the label app=NAME. */
export function workload(kind: string, { name, ...options }: PodOptions, more: object = {}): object {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { name },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: podSpec({ name, ...options }) },
      ...more,
    },
  };
}

export function job({ name, ...options }: PodOptions): object {
  const spec = { ...podSpec({ name, ...options }), restartPolicy: "Never" };
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name }, spec: { template: { spec } } };
}

/** Starts its Job within the minute. */
export function cronJob({ name, ...options }: PodOptions): object {
  const spec = { ...podSpec({ name, ...options }), restartPolicy: "Never" };
  return {
    apiVersion: "batch/v1beta1",
    kind: "CronJob",
    metadata: { name },
    spec: { schedule: "* * * * *", concurrencyPolicy: "Forbid", jobTemplate: { spec: { template: { spec } } } },
  };
}

/** Of Argo Rollouts: as much of it as makes a Rollout an object. There is no controller: its pods are somebody else's. */
export const ROLLOUT_DEFINITION = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "rollouts.argoproj.io" },
  spec: {
    group: "argoproj.io",
    scope: "Namespaced",
    names: { kind: "Rollout", plural: "rollouts", singular: "rollout" },
    versions: [{
      name: "v1alpha1",
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
    }],
  },
};

export function rollout(name: string, spec: object): object {
  const status = { availableReplicas: 1 };
  return { apiVersion: "argoproj.io/v1alpha1", kind: "Rollout", metadata: { name }, spec, status };
}

export function deployment(options: PodOptions, replicas = 1): object {
  return workload("Deployment", options, { replicas });
}

export function service(name: string, port: number, targetPort: number): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port, targetPort }] },
  };
}

/** An HTTP server that says what it was asked: busybox's httpd runs this for every path it has no file for. */
const ECHO_SCRIPT = `mkdir -p /www/cgi-bin
cat > /www/cgi-bin/index.cgi <<'CGI'
#!/bin/sh
printf 'Content-Type: application/json\\r\\n\\r\\n'
printf '{"method":"%s","host":"%s","pod":"%s"}\\n' "$REQUEST_METHOD" "$HTTP_HOST" "$(hostname)"
CGI
chmod +x /www/cgi-bin/index.cgi
exec httpd -f -p 8080 -h /www`;

/** The Deployment and the Service "echo-server". */
export function echoServer(): object[] {
  return [deployment({ name: "echo-server", script: ECHO_SCRIPT }), service("echo-server", 80, 8080)];
}
