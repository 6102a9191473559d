/** Filters of bodies, marked answers, upgrades, slow and odd clients; and connections that change hands again and again. */
import assert from "node:assert/strict";
import { LocalServer, type RunOptions, startServer, whoAnswers } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const URL_80 = "http://127.0.0.1/";

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

function filtered(http_filter: Record<string, unknown>, mode = "steal", agent = {}): RunOptions {
  return { configuration: { agent, feature: { network: { incoming: { mode, http_filter } } } } };
}

/** Runs Python in the sandbox's network; `ask` sends bytes on one connection to port 80 and reads an answer with a length. */
function python(sandbox: Sandbox, script: string): Promise<string> {
  const tools = `
import socket, sys, time
peer = socket.create_connection(("127.0.0.1", 80))
peer.settimeout(60)
rest = b""
def answer():
    global rest
    got = rest
    while b"\\r\\n\\r\\n" not in got:
        more = peer.recv(65536)
        if not more: return got.decode()
        got += more
    head, body = got.split(b"\\r\\n\\r\\n", 1)
    length = next((int(it.split(b":")[1]) for it in head.lower().split(b"\\r\\n") if it.startswith(b"content-length:")), 0)
    while len(body) < length: body += peer.recv(65536)
    rest = body[length:]
    return (head + b"\\r\\n\\r\\n" + body[:length]).decode()
def who(text):
    return "local" if '"by": "local"' in text else "target" if '"sandbox' in text else text
def ask(*pieces):
    for piece in pieces: peer.sendall(piece.encode())
    return who(answer())
`;
  return sandbox.inNetwork(["python3", "-c", tools + script]);
}

test("a filter of bodies takes what its path leads to, whole or in chunks, and nothing too long or too late", async (sandbox) => {
  const body_filter = { body: "json", query: "$.user.name", matches: "^ann$" };
  const agent = { max_body_buffer_size: 100, max_body_buffer_timeout: 500 };
  await using _server = await startServer(sandbox, filtered({ body_filter }, "steal", agent));
  const post = (body: string, ...more: string[]) => whoAnswers(sandbox, ...more, "-d", body, URL_80);
  const ann = JSON.stringify({ user: { name: "Ann" } });
  assert.deepEqual(
    [
      await post(ann),
      // It would wait for longer than whoAnswers does.
      await post(ann, "-H", "Expect: 100-continue", "--expect100-timeout", "60"),
      await post(ann, "-X", "PUT"),
      await post(JSON.stringify({ user: { name: "bob" } })),
      await post("no JSON"),
      await post(JSON.stringify({ user: { name: "ann" }, more: "x".repeat(100) })),
      await whoAnswers(sandbox, URL_80),
    ],
    ["local", "local", "local", "target", "target", "target", "target"],
  );
  const late = await python(
    sandbox,
    `
peer.sendall(b'POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 24\\r\\n\\r\\n{"user": ')
time.sleep(1)
print(ask('{"name": "ann"}'), end="")`,
  );
  assert.equal(late, "target");
});

test("a filter of bodies in all_of looks at the body only when the rest holds", async (sandbox) => {
  const all_of = [{ path: "^/users" }, { body: "json", query: "$..id", matches: "^7$" }];
  await using _server = await startServer(sandbox, filtered({ all_of }));
  const put = (path: string, body: string) => whoAnswers(sandbox, "-d", body, `${URL_80}${path}`);
  assert.deepEqual(
    [await put("users", '{"a": {"id": 7}}'), await put("users", '{"id": 8}'), await put("other", '{"id": 7}')],
    ["local", "target", "target"],
  );
});

