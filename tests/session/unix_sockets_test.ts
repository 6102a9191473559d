/** Unix sockets of the target, used by real programs through the real intproxy and the real agent. */
import assert from "node:assert/strict";
import { unixSocketsTable } from "../../src/config/path_rules.ts";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { Whole } from "../support/whole.ts";

const PYTHON = "/usr/bin/python3";
const hasPython = await Deno.stat(PYTHON).then(() => true, () => false);

/** Serves at a path of the target, as Python does: SOCK_STREAM (1) or SOCK_SEQPACKET (5), telling back what it hears. */
const SERVER = `
import socket, sys
it = socket.socket(socket.AF_UNIX, int(sys.argv[2]))
it.bind(sys.argv[1] if sys.argv[1][0] == "/" else "\\0" + sys.argv[1])
it.listen()
print("ready", flush=True)
while True:
    peer = it.accept()[0]
    for told in iter(lambda: peer.recv(1 << 20), b""): peer.send(told)
    peer.close()
`;

const CLIENT = `import ctypes, errno, os, select, socket, struct, sys, time
kinds = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
def refused(act, *more):
    try: return act(*more)
    except OSError as error: return errno.errorcode[error.errno]
`;

class Server implements AsyncDisposable {
  private constructor(readonly child: Deno.ChildProcess) {}

