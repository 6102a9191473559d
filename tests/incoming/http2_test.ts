/** Stolen by filter over HTTP/2: streams of one connection that go different ways. The target's own server is the sandbox's. */
import assert from "node:assert/strict";
import { LocalServer, type RunOptions } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const PROGRAM = new URL("./programs/http2_server.mjs", import.meta.url).pathname;

function whyNo(...paths: string[]): string | undefined {
  for (const path of paths) {
    try {
      Deno.statSync(path);
    } catch {
      return `needs ${path}`;
    }
  }
}

const REASON = whyNotBuilt() ?? whyNoSandbox() ?? whyNo("/usr/bin/node");

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

function filtered(http_filter: Record<string, unknown>, mode = "steal"): RunOptions {
  return { configuration: { feature: { network: { incoming: { mode, http_filter } } } } };
}

async function startServer(sandbox: Sandbox, options: RunOptions): Promise<LocalServer> {
  const server = await LocalServer.start(sandbox, ["node", PROGRAM, "80", "local"], options);
  assert.equal(await server.line(), "listening");
  return server;
}

const CLIENT = new URL("./programs/http2_client.mjs", import.meta.url).pathname;

interface Answer {
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly trailers: Readonly<Record<string, string>>;
  readonly code: number;
  readonly error?: string;
}

/** All at once, on one connection of Node's. */
async function ask(sandbox: Sandbox, ...requests: Readonly<Record<string, unknown>>[]): Promise<Answer[]> {
  const list = requests.map((it) => JSON.stringify(it));
  return JSON.parse(await sandbox.inNetwork(["node", CLIENT, "http://127.0.0.1", ...list]));
}

function who({ status, text }: Answer): string {
  return status === 200 ? JSON.parse(text).by ?? "target" : `${status}: ${text}`;
}

// Row E47
test("streams whose header matches are stolen, all others are the target's, on one connection", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ header_filter: "^x-user: ann$" }));
  const mine = { ":path": "/mine", "x-user": "Ann" };
  const other = { ":path": "/other", "x-user": "Anna" };
  const answers = await ask(sandbox, other, mine, other, mine, mine, other);
  assert.deepEqual(answers.map(who), ["target", "local", "target", "local", "local", "target"]);
});
