/** Incoming connections mirrored, several runs at once, and which ports. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free_port.ts";
import { askThere, linesOf, LocalServer, SERVER, startServer, tablesOf, whoAnswers } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const STEAL = { flags: ["--steal"] };

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

test("a mirrored port is answered by the target, and the local program sees every request", async (sandbox) => {
  await using server = await startServer(sandbox);
  for (const path of ["/one", "/two"]) {
    assert.equal(await whoAnswers(sandbox, `http://${sandbox.address}${path}`), "target");
    assert.equal(await server.line(), `served GET ${path}`);
  }
  const both = await sandbox.inNetwork(["curl", "-sS", "http://127.0.0.1/three", "http://127.0.0.1/four"]);
  assert.equal(both.match(/"path":"\/(three|four)"/g)?.length, 2);
  assert.deepEqual([await server.line(), await server.line()], ["served GET /three", "served GET /four"]);
});

test("any number of runs mirror one port beside one that steals it", async (sandbox) => {
  await using first = await startServer(sandbox, { label: "first" });
  await using _thief = await startServer(sandbox, { ...STEAL, label: "thief" });
  await using second = await startServer(sandbox, { label: "second" });
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/seen"), "thief");
  assert.equal(await first.line(), "served GET /seen");
  assert.equal(await second.line(), "served GET /seen");
  assert.equal((await tablesOf(sandbox)).length, 3);
});

test("a mirror that does not read does not hold up the target", async (sandbox) => {
  const script = `
import socket, time
listener = socket.create_server(("0.0.0.0", 7000))
print("listening", flush=True)
connection, peer = listener.accept()
time.sleep(1000)`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script]);
  assert.equal(await server.line(), "listening");
  const size = 64 << 20;
  const python = `
import socket, threading
peer = socket.create_connection(("${sandbox.address}", 7000))
def send():
    for _ in range(${size >> 20}): peer.sendall(bytes(1 << 20))
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
count = 0
while True:
    data = peer.recv(1 << 20)
    if not data: break
    count += len(data)
print(count)`;
  assert.equal(await sandbox.inNetwork(["python3", "-c", python]), `${size}\n`);
});

test("more bytes than a stream's window are copied whole, of several connections at once", async (sandbox) => {
  const pieces = 6;
  const reading = `
import hashlib, socket, threading
listener = socket.create_server(("0.0.0.0", 7100))
print("listening", flush=True)
def read(connection):
    name, sum = connection.recv(1), hashlib.sha256()
    for number in range(${pieces}):
        rest = 1 << 20
        while rest: data = connection.recv(rest); sum.update(data); rest -= len(data)
        print(name.decode(), number, flush=True)
    print(name.decode(), sum.hexdigest(), connection.recv(1), flush=True)
while True: threading.Thread(target=read, args=listener.accept()[:1]).start()`;
  const writing = `
import hashlib, random, socket, sys, threading
def swallow(listener):
    while True: threading.Thread(target=lambda it: [None for _ in iter(lambda: it.recv(1 << 20), b"")], args=listener.accept()[:1], daemon=True).start()
threading.Thread(target=swallow, args=(socket.create_server(("0.0.0.0", 7100)),), daemon=True).start()
peers = {name: (socket.create_connection(("127.0.0.1", 7100)), hashlib.sha256()) for name in "abc"}
for name, (peer, _) in peers.items(): peer.sendall(name.encode())
for number in range(${pieces}):
    for peer, sum in peers.values(): data = random.randbytes(1 << 20); sum.update(data); peer.sendall(data)
    print(number, flush=True)
    sys.stdin.readline()
for name, (peer, sum) in peers.items(): print(name, sum.hexdigest(), b"", flush=True); peer.close()
sys.stdin.read()`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", reading]);
  assert.equal(await server.line(), "listening");
  const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", writing];
  const writer = new Deno.Command("nsenter", { args, stdin: "piped", stdout: "piped" }).spawn();
  const [input, output] = [writer.stdin.getWriter(), linesOf(writer.stdout)];
  const lines = async (next: () => Promise<string>) => [await next(), await next(), await next()].toSorted();
  try {
    for (let piece = 0; piece < pieces; piece++) {
      assert.equal(await nextOf(output), String(piece));
      assert.deepEqual(await lines(() => server.line()), ["a", "b", "c"].map((name) => `${name} ${piece}`));
      await input.write(new TextEncoder().encode("\n"));
    }
    assert.deepEqual(await lines(() => server.line()), await lines(() => nextOf(output)));
  } finally {
    await input.close();
    await output.return(undefined);
    await writer.stdout.cancel();
    await writer.status;
  }
});

test("a connection that the target resets ends for the program too", async (sandbox) => {
  const reading = `
import socket
listener = socket.create_server(("0.0.0.0", 7000))
print("listening", flush=True)
connection, peer = listener.accept()
while (data := connection.recv(100)): print("read", data.decode(), flush=True)
print("ended", flush=True)`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", reading]);
  assert.equal(await server.line(), "listening");
  // The client is in another network: what is sent over loopback comes in as well as it goes out.
  const resetting = `
import socket, struct, subprocess
connecting = """
import socket, sys
print("up", flush=True)
sys.stdin.readline()
peer = socket.create_connection(("10.98.7.1", 7000))
peer.sendall(b"hello")
try: print(peer.recv(100), flush=True)
except ConnectionResetError: print("reset", flush=True)
sys.stdin.read()
"""
client = subprocess.Popen(["unshare", "--net", "python3", "-c", connecting], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
client.stdout.readline()
for command in (
    f"ip link add near type veth peer name far netns {client.pid}",
    "ip address add 10.98.7.1/24 dev near",
    "ip link set near up",
    f"nsenter --target {client.pid} --net ip address add 10.98.7.2/24 dev far",
    f"nsenter --target {client.pid} --net ip link set far up",
): subprocess.run(command.split(), check=True)
listener = socket.create_server(("10.98.7.1", 7000))
client.stdin.write(b"\\n")
client.stdin.flush()
connection, peer = listener.accept()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
connection.recv(100)
connection.close()
print(client.stdout.readline().decode(), end="")
client.kill()`;
  assert.equal(await sandbox.inNetwork(["python3", "-c", resetting]), "reset\n");
  assert.deepEqual([await server.line(), await server.line()], ["read hello", "ended"]);
});

test("mode off, ignored ports and port 0 stay local", async (sandbox) => {
  const ignored = freePort();
  const incoming = { mode: "steal", ignore_ports: [ignored] };
  await using _ignoring = await startServer(sandbox, {
    port: ignored,
    configuration: { feature: { network: { incoming } } },
  });
  await using _off = await startServer(sandbox, {
    port: freePort(),
    configuration: { feature: { network: { incoming: false } } },
  });
  await using free = await LocalServer.start(sandbox, ["python3", SERVER, "0.0.0.0", "0", "free"], STEAL);
  assert.match(await free.line(), /^listening 0\.0\.0\.0 [1-9]/);
  assert.deepEqual(await tablesOf(sandbox), []);
});

test("ports, ignore_localhost and port_mapping say which port stands in for which", async (sandbox) => {
  const incoming = { mode: "steal", port_mapping: [[8080, 80]], ports: [8080] };
  await using _server = await startServer(sandbox, {
    port: 8080,
    configuration: { feature: { network: { incoming } } },
  });
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "local");
  const local = { mode: "steal", ignore_localhost: true };
  await using _local = await startServer(sandbox, {
    host: "127.0.0.1",
    port: 7001,
    configuration: { feature: { network: { incoming: local } } },
  });
  assert.equal((await tablesOf(sandbox)).length, 1);
});

test("a port that is taken on this machine is bound elsewhere, and getsockname tells what was asked for", async (sandbox) => {
  using taken = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  const { port } = taken.addr;
  await using _server = await startServer(sandbox, { ...STEAL, port });
  assert.equal(await whoAnswers(sandbox, `http://127.0.0.1:${port}/`), "local");
});

test("an address that only the target has is bound on this machine all the same", async (sandbox) => {
  await using _server = await startServer(sandbox, { ...STEAL, host: sandbox.address });
  const told = await askThere(sandbox, `http://${sandbox.address}/`);
  assert.deepEqual([told["by"], told["getsockname"]], ["local", [sandbox.address, 80]]);
});

test("listen_ports says what is bound, and what the program asked for is subscribed", async (sandbox) => {
  const port = freePort();
  const incoming = { mode: "steal", listen_ports: [[80, port]] };
  await using _server = await startServer(sandbox, { configuration: { feature: { network: { incoming } } } });
  const here = await fetch(`http://127.0.0.1:${port}/here`);
  assert.equal((await here.json()).by, "local");
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "local");
});

test("rules of a mesh beside ours win, and what its sidecar hands on over loopback is stolen", async (sandbox) => {
  // As istio does: all that comes in goes to the sidecar, which hands it to the application over loopback.
  const sidecar = `
import socket, threading
listener = socket.create_server(("0.0.0.0", 15006))
print("listening", flush=True)
while True:
    outer, _ = listener.accept()
    inner = socket.socket()
    inner.bind(("127.0.0.6", 0))
    inner.connect(("${sandbox.address}", 80))
    def move(a, b):
        try:
            while (data := a.recv(65536)): b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError: pass
    threading.Thread(target=move, args=(outer, inner), daemon=True).start()
    threading.Thread(target=move, args=(inner, outer), daemon=True).start()`;
  const nsenter = ["--target", String(sandbox.pid), "--net", "--"];
  for (
    const rule of [
      "-A OUTPUT -p tcp -d 10.99.7.9 -j REDIRECT --to-ports 15006",
      "-A OUTPUT -s 127.0.0.6/32 -o lo -j RETURN",
    ]
  ) await sandbox.inNetwork(["iptables", "-t", "nat", ...rule.split(" ")]);
  await sandbox.inNetwork(["ip", "address", "add", "10.99.7.9/32", "dev", "lo"]);
  const mesh = new Deno.Command("nsenter", {
    args: [...nsenter, "python3", "-c", sidecar],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = mesh.stdout.getReader();
  try {
    await reader.read();
    assert.equal(await whoAnswers(sandbox, "http://10.99.7.9/"), "target");
    await using _server = await startServer(sandbox, STEAL);
    const told = await askThere(sandbox, "http://10.99.7.9/through");
    assert.deepEqual([told["by"], told["path"]], ["local", "/through"]);
    assert.equal((told["peer"] as string[])[0], "127.0.0.6");
  } finally {
    mesh.kill("SIGKILL");
    await reader.cancel();
    await mesh.status;
  }
  await eventually(async () => (await tablesOf(sandbox)).length === 0);
  const rules = await sandbox.inNetwork(["iptables", "-t", "nat", "-S", "OUTPUT"]);
  assert.equal(rules.split("\n").filter((line) => line.startsWith("-A")).length, 2);
});

async function nextOf(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next();
  if (done) throw new Error("There are no more lines");
  return value;
}
