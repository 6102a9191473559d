import assert from "node:assert/strict";
import { listOf, refuse, startApiServer } from "../../tests/support/api_server.ts";
import { KubeClient } from "./client.ts";
import { type ListedTarget, listNamespaces, listTargets } from "./listing.ts";

function podOf(name: string, ready: "True" | "False", containers = ["app"], more: object = {}): object {
  return {
    metadata: { name, namespace: "shop", ...more },
    spec: { containers: containers.map((it) => ({ name: it })) },
    status: { phase: "Running", conditions: [{ type: "Ready", status: ready }] },
  };
}

function deploymentOf(name: string, availableReplicas: number | undefined, containers = ["app"]): object {
  return {
    metadata: { name, namespace: "shop" },
    spec: { selector: {}, template: { spec: { containers: containers.map((it) => ({ name: it })) } } },
    status: { availableReplicas },
  };
}

function textOf({ namespace, kind, name, container }: ListedTarget): string {
  return `${namespace} ${kind}/${name}${container === undefined ? "" : ` ${container}`}`;
}

Deno.test("listTargets() lists deployments that run and pods that are ready, each of several containers", async () => {
  const pods = [
    podOf("a", "True"),
    podOf("b", "False"),
    podOf("c", "True", ["app", "proxy"]),
    podOf("d", "True", ["app"], { deletionTimestamp: "2026-01-01T00:00:00Z" }),
  ];
  const deployments = [deploymentOf("up", 1), deploymentOf("down", undefined), deploymentOf("two", 2, ["x", "y"])];
  await using api = startApiServer(({ path }) => listOf(path.endsWith("/pods") ? pods : deployments));
  using client = new KubeClient(api.server);
  const { targets } = await listTargets(client, { namespace: "shop", kinds: ["pod", "deployment"] });
  assert.deepEqual(targets.map(textOf), [
    "shop deployment/up",
    "shop deployment/two x",
    "shop deployment/two y",
    "shop pod/a",
    "shop pod/c app",
    "shop pod/c proxy",
  ]);
  assert.ok(api.requests.every((it) => it.query.get("labelSelector") === "app!=mirrord"));
});

Deno.test("listTargets() asks for the kinds that are wanted, page by page, of all namespaces without one", async () => {
  await using api = startApiServer(({ query }) =>
    query.has("continue") ? listOf([podOf("b", "True")]) : listOf([podOf("a", "True")], { continue: "more" })
  );
  using client = new KubeClient(api.server);
  const { targets } = await listTargets(client, { namespace: undefined, kinds: ["pod"] });
  assert.deepEqual(targets.map(textOf), ["shop pod/a", "shop pod/b"]);
  assert.deepEqual(api.requests.map((it) => it.path), ["/api/v1/pods", "/api/v1/pods"]);
  assert.deepEqual(api.requests.map((it) => it.query.get("limit")), ["500", "500"]);
});

Deno.test("listTargets() lists what runs of every kind, a Service by its pods, nothing twice", async () => {
  const metadata = { name: "web", namespace: "shop", creationTimestamp: "2026-01-01T00:00:00Z" };
  const owned = { ...metadata, ownerReferences: [{ kind: "X", name: "x", uid: "1", controller: true }] };
  const spec = { replicas: 3, template: { spec: { containers: [{ name: "app", image: "web:1" }] } } };
  const objects: Record<string, object[]> = {
    deployments: [{ metadata, spec, status: { availableReplicas: 2 } }],
    rollouts: [{ metadata, spec: { replicas: 1, workloadRef: {} }, status: { availableReplicas: 1 } }],
    statefulsets: [{ metadata, spec, status: { readyReplicas: 3 } }, { metadata, spec, status: {} }],
    daemonsets: [{ metadata, spec: {}, status: { numberReady: 1, desiredNumberScheduled: 2 } }],
    replicasets: [{ metadata, spec, status: { readyReplicas: 1 } }, {
      metadata: owned,
      spec,
      status: { readyReplicas: 1 },
    }],
    jobs: [{ metadata, spec, status: { active: 1 } }, { metadata: owned, spec, status: { active: 1 } }, {
      metadata,
      spec,
    }],
    cronjobs: [{ metadata, spec: {}, status: { active: [{ name: "x" }] } }, { metadata, spec: {}, status: {} }],
    services: [
      { metadata, spec: { selector: { app: "web" } } },
      { metadata, spec: { selector: { app: "other" } } },
      { metadata, spec: {} },
    ],
    pods: [podOf("web-1", "True", ["app"], { labels: { app: "web" } })],
  };
  await using api = startApiServer(({ path }) => listOf(objects[path.split("/").at(-1)!] ?? []));
  using client = new KubeClient(api.server);
  const { targets, warnings } = await listTargets(client, { namespace: "shop" });
  assert.deepEqual(targets.map((it) => `${textOf(it)} ${it.ready}`.trim()), [
    "shop deployment/web 2/3",
    "shop rollout/web 1/1",
    "shop statefulset/web 3/3",
    "shop daemonset/web 1/2",
    "shop cronjob/web",
    "shop job/web",
    "shop service/web 1",
    "shop replicaset/web 1/3",
    "shop pod/web-1 0/1",
  ]);
  assert.deepEqual(targets[0]!.images, ["web:1"]);
  assert.deepEqual(warnings, []);
});

Deno.test("listTargets() leaves out what may not be listed or is not there, unless it was asked for", async () => {
  await using api = startApiServer(({ path }) => {
    if (path.endsWith("/pods")) return listOf([podOf("a", "True")]);
    return path.endsWith("/rollouts") || path.includes("/v1beta1/")
      ? new Response("404 page not found\n", { status: 404 })
      : refuse(403, "you may not");
  });
  using client = new KubeClient(api.server);
  const { targets, warnings } = await listTargets(client, { namespace: "shop" });
  assert.deepEqual(targets.map(textOf), ["shop pod/a"]);
  assert.equal(warnings.length, 7);
  assert.match(warnings[0]!, /^\w+s are left out: Cannot list \w+ in namespace "shop": you may not$/);
  for (const kind of ["rollout", "job"] as const) {
    await assert.rejects(listTargets(client, { namespace: "shop", kinds: [kind] }), /Cannot list/);
  }
});

Deno.test("listNamespaces() lists them, or says nothing without the right to", async () => {
  let answer = listOf([{ metadata: { name: "a" } }, { metadata: { name: "b" } }]);
  await using api = startApiServer(() => answer);
  using client = new KubeClient(api.server);
  assert.deepEqual(await listNamespaces(client), ["a", "b"]);
  answer = refuse(403, "no");
  assert.equal(await listNamespaces(client), undefined);
});
