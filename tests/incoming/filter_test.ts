/** Stolen and mirrored by filter: requests of one connection that go different ways. */
import assert from "node:assert/strict";
import { LocalServer, type RunOptions, startServer, tablesOf, whoAnswers } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

function filtered(http_filter: Record<string, unknown>, mode = "steal"): RunOptions {
  return { configuration: { feature: { network: { incoming: { mode, http_filter } } } } };
}

/** Sends bytes in the sandbox, says no more once what has come matches `enough`, and prints all that has come in the end. */
const TALK = `
import re, socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
peer.settimeout(60)
for text in sys.argv[4:]:
    peer.sendall(text.encode().decode("unicode_escape").encode("latin1"))
got = b""
while (data := peer.recv(65536)):
    got += data
    if re.search(sys.argv[3].encode(), got, re.S): break
try:
    peer.shutdown(socket.SHUT_WR)
    while (data := peer.recv(65536)): got += data
except OSError: pass
sys.stdout.write(got.decode("latin1"))`;

function talk(sandbox: Sandbox, port: number, enough: string, ...texts: string[]): Promise<string> {
  return sandbox.inNetwork(["python3", "-c", TALK, sandbox.address, String(port), enough, ...texts]);
}

const BOTH = ["http://127.0.0.1/", "http://127.0.0.1/"];

// Rows E45, E48, L41
test("requests whose header matches are stolen, all others are the target's, on one connection", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ header_filter: "^x-user: (ann|bob)$" }));
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "target");
  assert.equal(await whoAnswers(sandbox, "-H", "X-User: Ann", "http://127.0.0.1/"), "local");
  assert.equal(await whoAnswers(sandbox, "-H", "X-User: Anna", "http://127.0.0.1/"), "target");
  const mine = ["-H", "X-User: bob", BOTH[0]!, "--next", "-sS"];
  const text = await sandbox.inNetwork(["curl", "-sS", BOTH[1]!, "--next", "-sS", ...mine, BOTH[0]!, "-v"]);
  assert.deepEqual(text.match(/"by": "local"|"hostname":"sandbox/g), [
    '"hostname":"sandbox',
    '"by": "local"',
    '"hostname":"sandbox',
  ]);
});

test("a header matches however many blanks stand around its value, on its way or relayed", async (sandbox) => {
  const header = "^x-user: ann$";
  const relayed = { any_of: [{ header }, { body: "json", query: "$.a", matches: "^b$" }] };
  for (const filter of [{ header_filter: header }, relayed]) {
    await using _server = await startServer(sandbox, filtered(filter));
    for (const line of ["X-User:ann", "X-User:  ann", "X-User:\tann \t", "X-User: ann"]) {
      assert.equal(await whoAnswers(sandbox, "-H", line, "http://127.0.0.1/"), "local", JSON.stringify(line));
    }
    assert.equal(await whoAnswers(sandbox, "-H", "X-User:annex", "http://127.0.0.1/"), "target");
  }
});

test("requests that match are stolen of a port that nobody in the target listens on", async (sandbox) => {
  const options = { ...filtered({ header_filter: "^x-user: ann$", ports: [8087] }), port: 8087 };
  await using _server = await startServer(sandbox, options);
  assert.equal(await whoAnswers(sandbox, "-H", "X-User: ann", "http://127.0.0.1:8087/"), "local");
});

// Rows E46, L41
test("paths, methods, all_of and any_of", async (sandbox) => {
  const cases: [Record<string, unknown>, string[], string][] = [
    [{ path_filter: "^/api/" }, ["http://127.0.0.1/api/x"], "local"],
    [{ path_filter: "^/api/" }, ["http://127.0.0.1/other"], "target"],
    [{ path_filter: "[?]debug=1$" }, ["http://127.0.0.1/other?debug=1"], "local"],
    [{ method_filter: "^post$" }, ["-d", "x", "http://127.0.0.1/"], "local"],
    [{ method_filter: "^post$" }, ["http://127.0.0.1/"], "target"],
    [{ all_of: [{ path: "^/a" }, { header: "^x: 1" }] }, ["http://127.0.0.1/a"], "target"],
    [{ all_of: [{ path: "^/a" }, { header: "^x: 1" }] }, ["-H", "X: 1", "http://127.0.0.1/a"], "local"],
    [{ any_of: [{ path: "^/a" }, { header: "^x: 1" }] }, ["http://127.0.0.1/a"], "local"],
  ];
  for (const [filter, args, who] of cases) {
    await using _server = await startServer(sandbox, filtered(filter));
    assert.equal(await whoAnswers(sandbox, ...args), who, JSON.stringify([filter, args]));
  }
});

