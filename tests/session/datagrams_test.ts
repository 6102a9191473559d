/** UDP of real programs, through the real intproxy, to the real agent: the target's network is this machine's own. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { eventually } from "../support/eventually.ts";
import { Whole } from "../support/whole.ts";

const PYTHON = "/usr/bin/python3";
const hasPython = await Deno.stat(PYTHON).then(() => true, () => false);
const HAS_IPV6 = (await Deno.readTextFile("/proc/net/if_inet6").catch(() => "")).includes(" lo\n");

/** Answers what it gets in capitals, and says from which port it came. */
class Server implements AsyncDisposable {
  readonly socket: Deno.DatagramConn;
  readonly port: number;
  readonly heard: string[] = [];
  readonly #serving: Promise<void>;

  constructor(hostname = "127.0.0.1") {
    this.socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.port = (this.socket.addr as Deno.NetAddr).port;
    this.#serving = this.#serve();
  }

  async #serve(): Promise<void> {
    for await (const [data, from] of this.socket) {
      const { port } = from as Deno.NetAddr;
      this.heard.push(fromUtf8(data.subarray(0, 100)));
      await this.socket.send(utf8(`${fromUtf8(data).toUpperCase()} ${port}`), from).catch(() => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close();
    await this.#serving;
  }
}

/** A test in which Python runs `script` with the server's port as its argument; `judge` sees what it printed. */
function python(
  name: string,
  script: string,
  judge: (said: { lines: string[]; port: number; messages: string[]; heard: string[] }) => void,
  { hostname = "127.0.0.1", isIgnored = false, isDeaf = false } = {},
): void {
  const lacks = !hasPython || isIgnored;
  Deno.test({ name: lacks ? `${name} (needs ${PYTHON} and the family)` : name, ignore: lacks }, async () => {
    await using server = new Server(hostname);
    await using whole = await Whole.start({});
    const program = `import socket, sys, os\nport = int(sys.argv[1])\n${script}`;
    const { stdout, stderr, messages } = await whole.run([PYTHON, "-c", program, String(server.port)]);
    assert.equal(stderr, "");
    await eventually(() => isDeaf || server.heard.length >= messages.filter((type) => type === "Datagram").length);
    judge({ lines: stdout.trimEnd().split("\n"), port: server.port, messages, heard: server.heard });
  });
}

// Row L60
python(
  "a connected UDP socket speaks with its peer and tells both ends as the target has them",
  `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect(("127.0.0.1", port))
print(s.getpeername(), s.getsockname()[0])
s.send(b"one")
data, sender = s.recvfrom(100)
print(data.split()[0], sender, int(data.split()[1]) == s.getsockname()[1])
print(s.recvmsg.__name__, s.send(b"two"), s.recv(100).split()[0])`,
  ({ lines, port, messages }) => {
    assert.deepEqual(lines, [
      `('127.0.0.1', ${port}) 127.0.0.1`,
      `b'ONE' ('127.0.0.1', ${port}) True`,
      "recvmsg 3 b'TWO'",
    ]);
    assert.deepEqual(messages, ["OpenDatagrams", "Datagram", "Datagram"]);
  },
);

python(
  "sendto and sendmsg reach the peer, recvfrom and recvmsg tell it",
  `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(b"one", ("127.0.0.1", port))
data, sender = s.recvfrom(100)
print(data.split()[0], sender)
s.sendmsg([b"t", b"wo"], [], 0, ("127.0.0.1", port))
data, _, _, sender = s.recvmsg(100)
print(data.split()[0], sender)`,
  ({ lines, port }) => assert.deepEqual(lines, [`b'ONE' ('127.0.0.1', ${port})`, `b'TWO' ('127.0.0.1', ${port})`]),
);

python(
  "an IPv6 socket reaches an IPv4 peer by its mapped address",
  `s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(b"one", ("::ffff:127.0.0.1", port))
print(s.recvfrom(100)[1][:2])`,
  ({ lines, port }) => assert.deepEqual(lines, [`('::ffff:127.0.0.1', ${port})`]),
  { isIgnored: !HAS_IPV6 },
);

for (const only of [0, 1]) {
  python(
    `an IPv6 socket ${only ? "that takes nothing else " : ""}reaches an IPv6 peer`,
    `s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ${only})
s.settimeout(60)
s.sendto(b"one", ("::1", port))
print(s.recvfrom(100)[1][:2])
c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
c.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ${only})
c.settimeout(60)
c.connect(("::1", port))
c.send(b"two")
print(c.recv(100).split()[0], c.getpeername()[:2], c.getsockname()[0])`,
    ({ lines, port }) => assert.deepEqual(lines, [`('::1', ${port})`, `b'TWO' ('::1', ${port}) ::1`]),
    { hostname: "::1", isIgnored: !HAS_IPV6 },
  );
}

// Rows L30, L32
python(
  "two sockets of the program itself speak with each other here, and nobody is asked",
  `a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 0)); a.settimeout(60)
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(("127.0.0.1", 0)); b.settimeout(60)
b.sendto(b"own", a.getsockname())
data, sender = a.recvfrom(100)
print(data, sender == b.getsockname())
b.sendmsg([b"again"], [], 0, a.getsockname())
print(a.recvmsg(100)[0])`,
  ({ lines, messages }) => {
    assert.deepEqual(lines, ["b'own' True", "b'again'"]);
    assert.deepEqual(messages, []);
  },
);

python(
  "a child speaks over the socket that it inherited",
  `t = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t.settimeout(60)
t.sendto(b"parent", ("127.0.0.1", port))
t.recvfrom(9)
os.set_inheritable(t.fileno(), True)
if os.fork() == 0:
    program = f"import socket; s = socket.socket(fileno={t.fileno()}); s.settimeout(60); print(s.recvfrom(100)[1])"
    t.sendto(b"child", ("127.0.0.1", port))
    os.execv(sys.executable, [sys.executable, "-c", program])
os.wait()`,
  ({ lines, port }) => assert.deepEqual(lines, [`('127.0.0.1', ${port})`]),
);

python(
  "that nobody listens there shows as ECONNREFUSED",
  `c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.bind(("127.0.0.1", 0)); free = c.getsockname()[1]; c.close()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
s.connect(("127.0.0.1", free))
outcome = None
for _ in range(50):
    try:
        s.send(b"anybody?")
        s.recv(10)
    except TimeoutError:
        continue
    except ConnectionRefusedError as error:
        outcome = error
        break
print(type(outcome).__name__)`,
  ({ lines }) => assert.deepEqual(lines, ["ConnectionRefusedError"]),
  { isDeaf: true },
);

python(
  "what a program sends just before it exits arrives",
  `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"last words", ("127.0.0.1", port))
print("sent", flush=True)
os._exit(0)`,
  ({ heard, messages }) => {
    assert.deepEqual(messages, ["OpenDatagrams", "Datagram"]);
    assert.deepEqual(heard, ["last words"]);
  },
);

python(
  "a datagram of 60 kB passes, one that is too long is EMSGSIZE",
  `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.sendto(b"x" * 60000, ("127.0.0.1", port))
print(len(s.recv(65535).split()[0]))
try:
    s.sendto(b"x" * 70000, ("127.0.0.1", port))
except OSError as error:
    print(error.errno)`,
  ({ lines }) => assert.deepEqual(lines, ["60000", "90"]),
);
