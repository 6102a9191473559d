/** Commands beside `exec`, on a cluster: reverse port-forward, dump, ext, JSON of lists; Jobs that stay for their logs. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free_port.ts";
import { assertFits } from "../support/json_schema.ts";
import { spawnMirrord } from "../support/mirrord.ts";
import { clusterTest, type Namespace } from "./namespace.ts";
import { deployment, pod } from "./objects.ts";

const SCRIPT = "mkdir /www; echo from the pod > /www/index.html; exec httpd -f -p 80 -h /www";

interface Running extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
  printed(): string;
  complained(): string;
}

/** A command that goes on, until it is disposed. */
function running(namespace: Namespace, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawnMirrord(args, { env: { ...namespace.environment, MIRRORD_PROGRESS_MODE: "off", ...env } });
  const said = ["", ""];
  const listening = [child.stdout, child.stderr].map(async (stream, at) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) said[at] += text;
  });
  return {
    child,
    printed: () => said[0]!,
    complained: () => said[1]!,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      await Promise.all(listening);
      await child.stdin.close().catch(() => {});
    },
  };
}

/** A pod that serves on port 80, says so, and is asked for its health there. */
async function startWeb(namespace: Namespace): Promise<void> {
  const web = pod({ name: "web", script: SCRIPT }) as { spec: { containers: Record<string, unknown>[] } };
  Object.assign(web.spec.containers[0]!, {
    ports: [{ name: "http", containerPort: 80 }],
    // No pod is restarted because it has little to run on.
    livenessProbe: { httpGet: { path: "/index.html", port: "http" }, timeoutSeconds: 60, failureThreshold: 100 },
  });
  await namespace.apply(web);
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
}

/** Not wget: a static busybox cannot look up names, and crashes when it tries. */
async function ask(namespace: Namespace, path: string): Promise<string> {
  const request = `printf 'GET ${path} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' | nc -w 60 127.0.0.1 80`;
  const answer = await namespace.kubectl("exec", "web", "--", "sh", "-c", request);
  return answer.split("\r\n\r\n")[1] ?? "";
}

clusterTest("port-forward -R, dump and ext act for a pod, and leave no agent", async (namespace, test) => {
  await startWeb(namespace);
  await test.step("port-forward -R --steal answers here, and gives the port back", async () => {
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("here"));
    const args = ["port-forward", "-t", "pod/web", "-R", `80:${server.addr.port}`, "--steal"];
    await using it = running(namespace, args);
    await eventually(() => it.printed().includes("stolen for"));
    assert.equal(await ask(namespace, "/index.html"), "here");
    it.child.kill("SIGINT");
    assert.equal((await it.child.status).code, 130);
    // Our end is the agent's soon after.
    await eventually(async () => await ask(namespace, "/index.html") === "from the pod\n");
  });
  await test.step("dump watches the ports of the pod's spec", async () => {
    await using it = running(namespace, ["dump", "-t", "pod/web", "-o", "json"]);
    await eventually(() => it.printed().includes('"ready"'));
    assert.equal(await ask(namespace, "/index.html"), "from the pod\n");
    await eventually(() => it.printed().includes("GET /index.html"));
    it.child.kill("SIGINT");
    assert.equal((await it.child.status).code, 130);
    const lines = it.printed().trim().split("\n").map((line) => JSON.parse(line));
    for (const line of lines) await assertFits("dump", line);
    assert.deepEqual(lines[0], { type: "ready", ports: [80] });
    assert.match(lines.find((line) => line.text)!.text, /^GET \/index.html HTTP/);
  });
  await test.step("ext prepares what an editor starts", async () => {
    await using it = running(namespace, ["ext", "-t", "pod/web"]);
    await eventually(() => /"FinishedTask","name":"mirrord preparing to launch"/.test(it.printed()));
    const lines = it.printed().trim().split("\n").map((line) => JSON.parse(line));
    const { environment } = JSON.parse(lines.at(-1).message);
    const program = new Deno.Command("cat", { args: ["/www/index.html"], env: environment });
    assert.equal(new TextDecoder().decode((await program.output()).stdout), "from the pod\n");
    it.child.kill("SIGTERM");
    assert.equal((await it.child.status).code, 0);
  });
  await namespace.noAgents();
});

