/** Incoming connections of a pod, stolen and mirrored for a program of this machine. */
import assert from "node:assert/strict";
import { SERVER } from "../support/incoming.ts";
import { endOf, spawnMirrord } from "../support/mirrord.ts";
import { clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

const WEB = "mkdir -p /srv; echo target > /srv/index.html; exec httpd -f -p 80 -h /srv";

async function setUp(namespace: Namespace): Promise<() => Promise<string>> {
  await namespace.apply(pod({ name: "web", script: WEB }), pod({ name: "peer", script: "exec sleep 1000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/peer", "--timeout", "300s");
  const ip = await namespace.kubectl("get", "pod", "web", "--output", "jsonpath={.status.podIP}");
  // Not wget: a static busybox cannot look up names, and crashes when it tries.
  const request = "printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 60 $0 80";
  return async () => {
    const text = await namespace.kubectl("exec", "peer", "--", "sh", "-c", request, ip);
    return text.includes('"by": "local"') ? "local" : text.trim().split("\n").at(-1)!;
  };
}

/** It must be there still. */
async function endNow(run: Deno.ChildProcess, complaint: Promise<string>): Promise<void> {
  try {
    run.kill("SIGKILL");
  } catch {
    const { code, signal } = await run.status;
    assert.fail(`The run has ended by itself (${signal ?? code}): ${await complaint}`);
  }
  await run.status;
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
      await endNow(run, complaint);
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

clusterTest(
  "when the target's pod is deleted while it is stolen from, the run ends with a sentence",
  async (namespace) => {
    const ask = await setUp(namespace);
    const run = namespace.spawn(["--target", "pod/web", "--steal", "--", "python3", SERVER, "0.0.0.0", "80", "local"]);
    const output = run.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const complaint = new Response(run.stderr).text();
    try {
      assert.match((await output.read()).value ?? "", /^listening/);
      assert.equal(await ask(), "local");
      await namespace.kubectl("delete", "pod", "web", "--grace-period=0", "--force");
      assert.notEqual((await run.status).code, 0);
      assert.match(await complaint, /^mirrord: .*(the target|the agent)/m);
    } finally {
      await output.cancel();
      await run.stdin.close().catch(() => {});
    }
    await namespace.noAgents();
  },
);

clusterTest(
  "runs from several machines share a pod; a second that takes a whole port is told by whom it is taken",
  async (namespace) => {
    const ask = await setUp(namespace);
    const spawned: Deno.ChildProcess[] = [];
    /** As somebody else would, on a machine of another name. */
    const start = (who: string, flags: readonly string[]) => {
      const program = ["python3", SERVER, "0.0.0.0", "80", who];
      const env = { ...namespace.environment, USER: who, MIRRORD_PROGRESS_MODE: "off" };
      const child = spawnMirrord(["exec", "--target", "pod/web", ...flags, "--", ...program], { env });
      spawned.push(child);
      return child;
    };
    const listening = async (child: Deno.ChildProcess) => {
      const reader = child.stdout.getReader();
      const { value } = await reader.read();
      reader.releaseLock();
      assert.match(new TextDecoder().decode(value), /^listening/);
    };
    try {
      await listening(start("ann", ["--steal"]));
      await listening(start("bob", []));
      const third = start("eve", ["--steal"]);
      const { stderr, code } = await endOf(third);
      assert.notEqual(code, 0);
      assert.match(stderr, /mirrord: port 80 of the target is stolen already, by ann@\S+ since 20.* UTC/);
      assert.match(await ask(), /local|"by": "ann"/);
    } finally {
      for (const child of spawned) {
        try {
          child.kill("SIGKILL");
        } catch {
          // It has ended by itself.
        }
        await child.status;
        await child.stdin.close().catch(() => {});
        if (!child.stdout.locked) await child.stdout.cancel().catch(() => {});
        if (!child.stderr.locked) await child.stderr.cancel().catch(() => {});
      }
    }
    await namespace.noAgents();
  },
);
