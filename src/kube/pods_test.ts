import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { listOf, refuse, startApiServer } from "../../tests/support/api_server.ts";
import { KubeClient } from "./client.ts";
import { portsOf } from "./container_ports.ts";
import type { Container } from "./objects.ts";
import { resolveTarget } from "./pods.ts";
import { formatSelector, type NamedTarget } from "./workloads.ts";

interface PodSketch {
  name: string;
  containers?: string[];
  phase?: string;
  waiting?: { reason: string; message?: string };
  isReady?: boolean;
  isDeleting?: boolean;
  age?: string;
  annotations?: Record<string, string>;
  conditions?: object[];
  reason?: string;
}

function podOf(sketch: PodSketch) {
  const { name, containers = ["app"], phase = "Running", waiting, isReady = true } = sketch;
  const state = waiting ? { waiting } : phase === "Running" ? { running: {} } : {};
  return {
    metadata: {
      name,
      namespace: "shop",
      creationTimestamp: sketch.age ?? "2026-01-01T00:00:00Z",
      annotations: sketch.annotations ?? {},
      ...(sketch.isDeleting ? { deletionTimestamp: "2026-01-02T00:00:00Z" } : {}),
    },
    spec: {
      nodeName: "node-1",
      containers: containers.map((it) => ({ name: it, volumeMounts: [{ mountPath: `/mnt/${it}` }] })),
    },
    status: {
      phase,
      ...(sketch.reason ? { reason: sketch.reason } : {}),
      ...(sketch.conditions ? { conditions: sketch.conditions } : {}),
      podIPs: [{ ip: "10.0.0.9" }, { ip: "fd00::9" }],
      containerStatuses: containers.map((it) => ({
        name: it,
        ready: isReady,
        containerID: `containerd://${it}1`,
        state,
      })),
    },
  };
}

async function resolveAmong(sketches: PodSketch[], target: NamedTarget) {
  const pods = sketches.map(podOf);
  await using api = startApiServer(({ path, query }) => {
    const last = path.split("/").at(-1)!;
    if (last === "pods") {
      assert.ok(target.kind === "pod" || query.get("labelSelector") === "app=web");
      return listOf(pods);
    }
    if (last === "deployments") return listOf([{ metadata: { name: "web" }, spec: {} }]);
    if (path.includes("/deployments/")) {
      const deployment = { metadata: { name: "web" }, spec: { selector: { matchLabels: { app: "web" } } } };
      return last === "web" ? Response.json(deployment) : refuse(404, "not found", "NotFound");
    }
    const pod = pods.find((it) => it.metadata.name === last);
    return pod ? Response.json(pod) : refuse(404, "not found", "NotFound");
  });
  using client = new KubeClient(api.server);
  return await resolveTarget(client, "shop", target);
}

Deno.test("resolveTarget() tells all of a pod that the agent and the shim need", async () => {
  assert.deepEqual(await resolveAmong([{ name: "web-1" }], { kind: "pod", name: "web-1" }), {
    namespace: "shop",
    pod: "web-1",
    node: "node-1",
    container: "app",
    containerId: "app1",
    podIPs: ["10.0.0.9", "fd00::9"],
    mounts: ["/mnt/app"],
    ports: [],
    probes: [],
    choice: "",
  });
});

Deno.test("portsOf() tells what a container listens on over TCP, and where the kubelet asks for its health", () => {
  const container = {
    name: "app",
    ports: [{ name: "web", containerPort: 80 }, { containerPort: 53, protocol: "UDP" }, { containerPort: 80 }],
    livenessProbe: { httpGet: { path: "/live", port: "web" } },
    readinessProbe: { tcpSocket: { port: 8080 } },
    startupProbe: { grpc: { port: 9000 } },
  };
  assert.deepEqual(portsOf(container), {
    ports: [80],
    probes: [
      { kind: "liveness", protocol: "http", port: 80, path: "/live" },
      { kind: "readiness", protocol: "tcp", port: 8080, path: "" },
      { kind: "startup", protocol: "grpc", port: 9000, path: "" },
    ],
  });
  const odd = { name: "app", livenessProbe: { httpGet: { port: "nameless" } }, readinessProbe: { exec: {} } } as object;
  assert.deepEqual(portsOf(odd as Container), { ports: [], probes: [] });
});