test("a filter of the environment is one of the file's, and a method that matches goes by its header too", async (sandbox) => {
  const env = { MIRRORD_HTTP_HEADER_FILTER: "^x-user: ann$" };
  await using _server = await startServer(sandbox, { flags: ["--steal"], env });
  for (const method of ["GET", "POST", "PUT", "DELETE"]) {
    const asked = ["-X", method, "http://127.0.0.1/"];
    assert.equal(await whoAnswers(sandbox, "-H", "X-User: ann", ...asked), "local");
    assert.equal(await whoAnswers(sandbox, ...asked), "target");
  }
});

test("several filtered runs share a port, the oldest that matches first, beside one that takes the rest", async (sandbox) => {
  await using _first = await startServer(sandbox, { ...filtered({ header_filter: "^to: .*a" }), label: "a" });
  await using _second = await startServer(sandbox, { ...filtered({ header_filter: "^to: .*b" }), label: "b" });
  assert.equal((await tablesOf(sandbox)).length, 2);
  const to = (name: string) => whoAnswers(sandbox, "-H", `To: ${name}`, "http://127.0.0.1/");
  assert.deepEqual([await to("a"), await to("b"), await to("ab"), await to("c")], ["a", "b", "a", "target"]);
  await using _rest = await startServer(sandbox, { flags: ["--steal"], label: "rest" });
  assert.deepEqual([await to("a"), await to("b"), await to("c")], ["a", "b", "rest"]);
});

/** Asks for a on several connections and for c on one, until c is answered by "rest" and twenty times more; says who answered each. */
const CROWD = `
import json, socket, threading, time
def ask(to):
    try:
        with socket.create_connection(("127.0.0.1", 80), 20) as peer:
            peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nTo: %s\\r\\n\\r\\n" % to)
            got = b""
            while more := peer.recv(65536): got += more
        who[to.decode()].add(json.loads(got.split(b"\\r\\n\\r\\n", 1)[1]).get("by", "target"))
    except (OSError, IndexError): pass # nobody has answered
def keep_asking():
    while more: ask(b"a")
who, more = {"a": set(), "c": set()}, 20
crowd = [threading.Thread(target=keep_asking) for _ in range(4)]
for it in crowd: it.start()
last = time.monotonic() + 60
while more and time.monotonic() < last:
    ask(b"c")
    more -= "rest" in who["c"]
more = 0
for it in crowd: it.join()
print(json.dumps({to: sorted(names) for to, names in who.items()}), end="")`;

for (const isQueued of [false, true]) {
  const how = isQueued ? "looked at on its way" : "redirected";
  test(`who begins to steal a whole port never gets what is another run's: ${how}`, async (sandbox) => {
    const env = { MIRRORD_AGENT_PACKET_QUEUE: String(isQueued) };
    await using _first = await startServer(sandbox, { ...filtered({ header_filter: "^to: a" }), env, label: "a" });
    const asking = sandbox.inNetwork(["python3", "-c", CROWD]);
    // A connection that stands would be reset.
    const configuration = { agent: { flush_connections: false } };
    await using _rest = await startServer(sandbox, { flags: ["--steal"], env, configuration, label: "rest" });
    assert.equal(await asking, '{"a": ["a"], "c": ["rest", "target"]}');
  });
}

test("a mirror with a filter sees what matches, and the target answers all", async (sandbox) => {
  await using server = await startServer(sandbox, filtered({ path_filter: "^/yes" }, "mirror"));
  for (const path of ["/no", "/yes/1", "/no", "/yes/2"]) {
    assert.equal(await whoAnswers(sandbox, `http://127.0.0.1${path}`), "target");
  }
  assert.deepEqual([await server.line(), await server.line()], ["served GET /yes/1", "served GET /yes/2"]);
});

test("what is no HTTP passes to the target untouched, also when the server speaks first", async (sandbox) => {
  const options = filtered({ path_filter: "." });
  await using _echo = await startServer(sandbox, { ...options, port: 7000 });
  assert.equal(await talk(sandbox, 7000, "hello", "\\x16\\x03\\x01 hello"), "\x16\x03\x01 hello");
  assert.equal(
    await talk(sandbox, 7000, "sm\r\n\r\n$", "PRI * HTTP/2.0\\r\\n\\r\\nsm\\r\\n\\r\\n"),
    "PRI * HTTP/2.0\r\n\r\nsm\r\n\r\n",
  );
});