test("answers say which way they came when they shall, the run's not to be kept, and else are as they were", async (sandbox) => {
  const headers = (...args: string[]) =>
    sandbox.inNetwork(["curl", "-sS", "-o", "/dev/null", "-D", "-", ...args, URL_80]);
  {
    await using _server = await startServer(
      sandbox,
      filtered({ header_filter: "^x: 1" }, "steal", { inject_headers: true }),
    );
    const ours = await headers("-H", "X: 1");
    assert.match(ours, /^Mirrord-Agent: forwarded-to-client\r$/m);
    assert.match(ours, /^Cache-Control: no-cache, no-store, must-revalidate\r$/m);
    const theirs = await headers();
    assert.match(theirs, /^Mirrord-Agent: passed-through\r$/m);
    assert.doesNotMatch(theirs, /cache/i);
  }
  const agent = { override_cache_control: false };
  await using _server = await startServer(sandbox, filtered({ header_filter: "^x: 1" }, "steal", agent));
  assert.doesNotMatch(await headers("-H", "X: 1") + await headers(), /mirrord|cache/i);
});

// Row E51
test("an upgrade that nobody wants passes to the target, and the next connection's request is stolen", async (sandbox) => {
  const server = `
import socket
listener = socket.create_server(("0.0.0.0", 7002))
print("up", flush=True)
while True:
    connection, _ = listener.accept()
    got = b""
    while not got.endswith(b"\\r\\n\\r\\n"): got += connection.recv(1)
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n\\r\\n")
    while (data := connection.recv(65536)): connection.sendall(b"<" + data + b">")`;
  const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", server];
  const target = new Deno.Command("nsenter", { args, stdout: "piped" }).spawn();
  const output = target.stdout.getReader();
  await output.read();
  try {
    const options = filtered({ method_filter: "^delete$" });
    await using _server = await startServer(sandbox, { ...options, port: 7002 });
    const talk = `
import socket
peer = socket.create_connection(("127.0.0.1", 7002))
peer.sendall(b"GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: echo\\r\\nConnection: upgrade\\r\\n\\r\\n")
got = b""
while not got.endswith(b"\\r\\n\\r\\n"): got += peer.recv(1)
peer.sendall(b"DELETE / HTTP/1.1\\r\\n\\r\\n")
print(peer.recv(100).decode(), end="")`;
    assert.equal(await sandbox.inNetwork(["python3", "-c", talk]), "<DELETE / HTTP/1.1\r\n\r\n>");
    assert.equal(await whoAnswers(sandbox, "-X", "DELETE", "http://127.0.0.1:7002/"), "local");
  } finally {
    await output.cancel();
    target.kill("SIGKILL");
    await target.status;
  }
});

// Row E48
test("a connection changes hands with every request, a byte at a time, pipelined or not", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ path_filter: "^/mine" }));
  const text = await python(
    sandbox,
    `
request = lambda path: "GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % path
print(*[ask(request("/mine" if turn % 2 else "/other")) for turn in range(6)])
print(*[ask(*request(path)) for path in ("/other", "/mine", "/other")])
peer.sendall((request("/mine") + request("/other")).encode())
print(who(answer()), who(answer()))`,
  );
  assert.equal(text, "target local target local target local\ntarget local target\nlocal target\n");
});

/** Each says its pieces on a connection of its own, and hears to its end; without what differs between two times. */
const conversation = (address: string, port: number, texts: string) => `
import json, socket
heard = []
for pieces in json.loads(${texts}):
    with socket.create_connection(("${address}", ${port})) as peer:
        for piece in pieces: peer.sendall(piece.encode("latin1"))
        peer.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while more := peer.recv(65536): got += more
        except ConnectionResetError: pass
        heard.append(got.decode("latin1"))
print(json.dumps(heard))`;

async function converse(sandbox: Sandbox, port: number, conversations: readonly string[][]): Promise<string[]> {
  const texts = JSON.stringify(JSON.stringify(conversations));
  const script = conversation(sandbox.address, port, texts);
  const heard = JSON.parse(await sandbox.inNetwork(["python3", "-c", script])) as string[];
  return heard.map((it) => it.replace(/^date: .*$/gim, ""));
}

