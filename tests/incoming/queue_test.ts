/** Ports whose filters are decided by heads: what nobody wants is between the client and the target, what is wanted is taken over. */
import assert from "node:assert/strict";
import { type LocalServer, type RunOptions, startServer } from "../support/incoming.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const PORT = 7003;
const MINE: RunOptions = {
  configuration: { feature: { network: { incoming: { mode: "steal", http_filter: { path_filter: "^/mine" } } } } },
};

/** The target's own: answers with its path, the port of its peer, and how much body there was; says when a connection has ended. */
const OWN = `
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while (line := self.rfile.readline()):
            headers = {}
            while (header := self.rfile.readline().strip()):
                name, value = header.lower().split(b":", 1)
                headers[name] = value.strip()
            body = self.rfile.read(int(headers.get(b"content-length", 0)))
            while b"transfer-encoding" in headers and (size := int(self.rfile.readline(), 16)): body += self.rfile.read(size + 2)[:-2]
            if b"transfer-encoding" in headers: self.rfile.readline()
            text = b"target %s %d %d" % (line.split()[1], self.client_address[1], len(body))
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text) + text)
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads, request_queue_size = 10, True, True, 100
    def handle_error(self, request, address): print("broken", sys.exc_info()[1], flush=True)
server = Server(("::", ${PORT}), Handler)
print("up", flush=True)
server.serve_forever()`;

/** A client; `ask` sends pieces one by one and reads one answer. */
const CLIENT = `
import socket, sys, time
def connect(host="127.0.0.1"):
    peer = socket.create_connection((host, ${PORT}))
    peer.settimeout(60)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer
def answer(peer):
    got = b""
    while b"\\r\\n\\r\\n" not in got:
        more = peer.recv(1)
        if not more: return "ended " + got.decode()
        got += more
    length = next(int(it.split(b":")[1]) for it in got.lower().split(b"\\r\\n") if it.startswith(b"content-length:"))
    body = b""
    while len(body) < length: body += peer.recv(length - len(body))
    body = body.decode()
    return "local" if '"by": "local"' in body else body
def ask(peer, *pieces):
    for piece in pieces: peer.sendall(piece if isinstance(piece, bytes) else piece.encode())
    return answer(peer)
request = lambda path, headers="": "GET %s HTTP/1.1\\r\\nHost: x\\r\\n%s\\r\\n" % (path, headers)
`;

/** Nothing may break for the target's own program but what `breaks`: a connection that is taken over has ended for it. */
function test(name: string, body: (sandbox: Sandbox) => Promise<void>, breaks = /^\s*$/): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", OWN];
    const own = new Deno.Command("nsenter", { args, stdout: "piped" }).spawn();
    const output = own.stdout.getReader();
    try {
      await output.read();
      await body(sandbox);
    } finally {
      own.kill("SIGKILL");
      await own.status;
    }
    let said = "";
    for (let part; !(part = await output.read()).done;) said += new TextDecoder().decode(part.value);
    assert.match(said, breaks);
  });
}

async function client(sandbox: Sandbox, script: string): Promise<string[]> {
  return (await sandbox.inNetwork(["python3", "-c", CLIENT + script])).trimEnd().split("\n");
}

function serve(sandbox: Sandbox): Promise<LocalServer> {
  return startServer(sandbox, { ...MINE, port: PORT });
}

test("the target sees its peers themselves, until a request is the run's; from then on the connection is the agent's", async (sandbox) => {
  await using _server = await serve(sandbox);
  for (const host of ["127.0.0.1", "::1", sandbox.address]) {
    const [own, ...said] = await client(
      sandbox,
      `
peer = connect("${host}")
print(peer.getsockname()[1])
for path in ("/1", "/2", "/mine", "/3", "/mine", "/4"): print(ask(peer, request(path)))`,
    );
    assert.deepEqual(said.slice(0, 3), [`target /1 ${own} 0`, `target /2 ${own} 0`, "local"], host);
    assert.match(said[3]!, /^target \/3 [0-9]+ 0$/);
    assert.notEqual(said[3], `target /3 ${own} 0`);
    assert.deepEqual([said[4], said[5]?.split(" ")[1]], ["local", "/4"]);
  }
});

