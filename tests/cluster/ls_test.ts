import assert from "node:assert/strict";
import { clusterTest } from "./namespace.ts";
import { deployment, endingPod, pod } from "./objects.ts";

clusterTest("mirrord ls lists what can be a target", async (namespace, test) => {
  const script = "exec sleep 1000";
  await namespace.apply(
    deployment({ name: "web", script }),
    deployment({ name: "asleep", script }, 0),
    pod({ name: "db", script, others: ["beside"] }),
    pod({ name: "agent", script, labels: { app: "mirrord" } }),
    endingPod("ended", 1),
  );
  await namespace.kubectl("rollout", "status", "deployment/web", "--timeout", "300s");
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/db", "pod/agent", "--timeout", "300s");
  await namespace.phase("ended", "Failed");
  const { stdout: json, stderr } = await namespace.mirrord(["ls"]);
  const paths: string[] = JSON.parse(json);

  await test.step("deployments that run and pods that are ready, as JSON, without agents", () => {
    assert.deepEqual(paths.map((it) => it.replace(/web-[a-z0-9-]+$/, "web-*")), [
      "deployment/web",
      "pod/db/container/app",
      "pod/db/container/beside",
      "pod/web-*",
    ], stderr);
  });
  await test.step("of one type, as names", async () => {
    const { stdout } = await namespace.mirrord(["ls", "--type", "deployment", "-o", "name"]);
    assert.equal(stdout, "deployment/web\n");
  });
  await test.step("of all namespaces, as a table", async () => {
    const { stdout } = await namespace.mirrord(["ls", "-A", "-o", "table"]);
    const rows = stdout.trimEnd().split("\n").map((it) => it.split(/ +/));
    assert.deepEqual(rows[0], ["NAMESPACE", "TARGET"]);
    const ours = rows.filter(([name]) => name === namespace.name).map(([, path]) => path!);
    assert.deepEqual(ours.sort(), paths.toSorted());
  });
  await test.step("nothing, where nothing runs", async () => {
    assert.equal((await namespace.mirrord(["ls", "-n", "no-such-namespace"])).stdout, "[]\n");
  });
  await test.step("a target of the list is one for exec", async () => {
    const { stdout, stderr } = await namespace.exec(["-t", paths[0]!, "--", "hostname"]);
    assert.match(stdout, /^web-/, stderr);
  });
  await test.step("who may not list is told so", async () => {
    const kubeconfig = await namespace.user("nobody");
    const { code, stdout, stderr } = await namespace.mirrord(["ls", "--kubeconfig", kubeconfig, "-t", "pod"]);
    assert.match(stderr, /^error: Cannot list pods in namespace .*cannot list resource "pods"/);
    assert.match(stderr, /can-i list pods .*KUBE_FORBIDDEN/);
    assert.deepEqual({ code, stdout }, { code: 125, stdout: "" });
  });
});
