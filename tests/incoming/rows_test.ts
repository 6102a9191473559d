/** What users of this field rely on for incoming traffic, row by row: keep-alive under a mirror, several runs, IPv6, flushing. */
import assert from "node:assert/strict";
import { askThere, LocalServer, SERVER, startServer, tablesOf, whoAnswers } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const METHODS = ["GET", "POST", "PUT", "DELETE"];

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(whyNotBuilt() ?? whyNoSandbox(), name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

// Row E19
test("of two connections with two requests each, the target answers four and the program sees four", async (sandbox) => {
  await using server = await startServer(sandbox);
  for (const connection of [1, 2]) {
    const urls = [1, 2].map((request) => `http://127.0.0.1/${connection}/${request}`);
    const written = await sandbox.inNetwork(["curl", "-sS", "-w", "\n%{num_connects}\n", ...urls]);
    const lines = written.trim().split("\n");
    assert.deepEqual([lines[1], lines[3]], ["1", "0"]); // the second went by the first's connection
    assert.equal(written.match(/"hostname":"sandbox/g)?.length, 2);
  }
  const seen = [await server.line(), await server.line(), await server.line(), await server.line()];
  assert.deepEqual(seen.sort(), ["served GET /1/1", "served GET /1/2", "served GET /2/1", "served GET /2/2"]);
  server.kill("SIGTERM");
  await assert.rejects(server.line(), /has ended/); // and no fifth
});

/** Says an HTTP request on one connection each time it is told to; prints who answered, or that the connection broke. */
const OLD_PEER = `
import socket, sys
peer = socket.create_connection(("127.0.0.1", 80))
for line in sys.stdin:
    try:
        peer.sendall(b"GET /old HTTP/1.1\\r\\nHost: x\\r\\nX-User: me\\r\\n\\r\\n")
        got = peer.recv(65536)
        print("target" if b"sandbox" in got else "broken" if got == b"" else "local", flush=True)
    except OSError: print("broken", flush=True)`;

class OldPeer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(sandbox: Sandbox) {
    const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", OLD_PEER];
    this.#child = new Deno.Command("nsenter", { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async ask(): Promise<string> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n"));
    writer.releaseLock();
    // Python may write a line and its end apart.
    let line = "";
    for (let part = await this.#lines.read(); !part.done; part = await this.#lines.read()) {
      line += part.value;
      if (line.endsWith("\n")) break;
    }
    return line.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#lines.cancel();
    await this.#child.status;
  }
}

// Row E20
test("two mirrors and a filtered stealer share a port, and a connection from before comes anew", async (sandbox) => {
  await using old = new OldPeer(sandbox);
  assert.equal(await old.ask(), "target");
  await using first = await startServer(sandbox, { label: "first" });
  await using second = await startServer(sandbox, { label: "second" });
  const incoming = { mode: "steal", http_filter: { header_filter: "^x-user: me" } };
  await using _thief = await startServer(sandbox, {
    configuration: { feature: { network: { incoming } } },
    label: "thief",
  });
  // Mirrors copy what passes, and have none.
  assert.equal((await tablesOf(sandbox)).length, 1);
  assert.equal(await old.ask(), "broken");
  assert.equal(await whoAnswers(sandbox, "-H", "X-User: me", "http://127.0.0.1/mine"), "thief");
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/other"), "target");
  for (const mirror of [first, second]) {
    assert.deepEqual([await mirror.line(), await mirror.line()], ["served GET /mine", "served GET /other"]);
  }
});

// Row E42
test("with connections flushed at the start, all methods are answered by the program", async (sandbox) => {
  await using old = new OldPeer(sandbox);
  assert.equal(await old.ask(), "target");
  const configuration = { agent: { flush_connections: true } };
  await using _server = await startServer(sandbox, { flags: ["--steal"], configuration });
  assert.equal(await old.ask(), "broken");
  for (const method of METHODS) {
    const told = await askThere(sandbox, "-X", method, "-d", method, "http://127.0.0.1/");
    assert.deepEqual([told["by"], told["method"], told["body"]], ["local", method, method]);
  }
});

const SIX = "fd00:6d::1";

// Row E40
for (const how of ["stolen", "mirrored"] as const) {
  test(`IPv6 traffic is ${how}, and the target is reached over IPv6`, async (sandbox) => {
    await sandbox.inNetwork(["ip", "address", "add", `${SIX}/128`, "dev", "lo", "nodad"]);
    const flags = how === "stolen" ? ["--steal"] : [];
    // A server of the target's own for IPv6, found by mirrors.
    const command = ["python3", SERVER, "::", "7080", "target"];
    const args = ["--target", String(sandbox.pid), "--net", "--", ...command];
    const own = new Deno.Command("nsenter", { args, stdout: "piped" }).spawn();
    const output = own.stdout.getReader();
    try {
      await output.read();
      await using server = await startServer(sandbox, { flags, host: "::", port: 7080 });
      for (const method of METHODS) {
        const told = await askThere(sandbox, "-g", "-X", method, "-d", method, `http://[${SIX}]:7080/${method}`);
        assert.equal(told["by"], how === "stolen" ? "local" : "target");
        if (how === "stolen") {
          assert.deepEqual([told["peer"], told["getsockname"]], [[SIX, told["peer"]![1 as never]], [SIX, 7080]]);
        }
        assert.equal(await server.line(), `served ${method} /${method}`);
      }
      const script = `
import urllib.request
print(urllib.request.urlopen("http://[${SIX}]:7080/out").read().decode())`;
      await using asking = await LocalServer.start(sandbox, ["python3", "-c", script]);
      assert.match(await asking.line(), how === "stolen" ? /"by": "local"/ : /"by": "target"/);
    } finally {
      own.kill("SIGKILL");
      await output.cancel();
      await own.status;
    }
  });
}
