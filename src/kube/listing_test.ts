import assert from "node:assert/strict";
import { listOf, startApiServer } from "../../tests/support/api_server.ts";
import { KubeClient } from "./client.ts";
import { LISTED_KINDS, type ListedTarget, listTargets } from "./listing.ts";

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
  const targets = await listTargets(client, "shop", LISTED_KINDS);
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
  const targets = await listTargets(client, undefined, ["pod"]);
  assert.deepEqual(targets.map(textOf), ["shop pod/a", "shop pod/b"]);
  assert.deepEqual(api.requests.map((it) => it.path), ["/api/v1/pods", "/api/v1/pods"]);
  assert.deepEqual(api.requests.map((it) => it.query.get("limit")), ["500", "500"]);
});
