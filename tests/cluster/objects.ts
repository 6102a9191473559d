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
        command: ["sh", "-c", script],
        env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
        volumeMounts: volumes.map(({ name, path }) => ({ name, mountPath: path })),
      },
      ...others.map((name) => ({ name, ...idle })),
    ],
    volumes: volumes.map(({ name, source }) => ({ name, ...source })),
  };
}

export function deployment({ name, ...options }: PodOptions, replicas = 1): object {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: podSpec({ name, ...options }) },
    },
  };
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
