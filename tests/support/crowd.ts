/**
 * An API server of a big cluster: thousands of pods as a real one sends them (about 6 kB each), page by page, and no nodes
 * to run them. `deno run -A tests/support/crowd.ts 2000` prints a kubeconfig for it, with which kubectl works too, and serves until
 * it is ended.
 */
import { refuse, type ScriptedRequest, type ScriptedServer, startApiServer } from "./api_server.ts";

const KINDS: Readonly<Record<string, readonly string[]>> = {
  "/api/v1": ["pods", "services"],
  "/apis/apps/v1": ["deployments", "statefulsets", "replicasets", "daemonsets"],
  "/apis/batch/v1": ["jobs", "cronjobs"],
};

export function startCrowd(podCount: number): ScriptedServer {
  const pods = Array.from({ length: podCount }, (_, at) => podOf(at));
  return startApiServer((request) => answer(request, pods));
}

function answer({ path, query }: ScriptedRequest, pods: readonly object[]): Response {
  const discovered = discovery(path);
  if (discovered) return Response.json(discovered);
  const resource = path.split("/").at(-1)!;
  if (!Object.values(KINDS).some((it) => it.includes(resource))) return refuse(404, "not found", "NotFound");
  const kind = `${resource[0]!.toUpperCase()}${resource.slice(1, -1)}List`;
  if (resource !== "pods") return Response.json({ kind, apiVersion: "v1", metadata: {}, items: [] });
  const from = Number(query.get("continue") ?? 0);
  const to = Math.min(pods.length, from + Number(query.get("limit") || pods.length));
  const more = to < pods.length ? { continue: String(to), remainingItemCount: pods.length - to } : {};
  const metadata = { resourceVersion: "1", ...more };
  return Response.json({ kind, apiVersion: "v1", metadata, items: pods.slice(from, to) });
}

/** What kubectl asks before it asks. */
function discovery(path: string): object | undefined {
  if (path === "/version") return { major: "1", minor: "20", gitVersion: "v1.20.2" };
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (path === "/apis") {
    const groups = ["apps", "batch"].map((name) => {
      const version = { groupVersion: `${name}/v1`, version: "v1" };
      return { name, versions: [version], preferredVersion: version };
    });
    return { kind: "APIGroupList", apiVersion: "v1", groups };
  }
  const names = KINDS[path];
  if (!names) return undefined;
  const resources = names.map((name) => {
    const kind = `${name[0]!.toUpperCase()}${name.slice(1, -1)}`;
    return { name, singularName: name.slice(0, -1), kind, namespaced: true, verbs: ["get", "list"], shortNames: [] };
  });
  return { kind: "APIResourceList", groupVersion: path.replace(/^\/apis?\//, ""), resources };
}

function podOf(at: number): object {
  const name = `service-${at % 97}-${(at * 7919 % 1_000_003).toString(36).padStart(5, "x")}`;
  const labels = { app: `service-${at % 97}`, "pod-template-hash": "797dbc5c7f", team: `team-${at % 11}` };
  const since = "2026-11-20T08:00:00Z";
  const condition = (type: string) => ({ type, status: "True", lastProbeTime: null, lastTransitionTime: since });
  const mount = { name: "token", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" };
  const env = Array.from({ length: 20 }, (_, index) => ({ name: `VARIABLE_${index}`, value: `value-${at}-${index}` }));
  const fields = {
    "f:spec": Object.fromEntries(env.map((it) => [`k:{"name":"${it.name}"}`, { ".": {}, "f:value": {} }])),
  };
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      ...{ name, namespace: "shop", uid: crypto.randomUUID(), resourceVersion: String(at), labels },
      creationTimestamp: since,
      ownerReferences: [{ kind: "ReplicaSet", name: `service-${at % 97}`, uid: crypto.randomUUID(), controller: true }],
      managedFields: [{
        manager: "kube-controller-manager",
        operation: "Update",
        fieldsType: "FieldsV1",
        fieldsV1: fields,
      }],
    },
    spec: {
      containers: [{
        ...{ name: "app", image: `registry.example/service-${at % 97}:1.2.3`, env, volumeMounts: [mount] },
        resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
      }],
      nodeName: `node-${at % 50}`,
      tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" }],
      volumes: [{ name: "token", secret: { secretName: "default-token", defaultMode: 420 } }],
    },
    status: {
      phase: "Running",
      conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition),
      podIP: `10.${at >> 16 & 255}.${at >> 8 & 255}.${at & 255}`,
      startTime: since,
      containerStatuses: [{
        ...{ name: "app", ready: true, started: true, restartCount: 0, state: { running: { startedAt: since } } },
        image: `registry.example/service-${at % 97}:1.2.3`,
        containerID: `containerd://${"0123456789abcdef".repeat(4)}`,
      }],
    },
  };
}

/** For `startCrowd` by hand, and for kubectl. */
export function kubeconfigFor({ server }: ScriptedServer): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "crowd", cluster: { server: server.url } }],
    users: [{ name: "crowd", user: {} }],
    contexts: [{ name: "crowd", context: { cluster: "crowd", user: "crowd", namespace: "shop" } }],
    "current-context": "crowd",
  });
}

if (import.meta.main) {
  const crowd = startCrowd(Number(Deno.args[0] ?? 2000));
  Deno.stdout.writeSync(new TextEncoder().encode(`${kubeconfigFor(crowd)}\n`));
}
