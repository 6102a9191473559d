/** `mirrord agent` as the image starts it: ready, silent on standard output, gone on a signal or when nobody comes. */
import assert from "node:assert/strict";
import { freePort } from "../support/free_port.ts";
import { endOf, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();
const SECRET = { MIRRORD_AGENT_SECRET_SHA256: "ab".repeat(32) };

testUnless(REASON, "an agent that listens says so in its log and leaves on SIGTERM with 0", async () => {
  const port = freePort();
  const child = spawnMirrord(["agent", "--targetless", "--listen", String(port)], { env: SECRET });
  const reader = child.stderr.getReader();
  const { value } = await reader.read();
  assert.match(new TextDecoder().decode(value), new RegExp(`Ready on 127\\.0\\.0\\.1:${port} for no target`));
  reader.releaseLock();
  child.kill("SIGTERM");
  await child.stdin.close();
  const { code, stdout } = await endOf(child);
  assert.deepEqual({ code, stdout }, { code: 0, stdout: "" });
});

testUnless(REASON, "an agent to which nobody comes leaves by itself", async () => {
  const args = ["agent", "--targetless", "--listen", String(freePort()), "--communication-timeout", "1"];
  const child = spawnMirrord(args, { env: SECRET });
  await child.stdin.close();
  const { code, stderr } = await endOf(child);
  assert.equal(code, 0, stderr);
});

testUnless(REASON, "an agent whose port is taken says which", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const child = spawnMirrord(["agent", "--targetless", "--listen", String(listener.addr.port)], { env: SECRET });
  await child.stdin.close();
  const { code, stderr } = await endOf(child);
  assert.match(stderr, new RegExp(`Cannot listen on 127\\.0\\.0\\.1:${listener.addr.port}: `));
  assert.equal(code, 125);
});

testUnless(REASON, "an agent whose target does not exist says so", async () => {
  const child = spawnMirrord(["agent", "--pid", "4194303", "--stdio"]);
  await child.stdin.close();
  const { code, stderr } = await endOf(child);
  assert.match(stderr, /Cannot use process 4194303 as the target: no such process/);
  assert.equal(code, 125);
});
