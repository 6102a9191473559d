import assert from "node:assert/strict";
import type { ListedTarget } from "../kube/listing.ts";
import { formatRichTargets, formatTargets } from "./ls_format.ts";

const NOW = Date.parse("2026-01-11T00:00:00Z");
const TARGETS: readonly ListedTarget[] = [
  {
    kind: "deployment",
    namespace: "shop",
    name: "web",
    container: undefined,
    ready: "2/3",
    createdAt: "2026-01-01T00:00:00Z",
    images: ["web:1"],
  },
  {
    kind: "pod",
    namespace: "a-bank",
    name: "db-0",
    container: "app",
    ready: "",
    createdAt: undefined,
    images: [],
  },
];
const PATHS = ["deployment/web", "pod/db-0/container/app"];

Deno.test("formatTargets() writes one array of JSON, names, or a table", () => {
  assert.deepEqual(JSON.parse(formatTargets(TARGETS, "json", false)), PATHS);
  assert.equal(formatTargets([], "json", false), "[]");
  assert.equal(formatTargets(TARGETS, "name", false), PATHS.join("\n"));
  assert.equal(formatTargets(TARGETS, "table", false), ["TARGET", ...PATHS].join("\n"));
});

Deno.test("formatTargets() tells the namespace where there are several", () => {
  assert.deepEqual(JSON.parse(formatTargets(TARGETS, "json", true)), [
    { namespace: "shop", path: PATHS[0] },
    { namespace: "a-bank", path: PATHS[1] },
  ]);
  assert.equal(
    formatTargets(TARGETS, "table", true),
    "NAMESPACE   TARGET\nshop        deployment/web\na-bank      pod/db-0/container/app",
  );
});

Deno.test("formatTargets() tells in a wide table what is ready, how old it is and what it runs", () => {
  assert.deepEqual(formatTargets(TARGETS, "wide", false, NOW).split("\n").map((it) => it.split(/ {2,}/)), [
    ["TARGET", "READY", "AGE", "IMAGE"],
    ["deployment/web", "2/3", "10d", "web:1"],
    ["pod/db-0/container/app", "-", "-"],
  ]);
});

Deno.test("formatRichTargets() writes what the reference tool's plugins read", () => {
  assert.deepEqual(JSON.parse(formatRichTargets(TARGETS, "shop", ["a-bank", "shop"])), {
    targets: PATHS.map((path) => ({ path, available: true })),
    current_namespace: "shop",
    namespaces: ["a-bank", "shop"],
  });
});
