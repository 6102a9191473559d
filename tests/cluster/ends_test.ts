import assert from "node:assert/strict";
import { endOf, spawnMirrord } from "../support/mirrord.ts";
import { clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

/** A run of a shell that does `first`, says that it has begun, and goes on with `script`. */
async function start(namespace: Namespace, script: string, first = ":"): Promise<Deno.ChildProcess> {
  const begun = `${namespace.folder}/begun`;
  await Deno.remove(begun).catch(() => {});
  const run = namespace.spawn(["--target", "pod/web", "--", "sh", "-c", `${first}; echo > ${begun}; ${script}`]);
  const hasBegun = eventually(async () => (await Deno.stat(begun)).isFile).then(() => true);
  const hasEnded = run.status.then(() => false);
  if (await Promise.race([hasBegun, hasEnded])) return run;
  throw new Error(`It ended before it began: ${(await stopped(run)).stderr}`);
}

/** Of this session's intproxy, among all processes. */
async function intproxyOf(program: number): Promise<number> {
  const environ = await Deno.readTextFile(`/proc/${program}/environ`);
  const directory = /MIRRORD_SESSION_DIR=([^\0]+)/.exec(environ)![1]!;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (!command.includes("intproxy")) continue;
    const told = await Deno.readTextFile(`/proc/${name}/environ`).catch(() => "");
    if (told.includes(directory)) return Number(name);
  }
  throw new Error("there is no intproxy");
}

function endByTerm(run: Deno.ChildProcess): void {
  try {
    run.kill("SIGTERM");
  } catch {
    // It has failed before.
  }
}

async function stopped(run: Deno.ChildProcess) {
  await run.stdin.close().catch(() => {});
  return await endOf(run);
}

clusterTest("a run leaves nothing behind, however it ends", async (namespace, test) => {
  await namespace.apply(pod({ name: "web", script: "exec sleep 100000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");

  await test.step("the program is killed by SIGKILL: the agent leaves and its Job is gone", async () => {
    const run = await start(namespace, "cat");
    assert.equal((await namespace.agentPods()).length, 1);
    run.kill("SIGKILL");
    assert.equal((await stopped(run)).signal, "SIGKILL");
    await namespace.noAgents();
  });
  await test.step("Ctrl-C: the program gets it, and the run is over", async () => {
    const run = await start(namespace, "while :; do sleep 0.1; done", "trap 'echo caught; exit 3' INT");
    run.kill("SIGINT");
    const { code, stdout } = await stopped(run);
    assert.deepEqual([code, stdout], [3, "caught\n"]);
    await namespace.noAgents();
  });
  await test.step("SIGTERM while the agent starts: the Job is removed", async () => {
    const run = namespace.spawn(["--agent-image", "docker.io/local/busybox:1", "--target", "pod/web", "--", "true"]);
    await eventually(async () => (await namespace.kubectl("get", "jobs", "--output", "name")) !== "").catch(() => {});
    endByTerm(run);
    const { code } = await stopped(run);
    assert.notEqual(code, 0);
    await namespace.noAgents();
  });
  await test.step("Ctrl-C at every step of the start: nothing stays behind, and nobody waits long for it", async () => {
    const steps = [
      "looking for pod",
      "creating the agent",
      "agent job mirrord-agent",
      "agent pod",
      "reaching the agent",
    ];
    for (const words of steps) {
      const env = { ...namespace.environment, MIRRORD_PROGRESS_MODE: "json" };
      const run = spawnMirrord(["exec", "--target", "pod/web", "--", "sleep", "1000"], { env });
      let said = "";
      const reading = (async () => {
        for await (const text of run.stderr.pipeThrough(new TextDecoderStream())) {
          if (!said.includes(words) && (said + text).includes(words)) run.kill("SIGINT");
          said += text;
        }
      })();
      await run.stdin.close();
      const [{ code }] = await Promise.all([run.status, reading, run.stdout.cancel()]);
      assert.equal(code, 130, `${words}: ${said}`);
      assert.ok(said.includes(words), said);
    }
    await namespace.noAgents();
  });
  await test.step("the intproxy is killed: the program ends, the agent leaves", async () => {
    const run = await start(namespace, "while cat /etc/hostname; do sleep 0.1; done");
    Deno.kill(await intproxyOf(run.pid), "SIGKILL");
    await stopped(run);
    await namespace.noAgents();
  });
  await test.step("the agent's pod is deleted: the program is ended with one clear message", async () => {
    const run = await start(namespace, "cat");
    const [agent] = await namespace.agentPods();
    await namespace.kubectl("delete", agent!, "--grace-period=0", "--force", "--wait=false");
    const { code, stderr } = await endOf(run);
    assert.notEqual(code, 0);
    assert.match(
      stderr.trim(),
      /^mirrord: the connection to the agent is lost \(.*\); ending the program$/,
    );
    await run.stdin.close().catch(() => {});
    await namespace.noAgents();
  });
});
