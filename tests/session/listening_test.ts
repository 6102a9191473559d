/** What a listening program costs and says: real programs, the real intproxy, and an agent that redirects nothing. */
import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { SocketEnd } from "../../src/base/socket_end.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { ConfigKey } from "../../src/config/options.ts";
import type { IncomingWishes } from "../../src/layer/intproxy/incoming.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free_port.ts";
import { Whole } from "../support/whole.ts";

const PYTHON = "/usr/bin/python3";
const hasPython = await Deno.stat(PYTHON).then(() => true, () => false);
const POD = "10.9.9.9";
const PEER = "10.1.2.3";

/** What configuration files say of incoming connections, for a program that listens on `port`. */
type Incoming = (port: number) => Readonly<Record<string, unknown>>;

function wishes(said: Readonly<Record<string, unknown>>): IncomingWishes {
  const all = { "target.path": "process/1", "feature.network.incoming.mode": "steal", ...said };
  const config = resolveConfig(
    Object.entries(all).map(([key, value]) => ({ key: key as ConfigKey, value, from: key })),
  );
  return { ...config.incoming, who: "me@here" };
}

const PROGRAM = `import errno, os, socket, subprocess, sys
PORT = int(sys.argv[1])
def listener(port=PORT, host="0.0.0.0"):
    it = socket.socket()
    it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    it.bind((host, port))
    it.listen()
    return it
def refused(act, *more):
    try: return act(*more)
    except OSError as error: return errno.errorcode[error.errno]
def wait(): sys.stdin.readline()
def say(*what): print(*what, flush=True)
`;

interface Told {
  readonly whole: Whole;
  readonly port: number;
  /** The next line of the program. */
  readonly line: () => Promise<string>;
  readonly go: () => Promise<void>;
  readonly count: (type: string) => number;
}

/** A test in which Python runs `script`. */
function python(
  name: string,
  script: string,
  body: (told: Told) => Promise<void>,
  incoming: Incoming = () => ({}),
): void {
  Deno.test({ name: hasPython ? name : `${name} (needs ${PYTHON})`, ignore: !hasPython }, async () => {
    const port = freePort();
    const filled = wishes(incoming(port));
    await using whole = await Whole.start({}, undefined, {}, { incoming: filled });
    await using talk = whole.start([PYTHON, "-c", PROGRAM + script, String(port)]);
    const line = async () => {
      const { value, done } = await talk.lines.next();
      if (done) throw new Error(`The program has ended: ${await talk.stderr}`);
      return value;
    };
    const count = (type: string) => talk.messages.filter((it) => it === type).length;
    await body({ whole, port, line, go: () => talk.say("\n"), count });
  });
}

/** A connection of somebody at the target to the program; resolves with our end of it. */
async function comes(whole: Whole, port: number, own = POD): Promise<Socket> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, resolve).listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const outside = connect({
    host: "127.0.0.1",
    port: (server.address() as { port: number }).port,
    allowHalfOpen: true,
  });
  const inside = await promise;
  server.close();
  whole.subscriptions.deliver(port, new SocketEnd(inside), [PEER, 4242], [own, port]);
  return outside;
}

async function hear(socket: Socket): Promise<string> {
  let text = "";
  for await (const bytes of socket) text += bytes;
  return text;
}

// Row L07
python(
  "a second listen() changes nothing, and the next call works: one Subscribe, and Unsubscribe at the end",
  `s = listener()
s.listen(7)
say("listens", s.getsockname()[1] == PORT)
wait()
s.close()
say("closed")
wait()`,
  async ({ line, go, count }) => {
    assert.equal(await line(), "listens True");
    assert.deepEqual([count("Subscribe"), count("Unsubscribe")], [1, 0]);
    await go();
    assert.equal(await line(), "closed");
    assert.deepEqual([count("Subscribe"), count("Unsubscribe")], [1, 1]);
  },
);

// Row L26
python(
  "an ignored port is not subscribed, and listens here",
  `s = listener()
c = socket.create_connection(("127.0.0.1", PORT))
say(s.accept()[1][0])`,
  async ({ line, count }) => {
    assert.equal(await line(), "127.0.0.1");
    assert.equal(count("Subscribe"), 0);
  },
  (port) => ({ "feature.network.incoming.ignore_ports": [port] }),
);

// Row L27
python(
  "a duplicated listener accepts when the first is closed; the connection's own address is the pod's",
  `s = listener()
twin = s.dup()
s.close()
say("listens")
c, peer = twin.accept()
say(*peer, *c.getsockname()[:2], *c.getpeername())
c.sendall(b"hello")
c.close()`,
  async ({ whole, port, line, count }) => {
    assert.equal(await line(), "listens");
    assert.equal(count("Unsubscribe"), 0);
    const peer = await comes(whole, port);
    assert.equal(await line(), `${PEER} 4242 ${POD} ${port} ${PEER} 4242`);
    assert.equal(await hear(peer), "hello");
    peer.destroy();
  },
);

