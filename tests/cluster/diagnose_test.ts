import assert from "node:assert/strict";
import { assertFits } from "../support/json_schema.ts";
import { clusterTest } from "./namespace.ts";
import { pod } from "./objects.ts";

clusterTest("mirrord diagnose measures the way to the agent and names what is missing", async (namespace, test) => {
  await namespace.apply(pod({ name: "web", script: "exec sleep 100000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const diagnose = async (...args: string[]) => await namespace.mirrord(["diagnose", "-t", "pod/web", ...args]);
  await test.step("as JSON", async () => {
    const { code, stdout, stderr } = await diagnose("-o", "json", "--rounds", "50");
    assert.equal(code, 0, stderr);
    const { here, api, rights, agent, error } = JSON.parse(stdout);
    await assertFits("diagnose", JSON.parse(stdout));
    assert.deepEqual(
      agent.features.filter((it: { isThere: boolean }) => !it.isThere).map((it: { name: string }) => it.name),
      ["files as the target's root writes them (DAC_OVERRIDE, CHOWN, FOWNER, FSETID)"],
    );
    assert.equal(error, undefined);
    assert.equal(here.kernel, agent.kernel, "the node of the tests' cluster is this machine");
    assert.match(api.version, /^v1\./);
    assert.ok(rights.every((it: { isAllowed: boolean }) => it.isAllowed));
    const { rounds, p50, p90, p99, max } = agent.roundTripMs;
    assert.equal(rounds, 50);
    assert.ok(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max);
  });
  await test.step("as text, in the target's pod", async () => {
    const { code, stdout, stderr } = await diagnose("latency", "-e");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^agent +pod web in namespace mirrord-test-/m);
    assert.match(stdout, /^ {2}✓ patch pods\/ephemeralcontainers in mirrord-test-/m);
  });
  await test.step("for somebody without rights", async () => {
    const kubeconfig = await namespace.user("nobody");
    const { code, stdout, stderr } = await diagnose("--kubeconfig", kubeconfig);
    assert.equal(code, 125);
    assert.match(stdout, /^ {2}x get pods in mirrord-test-\w+: missing$/m);
    assert.match(stdout, /^ {2}x list events in \S+: missing, so why an agent does not start may be told late$/m);
    assert.match(stderr, /^error: Cannot get pods "web" in namespace/);
  });
  await namespace.noAgents();
});
