/** HTTPS on ports with a filter: nobody of ours has the keys, so it passes to the target, and no time is spent on finding that out. */
import assert from "node:assert/strict";
import { SERVER_CERT, SERVER_KEY, TEST_CA } from "../support/certificates.ts";
import { startServer } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const PORT = 8443;
const PROGRAM = new URL("./programs/tls_server.ts", import.meta.url).pathname;

/** Resolves when it listens. */
async function startTarget(sandbox: Sandbox): Promise<AsyncDisposable> {
  const own = [Deno.execPath(), "run", "-A", "--quiet", "--no-config", PROGRAM, String(PORT)];
  const args = ["--target", String(sandbox.pid), "--net", "--", ...own];
  const env = { CERT: SERVER_CERT, KEY: SERVER_KEY };
  const child = new Deno.Command("nsenter", { args, env, stdout: "piped" }).spawn();
  const lines = child.stdout.getReader();
  await lines.read();
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await lines.cancel();
      await child.status;
    },
  };
}

for (const isQueued of [false, true]) {
  const how = isQueued ? "is looked at on its way" : "is redirected";
  testUnless(REASON, `HTTPS to a filtered port that ${how} is the target's, HTTP/2 as it was offered`, async () => {
    await using sandbox = await startSandbox();
    await using _target = await startTarget(sandbox);
    const ca = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(ca, TEST_CA);
      // Who waited for that would not be answered in time.
      const agent = { http_detection_timeout: 600 };
      const incoming = { mode: "steal", http_filter: { path_filter: "/" } };
      const env = { MIRRORD_AGENT_PACKET_QUEUE: String(isQueued) };
      await using _server = await startServer(sandbox, {
        configuration: { agent, feature: { network: { incoming } } },
        env,
        port: PORT,
      });
      const ask = (...args: string[]) =>
        sandbox.inNetwork([
          ...["curl", "-sS", "--max-time", "30", "--cacert", ca, "-w", " HTTP/%{http_version}\n"],
          ...[...args, `https://127.0.0.1:${PORT}/some`],
        ]);
      assert.equal(await ask("--http2"), "GET /some 0 HTTP/2\n");
      assert.equal(await ask("--http1.1"), "GET /some 0 HTTP/1.1\n");
      const body = "x".repeat(100_000);
      assert.equal(await ask("--http2", "--data", body), "POST /some 100000 HTTP/2\n");
    } finally {
      await Deno.remove(ca);
    }
  });
}
