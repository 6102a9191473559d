/** Stolen by filter over HTTP/2: streams of one connection that go different ways. The target's own server is the sandbox's. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { LocalServer, type RunOptions, startServer as startHttp1Server } from "../support/incoming.ts";
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

async function startServer(sandbox: Sandbox, options: RunOptions, label = "local"): Promise<LocalServer> {
  const server = await LocalServer.start(sandbox, ["node", PROGRAM, "80", label], options);
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

// Row E47
test("paths, methods and the host that HTTP/1 would name", async (sandbox) => {
  const any_of = [
    { path: "^/api/" },
    { path: "[?]debug=1$" },
    { method: "^put$" },
    { header: "^host: h[.]example$" },
  ];
  await using _server = await startServer(sandbox, filtered({ any_of }));
  const cases: [Record<string, string>, string][] = [
    [{ ":path": "/api/x" }, "local"],
    [{ ":path": "/other" }, "target"],
    [{ ":path": "/other?debug=1" }, "local"],
    [{ ":method": "PUT" }, "local"],
    [{ ":authority": "h.example" }, "local"],
    [{}, "target"],
  ];
  const answers = await ask(sandbox, ...cases.map(([request]) => request));
  assert.deepEqual(answers.map(who), cases.map(([, whose]) => whose));
});

// Row E47
test("all_of is about one stream at a time", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ all_of: [{ path: "^/a" }, { header: "^x: 1" }] }));
  const answers = await ask(sandbox, { ":path": "/a" }, { x: "1" }, { ":path": "/a", x: "1" });
  assert.deepEqual(answers.map(who), ["target", "target", "local"]);
});

test("bodies of 20 MB both ways, fields of 60 kB and trailers reach the program, beside a stream that nobody answers", async (sandbox) => {
  await using server = await startServer(sandbox, filtered({ header_filter: "^x-user: ann$" }));
  const mine = { "x-user": "ann", ":method": "POST" };
  const silent = new Deno.Command("nsenter", {
    args: ["--target", `${sandbox.pid}`, "--net", "--", "node", CLIENT, "http://127.0.0.1", silentRequest],
    stdout: "null",
  }).spawn();
  const [big, told, pushed, other] = await ask(
    sandbox,
    { ...mine, ":path": "/big" },
    { ...mine, ":path": "/all", body: "0123456789".repeat(1 << 10), times: 2 << 10, "x-big": "x".repeat(60_000) },
    { ...mine, ":path": "/push" },
    { ":path": "/other" },
  );
  assert.equal(big!.text.length, 20 << 20, `${big!.status} ${big!.code} ${big!.error}`);
  const seen = JSON.parse(told!.text);
  assert.deepEqual([seen.by, seen.bytes, seen.asked["x-big"].length], ["local", 20 << 20, 60_000]);
  assert.deepEqual({ ...told!.trailers }, { "x-last": `${20 << 20} bytes` });
  assert.equal(JSON.parse(pushed!.text).mayPush, false);
  assert.equal(who(other!), "target");
  silent.kill("SIGKILL");
  await silent.status;
  for (let line = ""; line !== "aborted /slow"; line = await server.line());
});

const silentRequest = JSON.stringify({ ":path": "/slow", "x-user": "ann" });

test("what the program breaks off, and a program that leaves its connection, are the stream's matter alone", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ header_filter: "^x-user: ann$" }));
  const mine = { "x-user": "ann" };
  const [reset, left, other] = await ask(
    sandbox,
    { ...mine, ":path": "/reset" },
    { ...mine, ":path": "/leave" },
    { ":path": "/other" },
  );
  const ENHANCE_YOUR_CALM = 11;
  assert.equal(reset!.code, ENHANCE_YOUR_CALM);
  assert.deepEqual([who(left!), who(other!)], ["local", "target"]);
});

test("a program that speaks HTTP/1 alone is said to, where its streams are asked for, and the rest is the target's", async (sandbox) => {
  await using _server = await startHttp1Server(sandbox, filtered({ header_filter: "^x-user: ann$" }));
  const grpc = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
  const [mine, call, other] = await ask(sandbox, { "x-user": "ann" }, { "x-user": "ann", ...grpc }, {});
  assert.equal(who(mine!), "502: mirrord: the program that should answer does not speak HTTP/2\n");
  assert.deepEqual([call!.status, call!.headers["grpc-status"]], [200, "14"]);
  assert.match(call!.headers["grpc-message"]!, /does not speak HTTP\/2/);
  assert.equal(who(other!), "target");
});

test("several filtered runs share the streams of a connection, beside one that takes the rest", async (sandbox) => {
  await using _first = await startServer(sandbox, filtered({ header_filter: "^to: .*a" }), "a");
  await using _second = await startServer(sandbox, filtered({ header_filter: "^to: .*b" }), "b");
  const requests = ["a", "b", "ab", "c"].map((to) => ({ to }));
  assert.deepEqual((await ask(sandbox, ...requests)).map(who), ["a", "b", "a", "target"]);
  await using _rest = await startServer(sandbox, { flags: ["--steal"] }, "rest");
  assert.deepEqual((await ask(sandbox, ...requests)).map(who), ["a", "b", "a", "rest"]);
});

test("a filter of bodies takes what its path leads to, in pieces or not, and nothing too long, too late or of gRPC", async (sandbox) => {
  const body_filter = { body: "json", query: "$.user.name", matches: "^ann$" };
  const network = { incoming: { mode: "steal", http_filter: { body_filter } } };
  const agent = { max_body_buffer_size: 1000, max_body_buffer_timeout: 500 };
  await using _server = await startServer(sandbox, { configuration: { feature: { network }, agent } });
  const post = { ":method": "POST", body: JSON.stringify({ user: { name: "Ann" } }) };
  const requests: [Record<string, unknown>, string][] = [
    [post, "local"],
    [{ ...post, ":method": "PUT", pieces: 5 }, "local"],
    [{ ...post, body: '{"user": {"name": "bob"}}' }, "target"],
    [{ ...post, body: "no JSON" }, "target"],
    [{ ...post, body: post.body + " ".repeat(1000), pieces: 3 }, "target"],
    [{ ...post, pieces: 2, pauseMs: 1000 }, "target"],
    [{ ...post, "content-type": "application/grpc" }, "target"],
    [{}, "target"],
  ];
  const answers = await ask(sandbox, ...requests.map(([request]) => request));
  assert.deepEqual(answers.map(who), requests.map(([, whose]) => whose));
  assert.deepEqual(answers.slice(0, 2).map((it) => JSON.parse(it.text).bytes), [post.body.length, post.body.length]);
});

test("filters of bodies in all_of and any_of, of two runs on one port, find each its streams", async (sandbox) => {
  const body = (matches: string) => ({ body: "json", query: "$..id", matches });
  const first = { all_of: [{ path: "^/users" }, body("^7$")] };
  const second = { any_of: [{ header: "^x: 1" }, body("^(7|8)$")] };
  await using _first = await startServer(sandbox, filtered(first), "first");
  await using _second = await startServer(sandbox, filtered(second), "second");
  const put = (path: string, id: number, more = {}) => ({
    ":method": "PUT",
    ":path": path,
    body: `{"a": {"id": ${id}}}`,
    ...more,
  });
  const answers = await ask(
    sandbox,
    put("/users", 7),
    put("/other", 7),
    put("/users", 8),
    put("/users", 9),
    put("/users", 9, { x: "1" }),
    { x: "1" },
  );
  assert.deepEqual(answers.map(who), ["first", "second", "second", "target", "second", "second"]);
});

test("answers say which way they came when they are asked to", async (sandbox) => {
  const network = { incoming: { mode: "steal", http_filter: { header_filter: "^x: 1" } } };
  const configuration = { feature: { network }, agent: { inject_headers: true } };
  await using _server = await startServer(sandbox, { configuration });
  const answers = await ask(sandbox, { x: "1" }, {}, { x: "1" });
  const uncached = "no-cache, no-store, must-revalidate";
  assert.deepEqual(answers.map((it) => [who(it), it.headers["mirrord-agent"], it.headers["cache-control"]]), [
    ["local", "forwarded-to-client", uncached],
    ["target", "passed-through", undefined],
    ["local", "forwarded-to-client", uncached],
  ]);
});

test("a mirror with a filter is told the streams that match, and the target answers all", async (sandbox) => {
  await using server = await startServer(sandbox, filtered({ path_filter: "^/yes" }, "mirror"));
  const paths = ["/no", "/yes/1", "/no", "/yes/2"];
  const answers = await ask(sandbox, ...paths.map((path) => ({ ":path": path, ":method": "PUT", body: "x" })));
  assert.deepEqual(answers.map(who), ["target", "target", "target", "target"]);
  assert.deepEqual([await server.line(), await server.line()].sort(), ["served PUT /yes/1", "served PUT /yes/2"]);
});

for (const [method, status] of [["GET", 200], ["POST", 502]] as const) {
  test(`when the run ends, what it has not answered is the target's, but for what it may have begun with: ${method}`, async (sandbox) => {
    await using server = await startServer(sandbox, filtered({ header_filter: "^x-user: ann$" }));
    const [answer] = await ask(sandbox, { ":path": "/exit", ":method": method, "x-user": "ann" });
    assert.equal(answer!.status, status);
    if (method === "GET") assert.equal(who(answer!), "target");
    await server.exitCode();
    await eventually(async () => who((await ask(sandbox, { "x-user": "ann" }))[0]!) === "target");
  });
}

test("who offers to go over to HTTP/2 by Upgrade stays with HTTP/1.1, and each of its requests goes its own way", async (sandbox) => {
  await using _server = await startHttp1Server(sandbox, filtered({ header_filter: "^x-user: ann$" }));
  const url = "http://127.0.0.1/";
  const mine = ["--next", "-sS", "--http2", "-H", "X-User: ann", url];
  const text = await sandbox.inNetwork(["curl", "-sS", "--http2", url, ...mine, "--next", "-sS", "--http2", url]);
  assert.deepEqual(text.match(/"by": "local"|"hostname":"sandbox/g), [
    '"hostname":"sandbox',
    '"by": "local"',
    '"hostname":"sandbox',
  ]);
  // The sandbox's server tells the fields that it got.
  assert.doesNotMatch(text, /http2-settings|h2c/i);
});

testUnless(
  REASON ?? whyNo("/usr/bin/h2load"),
  "5 000 streams of 20 connections miss no answer, on either side",
  async () => {
    await using sandbox = await startSandbox();
    await using server = await startServer(sandbox, filtered({ header_filter: "^x-user: ann$" }));
    const load = ["h2load", "-n", "5000", "-c", "20", "-m", "20"];
    const target = await sandbox.inNetwork([...load, "http://127.0.0.1/"]);
    const mine = sandbox.inNetwork([...load, "-H", "x-user: ann", "http://127.0.0.1/"]);
    for (let at = 0; at < 5000; at++) await server.line();
    for (const said of [target, await mine]) assert.match(said, /status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx/);
  },
);