test(
  "a head that comes a byte at a time, with a body, or with others in one segment goes where it belongs",
  async (sandbox) => {
    await using _server = await serve(sandbox);
    const said = await client(
      sandbox,
      `
post = lambda path, body: "POST %s HTTP/1.1\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (path, len(body), body)
print(ask(connect(), *request("/other")).split()[1], ask(connect(), *request("/mine")))
peer = connect()
print(ask(peer, *request("/a")).split()[1], ask(peer, *request("/mine")), ask(peer, *request("/b")).split()[1])
peer = connect()
print(ask(peer, post("/p", "x" * 100000)).split()[-1], ask(peer, *post("/p", "GET /mine HTTP/1.1")).split()[-1], ask(peer, post("/mine", "y" * 100000)))
peer = connect()
print(ask(peer, request("/a") + request("/mine") + request("/b")).split()[1], answer(peer), answer(peer).split()[1])
peer = connect()
print(ask(peer, "POST /c HTTP/1.1\\r\\nContent-Length: 3\\r\\n\\r\\n", "ab", "c" + request("/mine")).split()[1], answer(peer))
peer = connect()
chunks = "POST /d HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
peer.sendall((request("/e", "Cookie: %s\\r\\n" % ("z" * 50000))).encode())
print(answer(peer).split()[1], ask(peer, request("/mine", "Cookie: %s\\r\\n" % ("z" * 50000))))`,
    );
    assert.deepEqual(said, [
      "/other local",
      "/a local /b",
      "100000 18 local",
      "/a local /b",
      "/c local",
      "/e local",
    ]);
  },
  /^\s*(broken .* reset by peer\s*)+$/,
);

test("who asks again before the answer, in segments of its own, gets all answers in their order", async (sandbox) => {
  await using _server = await serve(sandbox);
  const said = await client(
    sandbox,
    `
peer = connect()
for path in ("/a", "/b", "/mine", "/c"):
    peer.sendall(request(path).encode())
    time.sleep(0.001)
for turn in range(4): print(answer(peer).split(" ")[:2])`,
  );
  assert.deepEqual(said, ["['target', '/a']", "['target', '/b']", "['local']", "['target', '/c']"]);
});

test("segments that are lost and come again in another order change nothing", async (sandbox) => {
  await using _server = await serve(sandbox);
  const drop = ["-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", String(PORT), "-m", "statistic"];
  await sandbox.inNetwork(["iptables", ...drop, "--mode", "nth", "--every", "7", "--packet", "5", "-j", "DROP"]);
  const said = await client(
    sandbox,
    `
peer = connect()
post = lambda path, body: "POST %s HTTP/1.1\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (path, len(body), body)
for turn in range(3): print(ask(peer, request("/a")).split()[1], ask(peer, post("/p", "x" * 500000)).split()[-1])
print(ask(peer, request("/mine", "Cookie: %s\\r\\n" % ("z" * 30000))), ask(peer, post("/mine", "y" * 100000)), ask(peer, request("/b")).split()[1])`,
  );
  assert.deepEqual(said, ["/a 500000", "/a 500000", "/a 500000", "local local /b"]);
  // Our own packet that says the end may be lost, too.
}, /^\s*(broken .* reset by peer\s*)?$/);

