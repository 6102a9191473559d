/** mirrord inside a pod, with no kubeconfig: it takes the pod's own service account, and that account's rights. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { VERSION } from "../../src/cli/version.ts";
import { defaultAgentImage } from "../../src/kube/image.ts";
import { clusterTest, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

const IMAGE = Deno.env.get("MIRRORD_TEST_AGENT_IMAGE") || defaultAgentImage(VERSION);
const DOC = new URL("../../docs/rbac.md", import.meta.url);
const ROLES = [...Deno.readTextFileSync(DOC).matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => parse(text!));

/** What `mirrord ARGS` says in a pod of its own; the image has mirrord in it and nothing else to run but its runtime. */
async function inPod(
  namespace: Namespace,
  name: string,
  args: readonly string[],
): Promise<{ code: number; log: string }> {
  await namespace.apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      serviceAccountName: "runner",
      containers: [{
        name: "mirrord",
        image: IMAGE,
        command: ["/usr/bin/mirrord", ...args],
        env: [
          { name: "HOME", value: "/tmp" },
          { name: "MIRRORD_AGENT_IMAGE", value: IMAGE },
          { name: "MIRRORD_PROGRESS_MODE", value: "dumb" },
        ],
      }],
    },
  });
  const { status } = await namespace.until(
    async () => JSON.parse(await namespace.kubectl("get", "pod", name, "--output", "json")),
    ({ status }) => ["Succeeded", "Failed"].includes(status.phase),
  );
  const log = await namespace.kubectl("logs", name);
  return { code: status.containerStatuses[0].state.terminated.exitCode, log };
}

clusterTest("mirrord in a pod has the rights of its service account, and its namespace", async (namespace, test) => {
  await namespace.apply(
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "runner" } },
    ...ROLES,
    pod({ name: "web", script: "exec sleep 100000" }),
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  await test.step("without any it is told which are missing, and in which namespace", async () => {
    const { code, log } = await inPod(namespace, "nobody", ["exec", "-t", "pod/web", "--", "/usr/bin/mirrord"]);
    assert.equal(code, 125, log);
    assert.match(log, /User "system:serviceaccount:mirrord-test-\w+:runner" cannot get resource "pods"/);
    assert.match(log, /hint: missing in namespace "mirrord-test-\w+": get pods, create jobs\.batch/);
  });
  for (const role of ["mirrord-targets", "mirrord-agents"]) await namespace.grant("runner", role);
  await test.step("with them it lists", async () => {
    const { code, log } = await inPod(namespace, "lists", ["ls", "--output", "name"]);
    assert.equal(code, 0, log);
    assert.match(log, /^pod\/web$/m);
  });
  await test.step("and runs a program in a target's context", async () => {
    const program = ["/usr/bin/mirrord.runtime/mirrord", "eval", "console.log(`at ${Deno.hostname()}`)"];
    const { code, log } = await inPod(namespace, "runs", ["exec", "-t", "pod/web", "--", ...program]);
    assert.equal(code, 0, log);
    assert.match(log, /^at web$/m);
  });
  await namespace.noAgents();
});
