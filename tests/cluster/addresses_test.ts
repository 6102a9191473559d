import assert from "node:assert/strict";
import { exec } from "../support/mirrord.ts";
import { builtProgram } from "../support/sandbox_case.ts";
import { clusterTest } from "./namespace.ts";
import { pod } from "./objects.ts";

clusterTest("a program sees the pod's own addresses and its name servers", async (namespace) => {
  await namespace.apply(pod({ name: "web", script: "exec sleep 1000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const podIp = await namespace.kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}");
  const run = async (command: string[]) => {
    const ended = await exec(["-t", "pod/web", "--", ...command], { env: namespace.environment });
    assert.equal(ended.stderr, "");
    return ended.stdout;
  };
  const interfaces = await run([await builtProgram("difference/programs/interfaces.c")]);
  assert.match(interfaces, new RegExp(`^eth0 .*address 2 ${podIp.trim().replaceAll(".", "\\.")} `, "m"));
  const resolver = await run([await builtProgram("shim/apps/resolver.c"), "__res_init"]);
  assert.match(
    resolver,
    /^__res_init 0, 1 servers \S+:53 ndots 5 .* search \S+\.svc\.cluster\.local svc\.cluster\.local/,
  );
});