// Row L28
python(
  "a second bind() of the same address fails in the program; the port is given back at its end",
  `s = listener()
other = socket.socket()
say(refused(other.bind, ("0.0.0.0", PORT)), refused(other.bind, ("127.0.0.1", PORT)))
other.close()
s.close()
say("closed")
wait()`,
  async ({ line, count }) => {
    assert.equal(await line(), "EADDRINUSE EADDRINUSE");
    assert.equal(await line(), "closed");
    assert.deepEqual([count("Subscribe"), count("Unsubscribe")], [1, 1]);
  },
);

// Row L48
{
  const elsewhere = freePort();
  python(
    "listen_ports binds the mapped port, subscribes the one that was asked for, and ends with close()",
    `s = listener()
say(s.getsockname()[1] == PORT)
wait()
s.close()
say("closed")
wait()`,
    async ({ whole, port, line, go, count }) => {
      assert.equal(await line(), "True");
      assert.deepEqual(whole.subscriptions.wishes.map((it) => it.port), [port]);
      (await Deno.connect({ port: elsewhere })).close();
      await go();
      assert.equal(await line(), "closed");
      assert.equal(count("Unsubscribe"), 1);
    },
    (port) => ({ "feature.network.incoming.listen_ports": [[port, elsewhere]] }),
  );
}

// Row L57
python(
  "what comes for a mapped port of the target arrives at the program's own",
  `s = listener()
say("listens")
c = s.accept()[0]
say(c.recv(100))`,
  async ({ whole, line }) => {
    assert.equal(await line(), "listens");
    assert.deepEqual(whole.subscriptions.wishes.map((it) => it.port), [1234]);
    const peer = await comes(whole, 1234);
    peer.end("for 1234");
    assert.equal(await line(), "b'for 1234'");
    assert.equal(await hear(peer), "");
    peer.destroy();
  },
  (port) => ({ "feature.network.incoming.port_mapping": [[port, 1234]] }),
);

// Row E44
python(
  "an accepted connection outlives its listener",
  `s = listener()
say("listens")
c = s.accept()[0]
s.close()
say("closed")
c.sendall(c.recv(100).upper())
c.close()
wait()`,
  async ({ whole, port, line, count }) => {
    assert.equal(await line(), "listens");
    const peer = await comes(whole, port);
    assert.equal(await line(), "closed");
    assert.equal(count("Unsubscribe"), 1);
    peer.write("still here");
    assert.equal(await hear(peer), "STILL HERE");
    peer.destroy();
  },
);

// Rows E21, E33
python(
  "a server on localhost, looked up as the target does, stands in for the target's",
  `name = socket.getaddrinfo("localhost", PORT, socket.AF_INET, socket.SOCK_STREAM)[0][4]
s = listener(*reversed(name))
say(*s.getsockname())
c, peer = s.accept()
say(*peer, *c.getsockname())`,
  async ({ whole, port, line, count }) => {
    assert.equal(await line(), `127.0.0.1 ${port}`);
    assert.equal(count("Subscribe"), 1);
    const peer = await comes(whole, port, "127.0.0.1");
    assert.equal(await line(), `${PEER} 4242 127.0.0.1 ${port}`);
    peer.destroy();
  },
);

python(
  "a program that tries both addresses of localhost comes to its own server, whichever of the two it listens on",
  `s = listener()
say(refused(socket.create_connection, ("::1", PORT)))
c = socket.create_connection(("localhost", PORT))
a = s.accept()[0]
a.sendall(b"own")
say(c.recv(9).decode())
a.close(); s.close()
s = socket.create_server(("::1", PORT), family=socket.AF_INET6)
say(refused(socket.create_connection, ("127.0.0.1", PORT)))
wait()`,
  async ({ line, count }) => {
    assert.deepEqual([await line(), await line(), await line()], ["ECONNREFUSED", "own", "ECONNREFUSED"]);
    assert.equal(count("Connect"), 0);
  },
);

python(
  "a listener that is inherited over fork and exec keeps its port until the last process has closed it",
  `s = listener()
os.set_inheritable(s.fileno(), True)
script = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); print(s.getsockname()[1], flush=True); " \\
  "sys.stdin.readline(); print('child', s.accept()[1][0], flush=True); sys.stdin.readline()"
child = subprocess.Popen([sys.executable, "-c", script, str(s.fileno())], close_fds=False)
s.close()
child.wait()
say("over")
wait()`,
  async ({ whole, port, line, go, count }) => {
    assert.equal(await line(), String(port));
    assert.deepEqual([count("Subscribe"), count("Unsubscribe")], [1, 0]);
    await go();
    const peer = await comes(whole, port);
    assert.equal(await line(), `child ${PEER}`);
    await go();
    assert.equal(await line(), "over");
    await eventually(() => count("Unsubscribe") === 1);
    peer.destroy();
  },
);