test("a body in big chunks goes by though the kernel copies no packet of 64 KiB whole", async (sandbox) => {
  await using _server = await serve(sandbox);
  const said = await client(
    sandbox,
    `
peer = connect()
chunk = b"fff4\\r\\n" + b"x" * 0xfff4 + b"\\r\\n"
print(ask(peer, request("/theirs", "Transfer-Encoding: chunked\\r\\n"), chunk * 256, "0\\r\\n\\r\\n").split()[3])
print(ask(peer, request("/theirs")).split()[1], ask(peer, request("/mine")))`,
  );
  assert.deepEqual(said, [String(0xfff4 * 256), "/theirs local"]);
});

test("when the agent is killed, connections that nobody wanted go on, and new ones are the target's", async (sandbox) => {
  await using server = await serve(sandbox);
  const files = await Deno.makeTempDir();
  try {
    const asking = client(
      sandbox,
      `
import os
peers = [connect() for turn in range(20)]
print(ask(connect(), request("/mine")))
while not os.path.exists("${files}/killed"):
    for peer in peers:
        said = ask(peer, request("/a"))
        assert said.startswith("target /a"), said
    open("${files}/asked", "w").close()
print(*[ask(peer, request("/mine")).split()[1] for peer in (peers[0], peers[19], connect())])`,
    );
    await eventually(() => Deno.stat(`${files}/asked`).then(() => true, () => false));
    Deno.kill(server.processes().agent, "SIGKILL");
    await server.complaint();
    await Deno.writeTextFile(`${files}/killed`, "");
    assert.deepEqual(await asking, ["local", "/mine /mine /mine"]);
  } finally {
    await Deno.remove(files, { recursive: true });
  }
});

test("older and younger runs share a connection, each its requests", async (sandbox) => {
  await using _first = await startServer(sandbox, { ...MINE, port: PORT, label: "first" });
  const configuration = {
    feature: { network: { incoming: { mode: "steal", http_filter: { path_filter: "^/(mine|yours)" } } } },
  };
  await using _second = await startServer(sandbox, { configuration, port: PORT, label: "second" });
  const said = await client(
    sandbox,
    `
import re
who = lambda text: re.sub(r'.*"by": "([a-z]*)".*', r"\\1", text).split(" ")[0]
for paths in (("/a", "/mine", "/yours", "/b"), ("/yours", "/mine", "/yours"), ("/mine", "/yours", "/mine")):
    peer = connect()
    print(*[who(ask(peer, request(path))) for path in paths])`,
  );
  assert.deepEqual(said, ["target first second target", "second first second", "first second first"]);
});

test("what was broken on its way is not what its sender said", async (sandbox) => {
  await using _server = await serve(sandbox);
  const said = await client(
    sandbox,
    `
import struct
peer = connect()
print(ask(peer, request("/a")))
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, WITHOUT_PROBE = 19, 20, 21, -1
def sequence(queue):
    peer.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
    return peer.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xffffffff
peer.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
here, there = sequence(2), sequence(1)
peer.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, WITHOUT_PROBE)
home = socket.inet_aton("127.0.0.1")
head = struct.pack("!HHIIBBHHH", peer.getsockname()[1], ${PORT}, here, there, 0x50, 0x18, 500, 0xbad, 0)
packet = head + request("/mine").encode()
packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(packet), 1, 0, 64, 6, 0, home, home) + packet
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(packet, ("127.0.0.1", 0))
print(ask(peer, request("/b")))
print(peer.getsockname()[1])`,
  );
  assert.deepEqual(said.slice(0, 2), [`target /a ${said[2]} 0`, `target /b ${said[2]} 0`]);
});

/** How many packets an agent has been asked about: the last number of its queue. */
function askedAbout(server: LocalServer): number {
  const lines = Deno.readTextFileSync(`/proc/${server.processes().agent}/net/netfilter/nfnetlink_queue`);
  return Number(lines.trim().split(/ +/)[7]);
}