test("chunked bodies, Expect and pipelined requests reach the program and the target byte for byte", async (sandbox) => {
  const script = `
import socket
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
connection, _ = listener.accept()
got = b""
while not got.endswith(b"END"): got += connection.recv(65536)
connection.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nabc\\r\\n0\\r\\nT: 1\\r\\n\\r\\n")
print(repr(got), flush=True)
connection.recv(1)`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], filtered({ path_filter: "^/mine" }));
  assert.equal(await server.line(), "listening");
  const mine = "POST /mine HTTP/1.1\\r\\nHost:x\\r\\nExpect: 100-continue\\r\\nContent-Length: 6\\r\\n\\r\\nabcEND";
  const other =
    "POST /other HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3;e=1\\r\\nxyz\\r\\n0\\r\\n\\r\\n";
  const first = "GET /other HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n";
  const text = await talk(sandbox, 80, `T: 1\r\n.*"/other".*"/other".*}}}$`, first + mine + first + other);
  assert.deepEqual(text.match(/"path":"\/other"|HTTP\/1.1 100 Continue|3\r\nabc\r\n0\r\nT: 1\r\n\r\n/g), [
    '"path":"/other"',
    "HTTP/1.1 100 Continue",
    "3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    '"path":"/other"',
    '"path":"/other"',
  ]);
  const request = "POST /mine HTTP/1.1\\r\\nHost:x\\r\\nExpect: 100-continue\\r\\nContent-Length: 6\\r\\n\\r\\nabcEND";
  assert.equal(await server.line(), `b'${request}'`);
});

test("an upgraded connection belongs to who answered it", async (sandbox) => {
  const script = `
import socket
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
connection, _ = listener.accept()
got = b""
while not got.endswith(b"\\r\\n\\r\\n"): got += connection.recv(65536)
connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n\\r\\n")
while (data := connection.recv(65536)): connection.sendall(b"<" + data + b">")`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], filtered({ path_filter: "^/ws" }));
  assert.equal(await server.line(), "listening");
  const request = "GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n\\r\\n";
  assert.match(
    await talk(sandbox, 80, ">", request, "GET / HTTP/1.1"),
    /^HTTP\/1.1 101 .*\r\n\r\n<GET \/ HTTP\/1.1>$/s,
  );
});

/** A server of the target's own that goes over to an echo when it is asked to. */
const UPGRADING = `
import socket
listener = socket.create_server(("0.0.0.0", 8070))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    got = b""
    while not got.endswith(b"\\r\\n\\r\\n"): got += connection.recv(65536)
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n\\r\\n")
    while (data := connection.recv(65536)): connection.sendall(b"<" + data + b">")
    connection.close()`;

// Row E51
test("an upgrade that does not match is the target's, and what matches afterwards is stolen", async (sandbox) => {
  const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", UPGRADING];
  const target = new Deno.Command("nsenter", { args, stdin: "null", stdout: "piped" }).spawn();
  const lines = target.stdout.getReader();
  try {
    await lines.read();
    await using _server = await startServer(sandbox, { ...filtered({ header_filter: "^x-user: ann$" }), port: 8070 });
    const request = "GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n\\r\\n";
    assert.match(await talk(sandbox, 8070, ">", request, "X-User: ann"), /^HTTP\/1.1 101 .*\r\n\r\n<X-User: ann>$/s);
    const url = "http://127.0.0.1:8070/";
    assert.equal(await whoAnswers(sandbox, "-X", "DELETE", "-H", "X-User: ann", url), "local");
  } finally {
    target.kill("SIGKILL");
    await lines.cancel();
    await target.status;
  }
});

test("a head of 64 kB and a body of 20 MB are passed on", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ header_filter: "^last: 1" }));
  const big = "X".repeat(60_000);
  assert.equal(await whoAnswers(sandbox, "-H", `Big: ${big}`, "-H", "Last: 1", "http://127.0.0.1/"), "local");
  const size = 20 << 20;
  const command =
    `head -c ${size} /dev/zero | tr '\\0' x | curl -sS -H 'Last: 1' --data-binary @- http://127.0.0.1/ | wc -c`;
  assert.ok(Number(await sandbox.inNetwork(["sh", "-c", command])) > size);
});
