/** gRPC through a filter: calls of one channel that go different ways, with the clients and servers of Node and of Python. */
import assert from "node:assert/strict";
import { LocalServer } from "../support/incoming.ts";
import type { Sandbox } from "../support/sandbox.ts";
import { sandboxTest } from "../support/sandbox_case.ts";
import { PYTHON, WEB_ENVIRONMENT, whyNoNodeWeb, whyNoPythonGrpc } from "./packages.ts";

const HERE = new URL("./", import.meta.url).pathname;
const PORT = "50051";
const WAITS = await whyNoNodeWeb() ?? await whyNoPythonGrpc();
const CONFIGURATION = {
  feature: { network: { incoming: { mode: "steal", http_filter: { header_filter: "^x-user: ann$" } } } },
};

const LANGUAGES = {
  Node: { server: ["/usr/bin/node", `${HERE}local/grpc.cjs`], client: ["/usr/bin/node", `${HERE}clients/grpc.cjs`] },
  Python: { server: [PYTHON, `${HERE}local/grpc_server.py`], client: [PYTHON, `${HERE}clients/grpc_client.py`] },
} as const;
type Language = keyof typeof LANGUAGES;

function there(sandbox: Sandbox, command: readonly string[], stdout: "piped"): Deno.ChildProcess {
  const args = ["--target", String(sandbox.pid), "--net", "--", ...command];
  return new Deno.Command("nsenter", { args, env: WEB_ENVIRONMENT, stdin: "null", stdout }).spawn();
}

async function call(sandbox: Sandbox, language: Language, ...users: string[]): Promise<Record<string, string>[]> {
  const child = there(sandbox, [...LANGUAGES[language].client, `127.0.0.1:${PORT}`, ...users], "piped");
  const said = await new Response(child.stdout).text();
  await child.status;
  return JSON.parse(said);
}

function expected(label: string): Record<string, string> {
  return {
    unary: `${label} hello by ${label}`,
    fail: `error 3 ${label} says no`,
    big: `${label} ${3 << 20} by ${label}`,
    count: `1000 ${label} 999`,
    sum: `${label} 499500`,
    talk: `100 turns, ${label} 99`,
    slow: label,
  };
}

for (const [client, server] of [["Node", "Python"], ["Python", "Node"]] as const) {
  // Row E47
  sandboxTest(`calls of a ${client} client go to a ${server} server of the user's, or to the target's`, {
    waits: WAITS!,
  }, async ({ sandbox }) => {
    const target = there(sandbox, [...LANGUAGES[client].server, PORT, "target"], "piped");
    const lines = target.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      assert.match((await lines.read()).value!, /^listening/);
      assert.deepEqual(await call(sandbox, client, "ann", "-"), [expected("target"), expected("target")]);
      const command = [...LANGUAGES[server].server, PORT, "local"];
      await using local = await LocalServer.start(sandbox, command, {
        configuration: CONFIGURATION,
        env: WEB_ENVIRONMENT,
      });
      assert.equal(await local.line(), "listening");
      assert.deepEqual(await call(sandbox, client, "ann", "-", "ann"), [
        expected("local"),
        expected("target"),
        expected("local"),
      ]);
      // Those that were taken back are known to be.
      assert.deepEqual([await local.line(), await local.line()], ["cancelled", "cancelled"]);
    } finally {
      target.kill("SIGKILL");
      await lines.cancel();
      await target.status;
    }
  });
}
