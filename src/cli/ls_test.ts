import assert from "node:assert/strict";
import type { ListedTarget } from "../kube/listing.ts";
import { formatTargets } from "./ls.ts";

const TARGETS: readonly ListedTarget[] = [
  { kind: "deployment", namespace: "shop", name: "web", container: undefined },
  { kind: "pod", namespace: "a-bank", name: "db-0", container: "app" },
];

Deno.test("formatTargets() writes one array of JSON, names, or a table", () => {
  const paths = ["deployment/web", "pod/db-0/container/app"];
  assert.deepEqual(JSON.parse(formatTargets(TARGETS, "json", false)), paths);
  assert.equal(formatTargets([], "json", false), "[]");
  assert.equal(formatTargets(TARGETS, "name", false), paths.join("\n"));
  assert.equal(formatTargets(TARGETS, "table", false), ["TARGET", ...paths].join("\n"));
  assert.equal(
    formatTargets(TARGETS, "table", true),
    "NAMESPACE   TARGET\nshop        deployment/web\na-bank      pod/db-0/container/app",
  );
});
