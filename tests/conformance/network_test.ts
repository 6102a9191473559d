/** The conformance list's rows about connections and names, by the built program and real programs in a sandbox. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { mirrord } from "../support/mirrord.ts";
import { builtProgram, type Case, sandboxTest } from "../support/sandbox_case.ts";

const PYTHON = "/usr/bin/python3";

/** What a Python program says that succeeds without a word on standard error. */
async function python(it: Case, script: string, env: Record<string, string> = {}, flags: string[] = []) {
  const { code, stdout, stderr } = await it.run([PYTHON, "-c", script], { env, flags });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, stdout);
  return stdout.trimEnd().split("\n");
}

/** Starts a Python program inside the target; resolves when it has said a line. */
async function serveInside(it: Case, script: string): Promise<AsyncDisposable> {
  const there = ["--target", String(it.sandbox.pid), "--net", "--uts", "--mount", "--root", "--"];
  const args = [...there, PYTHON, "-c", script];
  const child = new Deno.Command("nsenter", { args, stdout: "piped", stderr: "inherit" }).spawn();
  const reader = child.stdout.getReader();
  assert.equal((await reader.read()).done, false, "the server did not start");
  reader.releaseLock();
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.stdout.cancel();
      await child.status;
    },
  };
}

// Row E35
sandboxTest("a Unix socket of the target answers, by path and by abstract name", { needs: [PYTHON] }, async (it) => {
  await using _server = await serveInside(
    it,
    `import socket, threading
def serve(name):
    it = socket.socket(socket.AF_UNIX)
    it.bind(name)
    it.listen()
    print("ready", flush=True)
    while True:
        peer = it.accept()[0]
        while told := peer.recv(100): peer.send(b"target: " + told)
threading.Thread(target=serve, args=("\\0conformance",), daemon=True).start()
serve("/app/socket")`,
  );
  const said = await python(
    it,
    `import socket
for name in ("/app/socket", "\\0conformance"):
    s = socket.socket(socket.AF_UNIX)
    s.connect(name)
    s.send(b"hello")
    print(s.recv(100), s.getpeername())
try: socket.socket(socket.AF_UNIX).connect("/app/other")
except FileNotFoundError as error: print(error)`,
    { MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS: "^/app/;^@conformance$" },
  );
  assert.deepEqual(said, [
    "b'target: hello' /app/socket",
    "b'target: hello' b'\\x00conformance'",
    "[Errno 2] No such file or directory",
  ]);
});

/** A UDP server of the target, on the sandbox's address, that answers in capitals. */
const UDP_SERVER = `import socket
it = socket.socket(type=socket.SOCK_DGRAM)
it.bind(("10.99.7.1", 31415))
print("ready", flush=True)
while True:
    told, peer = it.recvfrom(100)
    it.sendto(told.upper(), peer)`;

/** Says what came back, or why nothing did. */
const UDP_CLIENT = `import socket
def ask(connects):
    try:
        peer = socket.getaddrinfo("echo-server.sandbox.local", 31415, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
        s = socket.socket(type=socket.SOCK_DGRAM)
        s.settimeout(0.3)
        if connects: s.connect(peer)
        s.send(b"hello") if connects else s.sendto(b"hello", peer)
        return s.recv(100).decode()
    except OSError as error: return "nothing"
print(ask(True), ask(False))`;

// Row E28
sandboxTest("a datagram reaches a service of the target by its name, and not without outgoing", {
  needs: [PYTHON],
}, async (it) => {
  await using _server = await serveInside(it, UDP_SERVER);
  assert.deepEqual(await python(it, UDP_CLIENT), ["HELLO HELLO"]);
  assert.deepEqual(await python(it, UDP_CLIENT, {}, ["--no-outgoing"]), ["nothing nothing"]);
});