  static async start(name: string, type: 1 | 5 = 1): Promise<Server> {
    const args = ["-c", SERVER, name, String(type)];
    const child = new Deno.Command(PYTHON, { args, stdout: "piped" }).spawn();
    const reader = child.stdout.getReader();
    assert.match(fromUtf8((await reader.read()).value ?? new Uint8Array(0)), /^ready/);
    reader.releaseLock();
    return new Server(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.stdout.cancel();
    await this.child.status;
  }
}

interface Told {
  lines: string[];
  messages: string[];
}

/** A test in which Python runs `script` where `patterns` say whose a socket is; the servers are those of the target. */
function python(
  name: string,
  { patterns = ["^/run/", "@mirrord-test"], servers = [["/run/s", 1]] as [string, 1 | 5][] },
  script: string,
  judge: (told: Told) => void,
): void {
  Deno.test({ name: hasPython ? name : `${name} (needs ${PYTHON})`, ignore: !hasPython }, async () => {
    await using whole = await Whole.start({ "/run/file": "" }, undefined, { unixSockets: unixSocketsTable(patterns) });
    await using serving = new AsyncDisposableStack();
    for (const [path, type] of servers) {
      serving.use(await Server.start(path.startsWith("/") ? whole.tree + path : path, type));
    }
    const { stdout, stderr, messages } = await whole.run([PYTHON, "-c", CLIENT + script]);
    assert.equal(stderr, "");
    judge({ lines: stdout.trimEnd().split("\n"), messages });
  });
}

python(
  "connect() to a Unix socket that a pattern names reaches the target's, with one message",
  {},
  `s = socket.socket(socket.AF_UNIX)
s.connect("/run/s")
s.send(b"hello")
print(s.recv(10), refused(s.connect, "/run/s"))
s.shutdown(socket.SHUT_WR)
print(s.recv(10))`,
  ({ lines, messages }) => {
    assert.deepEqual(lines, ["b'hello' EISCONN", "b''"]);
    assert.equal(messages.filter((type) => type === "ConnectUnix").length, 1);
  },
);

python(
  "getpeername() tells the target's name of the socket, also in a child, and SO_PEERCRED who serves there",
  {},
  `s = socket.socket(socket.AF_UNIX)
s.connect("/run/s")
pid, uid, gid = struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
print(s.getpeername()[-6:], repr(s.getsockname()), pid not in (0, os.getppid()), uid == os.getuid(), flush=True)
if os.fork() == 0:
    print(s.dup().getpeername()[-6:], flush=True)
    os._exit(0)
os.wait()`,
  ({ lines }) => assert.deepEqual(lines, ["/run/s '' True True", "/run/s"]),
);

python(
  "a socket for messages keeps their bounds both ways, also of long and empty ones",
  { servers: [["/run/p", 5]] },
  `s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("/run/p")
for message in (b"one", b"three", b"x" * 150000): s.send(message)
print([len(s.recv(1 << 20)) for _ in range(3)])
s.send(b"abcdef")
print(s.recv(2, socket.MSG_PEEK), s.recv(3))
s.shutdown(socket.SHUT_WR)
print(s.recv(10))`,
  ({ lines }) => assert.deepEqual(lines, ["[3, 5, 150000]", "b'ab' b'abc'", "b''"]),
);

python(
  "an abstract name is one of the target's network",
  { servers: [["mirrord-test", 1]] },
  `s = socket.socket(socket.AF_UNIX)
s.connect("\\0mirrord-test")
s.send(b"hello")
print(s.recv(10), s.getpeername())
print(refused(socket.socket(socket.AF_UNIX).connect, "\\0mirrord-test-2"))`,
  ({ lines }) => assert.deepEqual(lines, ["b'hello' b'\\x00mirrord-test'", "ECONNREFUSED"]),
);

// Row L69
python(
  "connect() to a Unix path with and without its padding is the same, and the agent's error reaches the program",
  {},
  `libc = ctypes.CDLL(None, use_errno=True)
for path in (b"/run/s", b"/run/none", b"/run/file", b"/run", b"/run/s/x"):
    for padding in (0, 1, 60):
        s = socket.socket(socket.AF_UNIX)
        address = struct.pack("H", socket.AF_UNIX) + path + bytes(padding)
        result = libc.connect(s.fileno(), address, len(address))
        print(path.decode(), errno.errorcode[ctypes.get_errno()] if result else s.getpeername()[-6:])
for kind in kinds:
    for blocking in (True, False):
        s = socket.socket(socket.AF_UNIX, kind)
        s.setblocking(blocking)
        print(kind.name, refused(s.connect, "/run/s"), s.getblocking())`,
  ({ lines }) => {
    const ends = [
      "/run/s /run/s",
      "/run/none ENOENT",
      "/run/file ECONNREFUSED",
      "/run ECONNREFUSED",
      "/run/s/x ENOTDIR",
    ];
    assert.deepEqual(lines, [
      ...ends.flatMap((end) => [end, end, end]),
      "SOCK_STREAM None True",
      "SOCK_STREAM None False",
      "SOCK_SEQPACKET EPROTOTYPE True",
      "SOCK_SEQPACKET EPROTOTYPE False",
    ]);
  },
);

python(
  "descriptors cannot be sent to the target: that is EOPNOTSUPP, and the connection goes on",
  {},
  `s = socket.socket(socket.AF_UNIX)
s.connect("/run/s")
print(refused(socket.send_fds, s, [b"x"], [0]))
s.send(b"y")
print(s.recv(10))`,
  ({ lines }) => assert.deepEqual(lines, ["ENOTSUP", "b'y'"]),
);

// Row E36
python(
  "Unix sockets that no pattern names are left alone: no message, and descriptors cross",
  { patterns: ["^/elsewhere/"] },
  `path = "/tmp/mirrord-unix-%d" % os.getpid()
for name in (path, "\\0" + path):
    for kind in kinds:
        server = socket.socket(socket.AF_UNIX, kind)
        server.bind(name)
        server.listen()
        s = socket.socket(socket.AF_UNIX, kind)
        s.connect(name)
        peer = server.accept()[0]
        socket.send_fds(s, [b"hello"], [0])
        message, fds = socket.recv_fds(peer, 10, 1)[:2]
        print(message, len(fds), s.getpeername() in (name, name.encode()))
        server.close()
        if name == path: os.unlink(path)`,
  ({ lines, messages }) => {
    assert.deepEqual(lines, Array(4).fill("b'hello' 1 True"));
    assert.equal(messages.filter((type) => type === "ConnectUnix").length, 0);
  },
);

python(
  "fifty connections at once, each with its own bytes",
  {},
  `import threading
told = []
def one(n):
    s = socket.socket(socket.AF_UNIX)
    s.connect("/run/s")
    s.send(b"%d" % n)
    s.shutdown(socket.SHUT_WR)
    told.append(s.recv(10) == b"%d" % n)
threads = [threading.Thread(target=one, args=(n,)) for n in range(50)]
[it.start() for it in threads]
[it.join() for it in threads]
print(len(told), all(told))`,
  ({ lines }) => assert.deepEqual(lines, ["50 True"]),
);