Deno.test("resolveTarget() chooses the container", async (test) => {
  const cases: [string, PodSketch, string | undefined, string, string][] = [
    ["named", { name: "p", containers: ["app", "log"] }, "log", "log", ""],
    [
      "annotated",
      { name: "p", containers: ["log", "app"], annotations: { "kubectl.kubernetes.io/default-container": "app" } },
      undefined,
      "app",
      'container "app": the annotation kubectl.kubernetes.io/default-container says so',
    ],
    [
      "first that is no sidecar",
      { name: "p", containers: ["istio-proxy", "app", "log"] },
      undefined,
      "app",
      'container "app": the first of app, log, which are no known sidecars',
    ],
    [
      "the only one that is no sidecar",
      { name: "p", containers: ["istio-proxy", "app"] },
      undefined,
      "app",
      'container "app": the only one that is no known sidecar',
    ],
    [
      "the first of sidecars",
      { name: "p", containers: ["istio-proxy", "vault-agent"] },
      undefined,
      "istio-proxy",
      'container "istio-proxy": the first, since all of istio-proxy, vault-agent are known sidecars',
    ],
    ["a sidecar when there is nothing else", { name: "p", containers: ["istio-proxy"] }, undefined, "istio-proxy", ""],
  ];
  for (const [name, sketch, container, expected, choice] of cases) {
    await test.step(name, async () => {
      const found = await resolveAmong([sketch], { kind: "pod", name: "p", container });
      assert.equal(found.container, expected);
      assert.equal(found.choice, choice);
    });
  }
});

Deno.test("resolveTarget() takes the oldest pod of a deployment that is ready and stays", async () => {
  const found = await resolveAmong([
    { name: "young", age: "2026-03-01T00:00:00Z" },
    { name: "leaving", age: "2025-01-01T00:00:00Z", isDeleting: true },
    { name: "unready", age: "2025-02-01T00:00:00Z", isReady: false },
    { name: "pending", age: "2025-03-01T00:00:00Z", phase: "Pending" },
    { name: "chosen", age: "2026-02-01T00:00:00Z" },
  ], { kind: "deployment", name: "web" });
  assert.equal(found.pod, "chosen");
  assert.equal(found.choice, "pod chosen: the oldest of 2 ready pods");
});

Deno.test("resolveTarget() refuses with what is wrong and what there is", async (test) => {
  const pod = { kind: "pod", name: "web-1" } as const;
  const deployment = { kind: "deployment", name: "web" } as const;
  const unschedulable = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/1 nodes" }];
  const cases: [string, PodSketch[], NamedTarget, string, RegExp, RegExp][] = [
    ["no such pod", [{ name: "web-2" }], pod, "TARGET_NOT_FOUND", /no such pod in namespace "shop"/, /pod\/web-2\?/],
    ["no pods at all", [], pod, "TARGET_NOT_FOUND", /no such pod/, /mirrord ls/],
    ["nothing similar", [{ name: "database" }], pod, "TARGET_NOT_FOUND", /no such pod/, /there are: database/],
    ["no such deployment", [], { kind: "deployment", name: "weg" }, "TARGET_NOT_FOUND", /"deployment\/weg"/, /web\?/],
    [
      "no such container",
      [{ name: "web-1", containers: ["a", "b"] }],
      { ...pod, container: "c" },
      "TARGET_CONTAINER_NOT_FOUND",
      /"pod\/web-1\/container\/c": pod "web-1" has no container "c"/,
      /a, b/,
    ],
    ["being deleted", [{ name: "web-1", isDeleting: true }], pod, "TARGET_NOT_RUNNING", /being deleted/, /describe/],
    ["ended", [{ name: "web-1", phase: "Succeeded" }], pod, "TARGET_NOT_RUNNING", /is Succeeded, not/, /describe/],
    [
      "evicted",
      [{ name: "web-1", phase: "Failed", reason: "Evicted" }],
      pod,
      "TARGET_NOT_RUNNING",
      /is Failed \(Evicted\), not running/,
      /describe/,
    ],
    [
      "unscheduled",
      [{ name: "web-1", phase: "Pending", conditions: unschedulable }],
      pod,
      "TARGET_NOT_RUNNING",
      /Pending \(Unschedulable: 0\/1 nodes\)/,
      /describe/,
    ],
    [
      "crashing",
      [{ name: "web-1", waiting: { reason: "CrashLoopBackOff", message: "back-off" } }],
      pod,
      "TARGET_NOT_RUNNING",
      /waits \(CrashLoopBackOff: back-off\)/,
      /describe/,
    ],
    ["scaled to zero", [], deployment, "TARGET_NOT_RUNNING", /no pod of it runs/, /--replicas 1/],
    [
      "none ready",
      [{ name: "w", isReady: false }],
      deployment,
      "TARGET_NOT_RUNNING",
      /pod "w" is not ready/,
      /describe/,
    ],
  ];
  for (const [name, sketches, target, code, message, hint] of cases) {
    await test.step(name, async () => {
      await assert.rejects(resolveAmong(sketches, target), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.match(error.hint ?? "", hint);
        return true;
      });
    });
  }
});