// Row E29
sandboxTest("filters say whether a datagram leaves from the target, by port and by name", {
  needs: [PYTHON],
}, async (it) => {
  await using _server = await serveInside(it, UDP_SERVER);
  for (
    const [filter, said] of [
      [{ local: [":31415"] }, "nothing nothing"],
      [{ local: ["tcp://:31415"] }, "HELLO HELLO"],
      [{ remote: ["echo-server.sandbox.local"] }, "HELLO HELLO"],
      [{ remote: ["echo-server.sandbox.local:1"] }, "nothing nothing"],
    ] as const
  ) {
    const file = `${it.here}/filter.json`;
    // The names of an outgoing filter would be those of a DNS filter too.
    const dns = { filter: { remote: ["echo-server.sandbox.local"] } };
    const network = { outgoing: { filter }, ..."local" in filter ? {} : { dns } };
    await Deno.writeTextFile(file, JSON.stringify({ feature: { network } }));
    assert.deepEqual(await python(it, UDP_CLIENT, {}, ["-f", file]), [said], JSON.stringify(filter));
  }
});

// Rows E30, L59
sandboxTest("UDP sockets of the program itself speak with each other, with outgoing on and off", {
  needs: [PYTHON],
}, async (it) => {
  const script = `import socket
one, two = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
for it in (one, two): it.bind(("127.0.0.1", 0)); it.settimeout(2)
one.sendto(b"hello", two.getsockname())
told, peer = two.recvfrom(100)
two.connect(peer)
two.send(told.upper())
print(one.recv(100), peer == one.getsockname(), one.getsockname() != two.getsockname())`;
  for (const flags of [[], ["--no-outgoing"], ["--no-udp-outgoing"]]) {
    assert.deepEqual(await python(it, script, {}, flags), ["b'HELLO' True True"]);
  }
});

// Row E22
sandboxTest("a name of the world outside is looked up, and a request made", { needs: [PYTHON] }, async (it) => {
  const script = `import json, socket, urllib.request
print(sorted({it[4][0] for it in socket.getaddrinfo("both.sandbox.local.", 80)}))
print(json.load(urllib.request.urlopen("http://echo-server.sandbox.local/path"))["http"])`;
  assert.deepEqual(await python(it, script), ["['10.99.7.1', '::1']", "{'method': 'GET', 'path': '/path'}"]);
});

// Row E24
sandboxTest("with IPv6 off a program has no IPv6 sockets, and sees no such addresses when they are hidden", {
  needs: [PYTHON],
}, async (it) => {
  const file = `${it.here}/mirrord.json`;
  const configuration = { feature: { network: { ipv6: false } }, experimental: { hide_ipv6_interfaces: true } };
  await Deno.writeTextFile(file, JSON.stringify(configuration));
  const script = `import socket, subprocess, urllib.request
try: socket.socket(socket.AF_INET6)
except OSError as error: print(error)
try: urllib.request.urlopen("http://[::1]/")
except OSError as error: print(error)
print(urllib.request.urlopen("http://both/").status)`;
  const unsupported = "Address family not supported by protocol";
  assert.deepEqual(await python(it, script, {}, ["-f", file]), [
    `[Errno 97] ${unsupported}`,
    `<urlopen error [Errno 97] ${unsupported}>`,
    "200",
  ]);
  const program = await builtProgram("difference/programs/interfaces.c");
  const hidden = (await it.run([program], { flags: ["-f", file] })).stdout;
  assert.match(hidden, / address 2 127\.0\.0\.1 /);
  assert.doesNotMatch(hidden, / address 10 /);
  assert.match((await it.run([program])).stdout, / address 10 ::1 /);
});

sandboxTest(
  "how a connection ends is the same at both ends: closed, reset, killed",
  { needs: [PYTHON] },
  async (it) => {
    const script = `import os, signal, socket, struct
def start():
    it = socket.create_connection(("10.99.7.1", 7100))
    it.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
    it.send(b"bye")
    return it
def heard():
    it = socket.create_connection(("10.99.7.1", 7101))
    return it.makefile().read()
def closed(): it = start(); it.recv(5); it.close()
def unread(): start().close()
def lingering():
    it = start(); it.recv(5)
    it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    it.close()
def killed(reads):
    if (pid := os.fork()) == 0:
        it = start()
        if reads: it.recv(5)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
for act, *more in ((closed,), (unread,), (lingering,), (killed, True), (killed, False)):
    act(*more)
    print(act.__name__, *more, heard())`;
    const server = `import socket, threading
ends = []
ended = threading.Condition()
def serve(peer):
    peer.send(b"hello")
    try:
        while peer.recv(100): pass
        how = "end"
    except ConnectionResetError: how = "reset"
    with ended: ends.append(how); ended.notify()
def tell():
    it = socket.create_server(("10.99.7.1", 7101))
    while True:
        peer = it.accept()[0]
        with ended:
            ended.wait_for(lambda: ends)
            peer.send(ends.pop().encode())
        peer.close()
threading.Thread(target=tell, daemon=True).start()
it = socket.create_server(("10.99.7.1", 7100))
print("ready", flush=True)
while True: threading.Thread(target=serve, args=(it.accept()[0],), daemon=True).start()`;
    await using _server = await serveInside(it, server);
    const expected = ["closed end", "unread reset", "lingering reset", "killed True end", "killed False reset"];
    assert.deepEqual(await python(it, script), expected);
    const inside = await it.inside([PYTHON, "-c", script]);
    assert.equal(inside.stdout.trimEnd(), expected.join("\n"));
  },
);