clusterTest(
  "dump by a container in the pod watches what listens there, but for the agent itself",
  async (namespace) => {
    await namespace.apply(pod({ name: "web", script: SCRIPT.replace("-p 80", "-p 127.0.0.1:8080") }));
    await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
    await using it = running(namespace, ["dump", "-t", "pod/web", "-e"]);
    await eventually(() => it.complained().includes("watching"));
    assert.equal(it.complained(), "watching port 8080 of the target\n");
  },
);

clusterTest("up finds the deployments of its services, each by its name", async (namespace) => {
  await namespace.apply(deployment({ name: "shop", script: "echo shop > /name; exec sleep 100000" }));
  await namespace.apply(deployment({ name: "cart", script: "echo cart > /name; exec sleep 100000" }));
  await namespace.kubectl("wait", "--for=condition=Available", "deployment", "--all", "--timeout", "300s");
  const file = `${namespace.folder}/mirrord-up.yaml`;
  const run = "run: { command: [cat, /name] }";
  await Deno.writeTextFile(file, `services: { shop: { ${run} }, cart: { ${run} } }`);
  const { code, stdout, stderr } = await namespace.mirrord(["up", "-f", file]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.trim().split("\n").sort(), ["cart | cart", "shop | shop"]);
  await Deno.writeTextFile(file, `services: { none: { ${run} } }`);
  const none = await namespace.mirrord(["up", "-f", file]);
  assert.match(none.stderr, /Cannot run service "none": nothing of this name is in namespace "mirrord-test-\w+"/);
  assert.equal(none.code, 125);
  await namespace.noAgents();
});

clusterTest("who steals a port that the cluster asks for health is warned", async (namespace) => {
  await startWeb(namespace);
  const env = { MIRRORD_PROGRESS_MODE: "dumb" };
  const { code, stderr } = await namespace.exec(["-t", "pod/web", "--steal", "true"], { env });
  assert.equal(code, 0);
  assert.match(
    stderr,
    /^warning: the target's liveness probe \(GET \/index.html at port 80\) is stolen whole if your program listens on port 80:/m,
  );
  const filtered = { ...env, MIRRORD_HTTP_HEADER_FILTER: "^x-user: ann$" };
  const other = await namespace.exec(["-t", "pod/web", "--steal", "true"], { env: filtered });
  assert.doesNotMatch(other.stderr, /probe/);
});

clusterTest("--agent-ttl keeps the agent's Job for its log, and no longer", async (namespace) => {
  await startWeb(namespace);
  const { code } = await namespace.exec(["-t", "pod/web", "--agent-ttl", "20", "cat", "/www/index.html"]);
  assert.equal(code, 0);
  let log = "";
  await eventually(async () => {
    log = await namespace.kubectl("logs", "-l", "app=mirrord", "--tail=-1");
    return log.includes("the agent leaves");
  });
  assert.match(log, /Ready on 127\.0\.0\.1:\d+/);
  await namespace.noAgents();
  await using it = running(namespace, [
    "port-forward",
    "-t",
    "pod/web",
    "--agent-ttl",
    "20",
    "-L",
    `${freePort()}:localhost:80`,
  ]);
  await eventually(() => it.printed().includes("leads to"));
  it.child.kill("SIGINT");
  await it.child.status;
  await eventually(async () => (await namespace.kubectl("logs", "-l", "app=mirrord")).includes("the agent leaves"));
  await namespace.noAgents();
});

clusterTest("lists as JSON fit their schemas", async (namespace) => {
  await startWeb(namespace);
  for (const flags of [[], ["-A"], ["-t", "pod"]]) {
    const { code, stdout, stderr } = await namespace.mirrord(["ls", "-o", "json", ...flags]);
    assert.deepEqual([code, stderr], [0, ""]);
    await assertFits("ls", JSON.parse(stdout));
  }
  const rich = await namespace.mirrord(["ls", "-o", "json"], { env: { MIRRORD_LS_RICH_OUTPUT: "true" } });
  await assertFits("ls_rich", JSON.parse(rich.stdout));
  const { code, stdout, stderr } = await namespace.mirrord(["ls", "-o", "json", "-n", "no-such-namespace-9"]);
  if (code !== 0) await assertFits("error", JSON.parse(stderr));
  else assert.equal(stdout, "[]\n");
});
