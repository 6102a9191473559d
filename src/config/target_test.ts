import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { formatTarget, parseTarget } from "./target.ts";

for (
  const { text, target } of [
    { text: "targetless", target: { kind: "targetless" } },
    { text: "pod/web-1", target: { kind: "pod", name: "web-1", container: undefined } },
    { text: "pod/web-1/container/app", target: { kind: "pod", name: "web-1", container: "app" } },
    { text: "deployment/web.v2", target: { kind: "deployment", name: "web.v2", container: undefined } },
    { text: "process/4711", target: { kind: "process", pid: 4711 } },
  ]
) {
  Deno.test(`parseTarget() reads "${text}", formatTarget() writes it`, () => {
    assert.deepEqual(parseTarget(text), target);
    assert.equal(formatTarget(parseTarget(text)), text);
  });
}

Deno.test('parseTarget() takes "deploy" for "deployment"', () => {
  assert.equal(formatTarget(parseTarget("deploy/web/container/app")), "deployment/web/container/app");
});

for (
  const text of [
    "",
    "pod",
    "pod/",
    "pod/-a",
    "pod/A",
    `pod/${"a".repeat(254)}`,
    "pod/a/container",
    "pod/a/container/",
    "pod/a/container/b/c",
    "pod/a/containers/b",
    "process/",
    "process/-1",
    "process/01",
    "process/1/2",
    "process/99999999",
    "rollout/a",
    "constructor/a",
    "targetless/a",
  ]
) {
  Deno.test(`parseTarget() refuses "${text.slice(0, 30)}" and says what is supported`, () => {
    assert.throws(() => parseTarget(text), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, "TARGET_INVALID");
      assert.equal(error.exitCode, 2);
      assert.match(error.hint ?? "", /supported: pod\/NAME/);
      return true;
    });
  });
}
