import assert from "node:assert/strict";
import { resolveConfig } from "../config/resolve.ts";
import type { ConfigKey } from "../config/options.ts";
import type { ProbedPort } from "../kube/container_ports.ts";
import { adviseOnProbes } from "./probes.ts";

const HTTP: ProbedPort = { kind: "liveness", protocol: "http", port: 8080, path: "/healthz?full" };
const TCP: ProbedPort = { kind: "readiness", protocol: "tcp", port: 9000, path: "" };
const GRPC: ProbedPort = { kind: "startup", protocol: "grpc", port: 50051, path: "" };

function advice(said: Readonly<Record<string, unknown>>) {
  const all = { "target.path": "pod/web", ...said };
  const { incoming } = resolveConfig(
    Object.entries(all).map(([key, value]) => ({
      key: (key === "target.path" ? key : `feature.network.incoming.${key}`) as ConfigKey,
      value,
      from: key,
    })),
  );
  const { incoming: after, warnings } = adviseOnProbes(incoming, [HTTP, TCP, GRPC]);
  return {
    filterPorts: after.filterPorts,
    warned: warnings.map((it) => Number(/at port (\d+)/.exec(it)![1])),
    warnings,
  };
}

Deno.test("a port that is stolen whole is warned of for each of its probes", () => {
  const { warned, warnings } = advice({ mode: "steal" });
  assert.deepEqual(warned, [8080, 9000, 50051]);
  assert.equal(
    warnings[0],
    "the target's liveness probe (GET /healthz?full at port 8080) is stolen whole if your program listens on port 8080: " +
      "unless it answers, the cluster restarts the container",
  );
});

Deno.test("who mirrors, ignores the port, or filters what is no probe is not warned", () => {
  assert.deepEqual(advice({ mode: "mirror" }).warned, []);
  assert.deepEqual(advice({ mode: "steal", ignore_ports: [8080, 9000] }).warned, [50051]);
  assert.deepEqual(advice({ mode: "steal", ports: [80] }).warned, []);
  assert.deepEqual(advice({ mode: "steal", "http_filter.header_filter": "^x-user: ann$" }).warned, []);
});

Deno.test("a filter that matches the probe is warned of", () => {
  assert.deepEqual(advice({ mode: "steal", "http_filter.path_filter": "^/healthz" }).warned, [8080]);
  assert.deepEqual(advice({ mode: "steal", "http_filter.method_filter": "get|post" }).warned, [8080, 50051]);
});

Deno.test("ports of HTTP probes are filtered too; others beside the filter's are warned of", () => {
  const { filterPorts, warned } = advice({
    mode: "steal",
    "http_filter.header_filter": "^x-user: ann$",
    "http_filter.ports": [80],
  });
  assert.deepEqual(filterPorts, [80, 8080, 50051]);
  assert.deepEqual(warned, [9000]);
});

Deno.test("of ports that are named only those are warned of, for sure", () => {
  const incoming = resolveConfig([
    { key: "target.path", text: "pod/web", from: "" },
    { key: "feature.network.incoming.mode", text: "steal", from: "" },
  ]).incoming;
  assert.deepEqual(adviseOnProbes(incoming, [HTTP, TCP], [9000]).warnings, [
    "the target's readiness probe (a connection at port 9000) is stolen whole: unless it is answered here, " +
    "its pod gets no traffic of Services any more",
  ]);
});
