/** Incoming connections of a pod, stolen and mirrored for a program of this machine. */
import assert from "node:assert/strict";
import { SERVER } from "../support/incoming.ts";
import { clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

const WEB = "mkdir -p /srv; echo target > /srv/index.html; exec httpd -f -p 80 -h /srv";

async function setUp(namespace: Namespace): Promise<() => Promise<string>> {
  await namespace.apply(pod({ name: "web", script: WEB }), pod({ name: "peer", script: "exec sleep 1000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/peer", "--timeout", "60s");
  const ip = await namespace.kubectl("get", "pod", "web", "--output", "jsonpath={.status.podIP}");
  // Not wget: a static busybox cannot look up names, and crashes when it tries.
  const request = "printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $0 80";
  return async () => {
    const text = await namespace.kubectl("exec", "peer", "--", "sh", "-c", request, ip);
    return text.includes('"by": "local"') ? "local" : text.trim().split("\n").at(-1)!;
  };
}

for (const how of ["--steal", "mirrored"] as const) {
  clusterTest(`a pod's port ${how === "--steal" ? "stolen" : "mirrored"} for a local server`, async (namespace) => {
    const ask = await setUp(namespace);
    assert.equal(await ask(), "target");
    const flags = how === "--steal" ? ["--steal"] : [];
    const run = namespace.spawn(["--target", "pod/web", ...flags, "--", "python3", SERVER, "0.0.0.0", "80", "local"]);
    const output = run.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const complaint = new Response(run.stderr).text();
    try {
      const { value = await complaint } = await output.read();
      assert.match(value, /^listening 0\.0\.0\.0 80/);
      assert.equal(await ask(), how === "--steal" ? "local" : "target");
      assert.match((await output.read()).value ?? "", /served GET \/index.html/);
    } finally {
      run.kill("SIGKILL");
      await run.status;
      await output.cancel();
      await complaint;
      await run.stdin.close().catch(() => {});
    }
    await eventually(async () => await ask() === "target");
    await namespace.noAgents();
  });
}

clusterTest("when the agent's pod is killed, the target's own program answers again", async (namespace) => {
  const ask = await setUp(namespace);
  const run = namespace.spawn(["--target", "pod/web", "--steal", "--", "python3", SERVER, "0.0.0.0", "80", "local"]);
  const output = run.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const complaint = new Response(run.stderr).text();
  try {
    assert.match((await output.read()).value ?? "", /^listening/);
    assert.equal(await ask(), "local");
    const [agent] = await namespace.agentPods();
    await namespace.kubectl("delete", agent!, "--grace-period=0", "--force");
    await eventually(async () => await ask() === "target");
    await run.status;
    assert.match(await complaint, /the connection to the agent is lost/);
  } finally {
    await output.cancel();
    await run.stdin.close().catch(() => {});
  }
});