python(
  "a socket that is passed as systemd does it (LISTEN_FDS) is subscribed once, where it was bound",
  `s = listener()
script = "import os, socket; s = socket.socket(fileno=3); s.listen(); print(os.environ['LISTEN_FDS'], " \\
  "s.getsockname()[1], flush=True); print('served', s.accept()[1][0], flush=True)"
if os.fork() == 0:
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    os.execve(sys.executable, [sys.executable, "-c", script], {**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
os.wait()
say("over")
wait()`,
  async ({ whole, port, line, count }) => {
    assert.equal(await line(), `1 ${port}`);
    assert.equal(count("Subscribe"), 1);
    const peer = await comes(whole, port);
    assert.equal(await line(), `served ${PEER}`);
    assert.equal(await line(), "over");
    assert.equal(count("Unsubscribe"), 0, "the parent listens still");
    peer.destroy();
  },
);

python(
  "two listeners with SO_REUSEPORT are one subscription, which ends with the second",
  `def shared():
    it = socket.socket()
    it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    it.bind(("0.0.0.0", PORT))
    it.listen()
    return it
one, two = shared(), shared()
say(one.getsockname() == two.getsockname())
one.close()
wait()
two.close()
say("closed")
wait()`,
  async ({ line, go, count }) => {
    assert.equal(await line(), "True");
    assert.deepEqual([count("Subscribe"), count("Unsubscribe")], [1, 0]);
    await go();
    assert.equal(await line(), "closed");
    assert.equal(count("Unsubscribe"), 1);
  },
);

python(
  "bind(2), listen(2), accept4(2) and sendto(2) by their numbers are the same calls",
  `import ctypes, struct
call = ctypes.CDLL(None).syscall
SENDTO, BIND, LISTEN, ACCEPT4 = 44, 49, 50, 288 # of x86-64
s = socket.socket()
address = struct.pack("!HH4s8x", socket.htons(socket.AF_INET), PORT, socket.inet_aton("0.0.0.0"))
say(call(BIND, s.fileno(), address, 16), call(LISTEN, s.fileno(), 5))
name, length = ctypes.create_string_buffer(16), ctypes.c_int(16)
c = socket.socket(fileno=call(ACCEPT4, s.fileno(), name, ctypes.byref(length), 0))
say(socket.inet_ntoa(name.raw[4:8]), call(SENDTO, c.fileno(), b"hello", 5, 0, None, 0))
c.close()`,
  async ({ whole, port, line }) => {
    assert.equal(await line(), "0 0");
    assert.deepEqual(whole.subscriptions.wishes.map((it) => it.port), [port]);
    const peer = await comes(whole, port);
    assert.equal(await line(), `${PEER} 5`);
    assert.equal(await hear(peer), "hello");
    peer.destroy();
  },
);

// Row L22
Deno.test("ports, filter ports and filter say which port is local, taken whole, or filtered", {
  ignore: !hasPython,
}, async () => {
  const [named, filtered, both, neither] = Array.from({ length: 4 }, freePort) as [number, number, number, number];
  const script = `${PROGRAM}
all = [listener(int(port)) for port in sys.argv[1:]]
say("listens")
wait()`;
  const prefix = "feature.network.incoming";
  for (let which = 0; which < 8; which++) {
    const [hasPorts, hasFilterPorts, hasFilter] = [1, 2, 4].map((bit) => (which & bit) !== 0);
    const incoming = wishes({
      ...hasPorts && { [`${prefix}.ports`]: [named, both] },
      ...hasFilterPorts && { [`${prefix}.http_filter.ports`]: [filtered, both] },
      ...hasFilter && { [`${prefix}.http_filter.header_filter`]: "x-user: me" },
    });
    await using whole = await Whole.start({}, undefined, {}, { incoming });
    await using talk = whole.start([PYTHON, "-c", script, ...[named, filtered, both, neither].map(String)]);
    assert.equal((await talk.lines.next()).value, "listens");
    const kindOf = (port: number) => {
      const wish = whole.subscriptions.wishes.find((it) => it.port === port);
      return !wish ? "local" : wish.filter === "" ? "whole" : "filtered";
    };
    const taken = hasFilter && !hasFilterPorts ? "filtered" : "whole";
    const inFilterPorts = hasFilter ? "filtered" : "whole";
    assert.deepEqual([named, filtered, both, neither].map(kindOf), [
      taken,
      hasFilterPorts ? inFilterPorts : hasPorts ? "local" : taken,
      hasFilterPorts ? inFilterPorts : taken,
      hasPorts ? "local" : taken,
    ], JSON.stringify({ hasPorts, hasFilterPorts, hasFilter }));
  }
});
