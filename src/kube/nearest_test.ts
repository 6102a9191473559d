import assert from "node:assert/strict";
import { nearestNames } from "./nearest.ts";

Deno.test("nearestNames() offers similar names, the most similar first", () => {
  const cases: [string, string[], string[]][] = [
    ["web", ["web-1", "api", "wep"], ["web-1", "wep"]],
    ["echo-sever", ["echo-server", "redis"], ["echo-server"]],
    ["a", ["b", "zzzzzz"], ["b"]],
    ["payments", ["users", "orders"], []],
    ["x", [], []],
    ["web", ["web-4", "web-3", "web-2", "web-1"], ["web-1", "web-2", "web-3"]],
  ];
  for (const [wanted, names, offered] of cases) assert.deepEqual(nearestNames(wanted, names), offered, wanted);
});
