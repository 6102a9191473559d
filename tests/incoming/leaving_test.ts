/** Clients of the target while a run ends: what its program has not answered, the target's own does. */
import assert from "node:assert/strict";
import { LocalServer, type RunOptions, whoAnswers } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();

const FILTER = { feature: { network: { incoming: { mode: "steal", http_filter: { path_filter: "." } } } } };
const KINDS: Readonly<Record<string, RunOptions>> = {
  "whole": { flags: ["--steal"] },
  "by a filter, looked at on its way": { configuration: FILTER },
  "by a filter, redirected": { configuration: FILTER, env: { MIRRORD_AGENT_PACKET_QUEUE: "false" } },
};

/** Takes a request on each connection and never answers it. */
const SILENT = `
import socket
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
kept = []
while True:
    connection, _ = listener.accept()
    kept.append(connection)
    while not connection.recv(65536).endswith(b"\\r\\n\\r\\n"): pass
    print("heard", flush=True)`;

/** Each ends a run in a way of its own. */
const ENDS: Readonly<Record<string, (server: LocalServer) => void>> = {
  "its program is killed": (server) => server.kill("SIGKILL"),
  "its program is interrupted": (server) => server.kill("SIGINT"),
  "its intproxy is killed": (server) => Deno.kill(server.processes().intproxy, "SIGKILL"),
};

for (const [kind, options] of Object.entries(KINDS)) {
  for (const [how, end] of Object.entries(ENDS)) {
    testUnless(REASON, `a request that was stolen ${kind} is answered by the target when ${how}`, async () => {
      await using sandbox = await startSandbox();
      await using server = await LocalServer.start(sandbox, ["python3", "-c", SILENT], options);
      assert.equal(await server.line(), "listening");
      const asking = [whoAnswers(sandbox, "http://127.0.0.1/1"), whoAnswers(sandbox, "http://127.0.0.1/2")];
      assert.deepEqual([await server.line(), await server.line()], ["heard", "heard"]);
      end(server);
      assert.deepEqual(await Promise.all(asking), ["target", "target"]);
    });
  }
}