sandboxTest("a hundred connects at once proceed together, some of them to where nobody answers", {
  needs: [PYTHON],
}, async (it) => {
  // Packets to there are dropped, as by a firewall.
  await it.sandbox.inNetwork(["ip", "link", "add", "hole", "type", "veth", "peer", "name", "hole1"]);
  await it.sandbox.inNetwork(["ip", "address", "add", "10.88.0.1/24", "dev", "hole"]);
  for (const name of ["hole", "hole1"]) await it.sandbox.inNetwork(["ip", "link", "set", name, "up"]);
  const macs = ["ip", "neighbour", "add", "10.88.0.9", "lladdr", "02:00:00:00:00:09", "dev", "hole"];
  await it.sandbox.inNetwork(macs);
  const said = await python(
    it,
    `import errno, select, socket
peers = [("10.99.7.1", 7000), ("10.99.7.1", 9), ("10.88.0.9", 80)]
poll, sockets = select.epoll(), {}
for n in range(100):
    s = socket.socket()
    s.setblocking(False)
    assert s.connect_ex(peers[n % 3]) == errno.EINPROGRESS
    sockets[s.fileno()] = s
    poll.register(s.fileno(), select.EPOLLOUT)
told = []
while len(told) < 67:
    for fd, _ in poll.poll(10):
        told.append(sockets[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        poll.unregister(fd)
print({errno.errorcode.get(it, it): told.count(it) for it in sorted(set(told))}, poll.poll(0))`,
  );
  assert.deepEqual(said, ["{0: 34, 'ECONNREFUSED': 33} []"]);
});

sandboxTest("who serves at a Unix socket sees the target's user, and its path's rights hold", {
  needs: [PYTHON],
}, async (it) => {
  const there = ["--target", String(it.sandbox.pid), "--net", "--uts", "--mount", "--root", "--"];
  const nobody = new Deno.Command("nsenter", {
    args: [...there, "setpriv", "--reuid", "4241", "--regid", "4242", "--clear-groups", "cat"],
    stdin: "piped",
  }).spawn();
  try {
    await using _server = await serveInside(
      it,
      `import os, socket, struct, threading
def serve(it):
    while True:
        peer = it.accept()[0]
        told = struct.unpack("iII", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        peer.send(b"%d %d" % told[1:])
        peer.close()
for name, mode in (("/app/open", 0o777), ("/app/closed", 0o700)):
    it = socket.socket(socket.AF_UNIX)
    it.bind(name)
    os.chmod(name, mode)
    it.listen()
    threading.Thread(target=serve, args=(it,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()`,
    );
    const script = `import socket
for name in ("/app/open", "/app/closed"):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    try:
        s.connect(name)
        print(s.recv(100))
    except OSError as error: print(error)`;
    const env = { MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS: "^/app/", MIRRORD_PROGRESS_MODE: "off" };
    await eventually(async () => /Uid:\s4241/.test(await Deno.readTextFile(`/proc/${nobody.pid}/status`)));
    const ended = await mirrord(["exec", "-t", `process/${nobody.pid}`, "--", PYTHON, "-c", script], { env });
    assert.equal(ended.stdout + ended.stderr, "b'4241 4242'\n[Errno 13] Permission denied\n");
  } finally {
    nobody.kill("SIGKILL");
    await nobody.stdin.close().catch(() => {});
    await nobody.status;
  }
});
