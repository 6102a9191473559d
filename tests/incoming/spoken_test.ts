/** Ports with filters whose target speaks first, speaks two protocols, or is not there for a while. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { LocalServer, type RunOptions } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const PORT = 7004;
const MINE: RunOptions = {
  configuration: { feature: { network: { incoming: { mode: "steal", http_filter: { path_filter: "^/mine" } } } } },
};

function whyNoNode(): string | undefined {
  try {
    Deno.statSync("/usr/bin/node");
  } catch {
    return "needs node";
  }
}

const REASON = whyNotBuilt() ?? whyNoSandbox() ?? whyNoNode();

/** Answers with its name, its path and the port of its peer, over HTTP/2 or over what comes. */
const server = (kind: "http2" | "both", name: string) => [
  "node",
  "-e",
  `
const [http, http2, net] = ["http", "http2", "net"].map((it) => require(it));
const answer = (request, response) => response.end(["${name}", request.url, request.socket.remotePort].join(" "));
const two = http2.createServer(answer);
const one = http.createServer(answer);
const both = net.createServer((socket) => socket.once("readable", () => {
  socket.on("error", () => {});
  const bytes = socket.read();
  if (bytes === null) return socket.destroy();
  socket.unshift(bytes);
  (bytes.toString("latin1").startsWith("PRI ") ? two : one).emit("connection", socket);
}));
for (const it of [two, one, both]) it.on("error", () => {}).on("sessionError", () => {}).on("clientError", (_, it) => it.destroy());
(${kind === "both" ? "both" : "two"}).listen(${PORT}, "::", () => console.log("up"));`,
];

/** So many connections of HTTP/2 at once; what each of their streams was answered. */
function askHttp2(sandbox: Sandbox, connections: number, paths: readonly string[]): Promise<string> {
  return sandbox.inNetwork([
    "node",
    "-e",
    `
const http2 = require("http2");
const ask = (session, path) => new Promise((done) => {
  const stream = session.request({ ":path": path });
  let text = "";
  stream.setEncoding("utf8").on("data", (it) => text += it).on("end", () => done(text)).on("error", (it) => done(String(it)));
});
(async () => {
  const all = await Promise.all(Array.from({ length: ${connections} }, async () => {
    const session = http2.connect("http://127.0.0.1:${PORT}");
    session.on("error", () => {});
    const said = await Promise.all(${JSON.stringify(paths)}.map((it) => ask(session, it)));
    session.close();
    return said.map((it) => it.split(" ").slice(0, 2).join(" ")).join(", ");
  }));
  console.log([...new Set(all)].join("\\n"));
})();`,
  ]);
}

function askHttp1(sandbox: Sandbox, path: string): Promise<string> {
  return sandbox.inNetwork(["curl", "-sS", "--max-time", "20", `http://127.0.0.1:${PORT}${path}`]);
}

/** A program of the target's own. */
class Own implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  static async start(sandbox: Sandbox, kind: "http2" | "both"): Promise<Own> {
    const args = ["--target", String(sandbox.pid), "--net", "--", ...server(kind, "target")];
    const child = new Deno.Command("nsenter", { args, stdout: "piped" }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    return new Own(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has gone by itself.
    }
    await this.#child.status;
  }
}

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

async function serve(sandbox: Sandbox, kind: "http2" | "both"): Promise<LocalServer> {
  const local = await LocalServer.start(sandbox, server(kind, "local"), MINE);
  assert.equal(await local.line(), "up");
  return local;
}

const PATHS = ["/mine/1", "/other/1", "/mine/2"];
const WANTED = "local /mine/1, target /other/1, local /mine/2\n";

test("the very first connections of HTTP/2 to a server that speaks first go by streams", async (sandbox) => {
  await using _own = await Own.start(sandbox, "http2");
  await using _local = await serve(sandbox, "http2");
  assert.equal(await askHttp2(sandbox, 20, PATHS), WANTED);
  assert.equal(await askHttp2(sandbox, 20, PATHS), WANTED);
});

test("a server that speaks HTTP/1 and HTTP/2 on one port is filtered in both", async (sandbox) => {
  await using _own = await Own.start(sandbox, "both");
  await using _local = await serve(sandbox, "both");
  for (let turn = 0; turn < 2; turn++) {
    assert.match(await askHttp1(sandbox, "/other"), /^target \/other \d+$/);
    assert.match(await askHttp1(sandbox, "/mine"), /^local \/mine \d+$/);
    assert.equal(await askHttp2(sandbox, 10, PATHS), WANTED);
  }
});

test("while the target's program is away, requests of the run's are answered; then it has its own again", async (sandbox) => {
  const own = await Own.start(sandbox, "both");
  await using _local = await serve(sandbox, "both");
  assert.match(await askHttp1(sandbox, "/other"), /^target/);
  await own[Symbol.asyncDispose]();
  assert.match(await askHttp1(sandbox, "/mine"), /^local \/mine/);
  assert.match(await askHttp1(sandbox, "/mine"), /^local \/mine/);
  await using _again = await Own.start(sandbox, "both");
  assert.match(await askHttp1(sandbox, "/other"), /^target/);
  // And nobody is in between any more.
  await eventually(async () => {
    const args = ["-sS", "-w", " %{local_port}", `http://127.0.0.1:${PORT}/other`];
    const [, , seen, own] = (await sandbox.inNetwork(["curl", ...args])).split(" ");
    return seen === own;
  });
});