test("garbage, and requests that two could read differently, are the target's as they came", async (sandbox) => {
  const request = "GET /mine HTTP/1.1\r\nHost: x\r\n";
  const unclear = [
    "POST /mine HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    `${request}X-Long: a\r\n b\r\n\r\n`,
    `${request}Broken\r\n\r\n`,
    "GET\t/ HTTP/1.1\r\n\r\n",
    "\x00\x01\x02\xff\r\n\r\n",
    request,
  ];
  const other = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n";
  const conversations = unclear.flatMap((it) => [[it + other], [other, it]]);
  const without = await converse(sandbox, 80, conversations);
  await using server = await startServer(sandbox, filtered({ path_filter: "^/mine" }));
  assert.deepEqual(await converse(sandbox, 80, conversations), without);
  // After a request of the run's nothing that follows an unclear one is taken for one.
  const [smuggled] = await converse(sandbox, 80, [[`${request}\r\n`, `${unclear[0]}${request}\r\n`]]);
  assert.equal(smuggled!.match(/"by": "local"/g)?.length, 1);
  assert.equal(await server.line(), "served GET /mine");
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/mine"), "local");
});

test("chunks that are none, said to the target, are for the target", async (sandbox) => {
  await using _echo = await startServer(sandbox, { ...filtered({ path_filter: "^/mine" }), port: 7000 });
  const head = "POST /other HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const broken = [`${head}3\r\nabc\r\nno chunk\r\n\r\n`, `${head}3\r\nabcd\r\n0\r\n\r\n`];
  const mine = "GET /mine HTTP/1.1\r\n\r\n";
  assert.deepEqual(await converse(sandbox, 7000, broken.map((it) => [it, mine])), broken.map((it) => it + mine));
});

// Row E39
test("of requests with and without a header just those that match are mirrored, and the target answers all", async (sandbox) => {
  await using server = await startServer(sandbox, filtered({ header_filter: "^x-mirror: yes$" }, "mirror"));
  const asked = [["/1"], ["/2", "-H", "X-Mirror: yes"], ["/3", "-H", "X-Mirror: no"], ["/4", "-H", "X-Mirror: yes"]];
  for (const [path, ...flags] of asked) {
    assert.equal(await whoAnswers(sandbox, ...flags, `http://127.0.0.1${path}`), "target");
  }
  assert.deepEqual([await server.line(), await server.line()], ["served GET /2", "served GET /4"]);
});

test("a program that has closed its connection while others were asked gets its next request on another", async (sandbox) => {
  const script = `
import socket, time
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    got = b""
    while b"\\r\\n\\r\\n" not in got: got += connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n\\r\\n{"by": "local"}')
    time.sleep(0.3)
    connection.close()
    print("closed", flush=True)`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], filtered({ path_filter: "^/mine" }));
  assert.equal(await server.line(), "listening");
  const closed = `${sandbox.root}/closed`;
  const talking = python(
    sandbox,
    `
import os
turn = lambda path: ask("GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % path)
print(turn("/mine"), turn("/other"), end=" ", flush=True)
while not os.path.exists("${closed}"): time.sleep(0.01)
time.sleep(0.3)
print(turn("/mine"), turn("/other"), end="")`,
  );
  assert.equal(await server.line(), "closed");
  await Deno.writeTextFile(closed, "");
  assert.equal(await talking, "local target local target");
});

test("a client that leaves before it is answered is gone for the program too; one that only says no more is answered", async (sandbox) => {
  const script = `
import socket
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    got = b""
    try:
        while not got.endswith(b"\\r\\n\\r\\n"): got += connection.recv(65536)
        print("asked", flush=True)
        connection.settimeout(60)
        print("ended" if connection.recv(1) == b"" else "more", flush=True)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
    except ConnectionResetError: print("reset", flush=True)
    connection.close()`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], filtered({ path_filter: "^/mine" }));
  assert.equal(await server.line(), "listening");
  const request = `peer.sendall(b"GET /mine HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")\n`;
  const said = await python(sandbox, `${request}peer.shutdown(socket.SHUT_WR)\nprint(answer()[-2:], end="")`);
  assert.deepEqual([said, await server.line(), await server.line()], ["hi", "asked", "ended"]);
  const asked = await Deno.makeTempFile();
  const leaving = python(
    sandbox,
    `${request}import os
while os.path.exists("${asked}"): time.sleep(0.01)
peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")`,
  );
  assert.equal(await server.line(), "asked");
  await Deno.remove(asked);
  await leaving;
  assert.equal(await server.line(), "reset");
});