test("requests that cannot be wanted pass inside the kernel; what is asked between them goes where it belongs", async (sandbox) => {
  await using server = await serve(sandbox);
  const said = await client(
    sandbox,
    `
for host in ("127.0.0.1", "::1"):
    peer = connect(host)
    print({ask(peer, request("/%d" % turn)).split()[2] for turn in range(300)} == {str(peer.getsockname()[1])}, ask(peer, request("/mine")))`,
  );
  assert.deepEqual(said, ["True local", "True local"]);
  const asked = askedAbout(server);
  assert.ok(asked < 150, `of 600 requests ${asked} packets were asked about`);
});

/** By seed; whatever is asked, the answers come in their order, from whom they are to come. */
const MIXED = (seed: number) => `
import random, threading
def serve_one(number):
    dice = random.Random(${seed} * 1000 + number)
    peer, turns = connect(dice.choice(["127.0.0.1", "::1"])), 0
    post = lambda path, body: "POST %s HTTP/1.1\\r\\nContent-Length: %d\\r\\n\\r\\n" % (path, len(body))
    chunked = "POST /chunks HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    def cut(text):
        at = dice.randrange(1, len(text))
        return [text[:at], text[at:]]
    def expect(path, pieces, size=0):
        peers = ask(peer, *pieces).split()
        assert (peers[0] == "local") if path.startswith("/mine") else (peers[0], peers[1], peers[-1]) == ("target", path, str(size)), (number, path, peers)
    try:
        for turn in range(60):
            path, like = "/%d" % turn, request("/mine")
            kind = dice.randrange(14)
            if kind < 6: expect(path, [request(path, "Cookie: %s\\r\\n" % ("z" * dice.randrange(3000)))])
            elif kind == 6: expect(path, cut(request(path)))
            elif kind == 7: expect(path, [post(path, like), like], len(like))
            elif kind == 8: expect(path, [post(path, like) + like], len(like))
            elif kind == 9: expect("/chunks", [chunked, "%x\\r\\n" % len(like), like, "\\r\\n0\\r\\n\\r\\n"], len(like))
            elif kind == 10: expect(path + "/mine", [request(path + "/mine")])
            elif kind == 11: expect(path, [request(path, "X-Content: length\\r\\nX: /mine\\r\\n")])
            elif kind == 12: expect(path, [request(path, "content-Length: 3\\r\\n"), "G\\r\\n"], 3)
            elif turn > 30: expect("/mine", dice.choice([[like], cut(like), [post("/mine", "abc") + "abc"]]))
            turns += 1
    except Exception as error: return print(number, turn, repr(error), flush=True)
    done.append(turns)
done = []
threads = [threading.Thread(target=serve_one, args=(number,)) for number in range(12)]
for it in threads: it.start()
for it in threads: it.join()
print("asked", sum(done))`;

for (const losses of [false, true]) {
  const how = losses ? "with losses" : "without losses";
  test(`whatever is asked on a connection in whatever pieces goes where it belongs, ${how}`, async (sandbox) => {
    await using _server = await serve(sandbox);
    const drop = ["-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", String(PORT), "-m", "statistic"];
    if (losses) {
      await sandbox.inNetwork(["iptables", ...drop, "--mode", "random", "--probability", "0.02", "-j", "DROP"]);
    }
    const seed = Number(Deno.env.get("MIRRORD_TEST_SEED") ?? 1);
    assert.deepEqual(await client(sandbox, MIXED(seed)), ["asked 720"], `seed ${seed}`);
  }, /^(\s|broken|\[Errno 104\] Connection reset by peer)*$/);
}

const RULES = new URL("./programs/plain_rules.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

testUnless(REASON, "where the kernel cannot tell who is wanted, all requests are asked about", async () => {
  await using sandbox = await startSandbox();
  const run = [Deno.execPath(), "run", "-A", "--quiet", "--config", CONFIG, RULES];
  const { status, passesPlain, log } = JSON.parse(await sandbox.inNetwork(run));
  assert.deepEqual([status, passesPlain], [0, false]);
  assert.ok(log.includes("The kernel lets no requests pass by itself: error 22"), log.join("\n"));
});