Deno.test("resolveTarget() finds the pods of every kind of workload", async (test) => {
  const selector = { matchLabels: { app: "web" } };
  const metadata = { name: "web" };
  const workload = { metadata, spec: { selector } };
  const cases: { target: NamedTarget; objects: Record<string, object>; selector?: string; asked?: string }[] = [
    ...(["deployment", "statefulset", "replicaset", "daemonset"] as const).map((kind) => ({
      target: { kind, name: "web" },
      objects: { [`apis/apps/v1 ${kind}s`]: workload },
    })),
    { target: { kind: "job", name: "web" }, objects: { "apis/batch/v1 jobs": workload } },
    {
      target: { kind: "service", name: "web" },
      objects: { "api/v1 services": { metadata, spec: { selector: { app: "web", tier: "front" } } } },
      selector: "app=web,tier=front",
    },
    {
      target: { kind: "cronjob", name: "web" },
      objects: {
        "apis/batch/v1beta1 cronjobs": {
          metadata,
          spec: {},
          status: { active: [{ name: "web-1" }, { name: "web-2" }] },
        },
      },
      selector: "job-name in (web-1,web-2)",
    },
    { target: { kind: "rollout", name: "web" }, objects: { "apis/argoproj.io/v1alpha1 rollouts": workload } },
    {
      target: { kind: "rollout", name: "web" },
      objects: {
        "apis/argoproj.io/v1alpha1 rollouts": {
          metadata,
          spec: { workloadRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" } },
        },
        "apis/apps/v1 deployments": workload,
      },
    },
    { target: { kind: "label", name: "a=b,c=d" }, objects: {}, selector: "a=b,c=d" },
  ];
  for (const { target, objects, selector: expected = "app=web" } of cases) {
    await test.step(`${target.kind}, ${Object.keys(objects).length} objects`, async () => {
      const selectors: (string | null)[] = [];
      await using api = startApiServer(({ path, query }) => {
        if (path.endsWith("/pods")) {
          selectors.push(query.get("labelSelector"));
          return listOf([podOf({ name: "web-x" }), podOf({ name: "web-y", isReady: false })]);
        }
        const [, api, resource] = /^\/(.*)\/namespaces\/shop\/([a-z]+)\/web$/.exec(path) ?? [];
        const found = objects[`${api} ${resource}`];
        return found ? Response.json(found) : new Response("404 page not found\n", { status: 404 });
      });
      using client = new KubeClient(api.server);
      const { pod } = await resolveTarget(client, "shop", target);
      assert.equal(pod, "web-x");
      assert.deepEqual(selectors, [expected]);
    });
  }
});

Deno.test("resolveTarget() says why a workload can be no target, and what would work", async (test) => {
  const cases: [string, NamedTarget["kind"], object | undefined, string, RegExp, RegExp][] = [
    ["a Service without a selector", "service", { spec: {} }, "TARGET_NOT_RUNNING", /it selects no pods/, /behind it/],
    [
      "a CronJob at rest",
      "cronjob",
      { spec: {}, status: {} },
      "TARGET_NOT_RUNNING",
      /no pod/,
      /kubectl create job web-now/,
    ],
    [
      "a statefulset at zero",
      "statefulset",
      { spec: { selector: { matchLabels: { a: "b" } } } },
      "TARGET_NOT_RUNNING",
      /no pod/,
      /kubectl scale statefulset\/web/,
    ],
    ["no selector", "job", { spec: {} }, "TARGET_NOT_RUNNING", /no selector/, /pods can be named/],
    [
      "a Rollout of a Deployment that is gone",
      "rollout",
      { spec: { workloadRef: { kind: "Deployment", name: "gone" } } },
      "TARGET_NOT_RUNNING",
      /workloadRef names Deployment\/gone, which is not there/,
      /pods can be named/,
    ],
    ["a kind that the cluster has not", "rollout", undefined, "TARGET_NOT_FOUND", /knows no rollouts/, /api-resources/],
    [
      "a label that no pod has",
      "label",
      undefined,
      "TARGET_NOT_RUNNING",
      /no pod has this label/,
      /kubectl get pods --sel/,
    ],
  ];
  for (const [name, kind, object, code, message, hint] of cases) {
    await test.step(name, async () => {
      await using api = startApiServer(({ path }) => {
        if (path.endsWith("/pods")) return listOf([]);
        return object && path.endsWith("/web")
          ? Response.json({ metadata: { name: "web" }, ...object })
          : new Response("404 page not found\n", { status: 404 });
      });
      using client = new KubeClient(api.server);
      await assert.rejects(resolveTarget(client, "shop", { kind, name: kind === "label" ? "a=b" : "web" }), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        assert.match(error.hint ?? "", hint);
        return true;
      });
    });
  }
});

Deno.test("resolveTarget() never takes an agent for a target", async () => {
  const agent = { name: "a-agent", containers: ["mirrord-agent"], age: "2020-01-01T00:00:00Z" };
  assert.equal((await resolveAmong([agent, { name: "web-1" }], { kind: "deployment", name: "web" })).pod, "web-1");
});

Deno.test("formatSelector() writes a selector as a query has it", () => {
  assert.equal(
    formatSelector({
      matchLabels: { app: "web", tier: "front" },
      matchExpressions: [
        { key: "env", operator: "In", values: ["a", "b"] },
        { key: "old", operator: "DoesNotExist" },
        { key: "new", operator: "Exists" },
        { key: "x", operator: "NotIn", values: ["y"] },
      ],
    }),
    "app=web,tier=front,env in (a,b),!old,new,x notin (y)",
  );
});
