import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { spawnMirrord } from "../support/mirrord.ts";
import { clusterTest } from "./namespace.ts";
import { pod } from "./objects.ts";

const SERVER = "mkdir /www; echo hello from the pod > /www/index.html; exec httpd -f -p 127.0.0.1:9000 -h /www";

clusterTest("mirrord port-forward reaches the pod's own loopback, and Ctrl-C leaves no agent", async (namespace) => {
  await namespace.apply(pod({ name: "web", script: SERVER }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const args = ["port-forward", "-t", "pod/web", "-L", `${port}:localhost:9000`];
  const child = spawnMirrord(args, { env: { ...namespace.environment, MIRRORD_PROGRESS_MODE: "off" } });
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const errors = new Response(child.stderr).text();
  try {
    const { value = "" } = await output.read();
    assert.match(value, /leads to localhost:9000 of the target/, value === "" ? await errors : "");
    let text = "";
    await eventually(async () => {
      text = await (await fetch(`http://127.0.0.1:${port}/`)).text();
      return true;
    });
    assert.equal(text, "hello from the pod\n");
    child.kill("SIGINT");
    const { code, signal } = await child.status;
    assert.deepEqual({ code, signal }, { code: 130, signal: null });
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
    await output.cancel();
    await child.stdin.close().catch(() => {});
    await errors;
  }
  await namespace.noAgents();
});
