import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { formatTarget, parseTarget } from "./target.ts";

for (
  const { text, target } of [
    { text: "targetless", target: { kind: "targetless" } },
    { text: "pod/web-1", target: { kind: "pod", name: "web-1", container: undefined } },
    { text: "pod/web-1/container/app", target: { kind: "pod", name: "web-1", container: "app" } },
    { text: "deployment/web.v2", target: { kind: "deployment", name: "web.v2", container: undefined } },
    { text: "statefulset/db", target: { kind: "statefulset", name: "db", container: undefined } },
    { text: "label/app=web", target: { kind: "label", name: "app=web", container: undefined } },
    {
      text: "label/app.kubernetes.io/name=web,tier=/container/app",
      target: { kind: "label", name: "app.kubernetes.io/name=web,tier=", container: "app" },
    },
    { text: "process/4711", target: { kind: "process", pid: 4711 } },
  ]
) {
  Deno.test(`parseTarget() reads "${text}", formatTarget() writes it`, () => {
    assert.deepEqual(parseTarget(text), target);
    assert.equal(formatTarget(parseTarget(text)), text);
  });
}

for (
  const [short, kind] of [
    ["po", "pod"],
    ["deploy", "deployment"],
    ["deployments", "deployment"],
    ["sts", "statefulset"],
    ["rs", "replicaset"],
    ["ds", "daemonset"],
    ["jobs", "job"],
    ["cj", "cronjob"],
    ["svc", "service"],
    ["ro", "rollout"],
    ["Deployment", "deployment"],
  ] as const
) {
  Deno.test(`parseTarget() takes "${short}" for "${kind}", as kubectl does`, () => {
    assert.equal(formatTarget(parseTarget(`${short}/web/container/app`)), `${kind}/web/container/app`);
  });
}

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
    "constructor/a",
    "label/",
    "label/app",
    "label/=web",
    "label/app=web,",
    "label/app=web=x",
    "label/app=we b",
    "label/a b=web",
    "label/app=web/container/",
    "label/app=web/container/A",
    "deployment/\u0000\u001b[31m",
    `pod/${"ä".repeat(1000)}`,
    "targetless/a",
  ]
) {
  Deno.test(`parseTarget() refuses ${JSON.stringify(text.slice(0, 30))} and says what is supported`, () => {
    assert.throws(() => parseTarget(text), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, "TARGET_INVALID");
      assert.equal(error.exitCode, 2);
      assert.match(error.hint ?? "", /supported: pod\/NAME/);
      return true;
    });
  });
}

Deno.test("parseTarget() names the kind that was probably meant", () => {
  assert.throws(() => parseTarget("statefullset/db"), /no such kind; did you mean "statefulset"\?/);
});
