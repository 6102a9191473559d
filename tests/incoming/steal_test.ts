/** Incoming connections stolen for a program of this machine, and given back whatever way it ends. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { askThere, LocalServer, SERVER, startServer, tablesOf, whoAnswers } from "../support/incoming.ts";
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

async function isGivenBack(sandbox: Sandbox): Promise<void> {
  await eventually(async () => (await whoAnswers(sandbox, "http://127.0.0.1/")) === "target");
  await eventually(async () => (await tablesOf(sandbox)).length === 0);
}

// Row L41
test("a stolen port is answered by the local program, and by the target's own once that has ended", async (sandbox) => {
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "target");
  await using server = await startServer(sandbox, STEAL);
  for (const host of ["127.0.0.1", sandbox.address]) {
    assert.equal(await whoAnswers(sandbox, `http://${host}/`), "local");
  }
  const posted = await askThere(sandbox, "-d", "hello", "http://127.0.0.1/path?query");
  assert.deepEqual([posted["method"], posted["path"], posted["body"]], ["POST", "/path?query", "hello"]);
  server.kill("SIGTERM");
  await isGivenBack(sandbox);
});

test("accept, getpeername and getsockname tell the true peer and the target's address", async (sandbox) => {
  await using _server = await startServer(sandbox, STEAL);
  const told = await askThere(sandbox, "--local-port", "45678", `http://${sandbox.address}/`);
  assert.deepEqual(told["peer"], [sandbox.address, 45678]);
  assert.deepEqual(told["getpeername"], [sandbox.address, 45678]);
  assert.deepEqual(told["getsockname"], [sandbox.address, 80]);
});

test("a port on which somebody else listens by the time that the program does is served all the same", async (sandbox) => {
  const script = `
import os, socket, sys
port = int(sys.argv[1])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", port))
print("bound", flush=True)
sys.stdin.readline()
listener.listen()
print(listener.getsockname()[1] == port, os.get_inheritable(listener.fileno()), flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n\\r\\n{"by": "local"}')
    connection.close()`;
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script, String(port)], STEAL);
  assert.equal(await server.line(), "bound");
  // Both are allowed to: they say SO_REUSEADDR, and nobody listens yet.
  using _other = Deno.listen({ hostname: "0.0.0.0", port });
  await server.say("\n");
  assert.equal(await server.line(), "True False");
  assert.equal(await whoAnswers(sandbox, `http://127.0.0.1:${port}/`), "local");
});

test("an IPv6 port is stolen too", async (sandbox) => {
  await using _server = await startServer(sandbox, { ...STEAL, host: "::" });
  const told = await askThere(sandbox, "http://[::1]/six");
  assert.deepEqual([told["by"], told["path"], told["getsockname"]], ["local", "/six", ["::1", 80]]);
  const mapped = await askThere(sandbox, `http://${sandbox.address}/four`);
  assert.deepEqual([mapped["by"], mapped["getsockname"]], ["local", [`::ffff:${sandbox.address}`, 80]]);
  assert.equal((mapped["getpeername"] as string[])[0], `::ffff:${sandbox.address}`);
});

for (const who of ["program", "intproxy", "agent"] as const) {
  test(`when the ${who} is killed, the target's own program answers and no table is left`, async (sandbox) => {
    await using server = await startServer(sandbox, STEAL);
    assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "local");
    assert.equal((await tablesOf(sandbox)).length, 1);
    const pid = who === "program" ? server.pid : server.processes()[who];
    Deno.kill(pid, "SIGKILL");
    await isGivenBack(sandbox);
  });
}

test("urgent bytes of a stolen connection keep their place, both ways", async (sandbox) => {
  const serve = `
import socket
listener = socket.create_server(("0.0.0.0", 8090))
print("listening", flush=True)
peer = listener.accept()[0]
peer.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
heard = []
while (got := peer.recv(100)): heard.append(got)
peer.send(b"abc"); peer.send(b"!", socket.MSG_OOB); peer.send(b"".join(heard) + b"%d" % (b"?" == heard[1][:1])); peer.close()`;
  const ask = `
import select, socket, sys
s = socket.create_connection(("127.0.0.1", 8090))
s.send(b"xyz"); s.send(b"?", socket.MSG_OOB); s.send(b"rest"); s.shutdown(socket.SHUT_WR)
end = select.poll(); end.register(s, select.POLLRDHUP); end.poll(10000)
print(s.recv(1, socket.MSG_OOB), s.recv(100), s.recv(100))`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", serve], STEAL);
  assert.equal(await server.line(), "listening");
  const { stdout, stderr } = await new Deno.Command("nsenter", {
    args: ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", ask],
  }).output();
  const text = new TextDecoder();
  assert.equal(text.decode(stdout), "b'!' b'abc' b'xyz?rest1'\n", text.decode(stderr));
});

test("the port is given back when the listener is closed, though the program goes on", async (sandbox) => {
  const script = `
import socket, sys
listener = socket.create_server(("0.0.0.0", 80))
twin = listener.dup()
print("listening", flush=True)
sys.stdin.readline()
listener.close()
print("one closed", flush=True)
sys.stdin.readline()
twin.close()
print("both closed", flush=True)
sys.stdin.readline()`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], STEAL);
  assert.equal(await server.line(), "listening");
  assert.equal((await tablesOf(sandbox)).length, 1);
  await server.say("\n");
  assert.equal(await server.line(), "one closed");
  assert.equal((await tablesOf(sandbox)).length, 1);
  await server.say("\n");
  assert.equal(await server.line(), "both closed");
  await isGivenBack(sandbox);
});

test("a second run that steals the same port is refused, and told by whom it is stolen", async (sandbox) => {
  await using _first = await startServer(sandbox, { ...STEAL, env: { USER: "alice" } });
  await using second = await LocalServer.start(sandbox, ["python3", SERVER, "0.0.0.0", "80", "second"], {
    ...STEAL,
    env: { USER: "bob" },
  });
  await assert.rejects(second.line(), /Address already in use/);
  assert.match(
    await second.complaint(),
    /mirrord: port 80 of the target is stolen already, by alice@\S+ since 20.* UTC/,
  );
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "local");
});

test("forked and executed children keep the port until the last of them has ended", async (sandbox) => {
  const script = `
import os, socket, sys
listener = socket.create_server(("0.0.0.0", 80))
os.set_inheritable(listener.fileno(), True)
serve = '''
import socket, sys
listener = socket.socket(fileno=%d)
print("child", flush=True)
while True:
    connection, peer = listener.accept()
    connection.recv(1000)
    connection.sendall(b'HTTP/1.1 200 OK\\\\r\\\\nContent-Length: 14\\\\r\\\\nConnection: close\\\\r\\\\n\\\\r\\\\n{"by":"child"}')
    connection.close()
''' % listener.fileno()
if os.fork() == 0:
    os.execvp("python3", ["python3", "-c", serve])
listener.close()
sys.stdin.readline()`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], STEAL);
  assert.equal(await server.line(), "child");
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "child");
  const { directory } = server;
  server.kill("SIGKILL");
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "child");
  for (const { name } of Deno.readDirSync("/proc")) {
    if (isChildOf(name, directory)) Deno.kill(Number(name), "SIGKILL");
  }
  await isGivenBack(sandbox);
});

function isChildOf(pid: string, directory: string): boolean {
  try {
    return /^\d+$/.test(pid) && Deno.readTextFileSync(`/proc/${pid}/environ`).includes(directory) &&
      Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("python3");
  } catch {
    return false;
  }
}

for (const who of ["program", "intproxy", "agent"] as const) {
  test(`a client that waits for an answer sees its connection break when the ${who} is killed`, async (sandbox) => {
    const script = `
import socket
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
connection, peer = listener.accept()
connection.recv(1000)
print("asked", flush=True)
connection.recv(1000)`;
    await using server = await LocalServer.start(sandbox, ["python3", "-c", script], STEAL);
    assert.equal(await server.line(), "listening");
    const answer = askThere(sandbox, "-o", "/dev/null", "-w", '{"code": "%{exitcode}"}', "http://127.0.0.1/");
    assert.equal(await server.line(), "asked");
    Deno.kill(who === "program" ? server.pid : server.processes()[who], "SIGKILL");
    const CURLE_OPERATION_TIMEDOUT = "28";
    assert.notEqual((await answer)["code"], CURLE_OPERATION_TIMEDOUT);
    await isGivenBack(sandbox);
  });
}

for (const isFlush of [true, false]) {
  test(`connections that exist are ${isFlush ? "reset" : "left alone"} with flush_connections ${isFlush}`, async (sandbox) => {
    const script = `
import socket, sys
peer = socket.create_connection(("127.0.0.1", 80))
def ask():
    peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    return b"sandbox" in peer.recv(65536)
print(ask(), end="", flush=True)
sys.stdin.readline()
try: print(ask(), end="", flush=True)
except OSError as error: print(type(error).__name__, end="", flush=True)`;
    const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", script];
    const old = new Deno.Command("nsenter", { args, stdin: "piped", stdout: "piped" }).spawn();
    const output = old.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await output.read()).value, "True");
    const configuration = { agent: { flush_connections: isFlush } };
    await using _server = await startServer(sandbox, { ...STEAL, configuration });
    const writer = old.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n"));
    await writer.close();
    const answer = (await output.read()).value;
    assert.match(answer!, isFlush ? /ConnectionReset|BrokenPipe/ : /^True/);
    await output.cancel();
    await old.status;
  });
}

test("connections that came by a redirect go on when the listener is closed and the rule has gone", async (sandbox) => {
  const script = `
import socket, sys
listener = socket.create_server(("0.0.0.0", 80))
print("listening", flush=True)
connection, peer = listener.accept()
listener.close()
print(connection.recv(10).decode(), flush=True)
sys.stdin.readline()
connection.sendall(b"still here")`;
  await using server = await LocalServer.start(sandbox, ["python3", "-c", script], STEAL);
  assert.equal(await server.line(), "listening");
  const talk = `
import socket
peer = socket.create_connection(("127.0.0.1", 80), 10)
peer.sendall(b"hello")
print(peer.recv(100).decode())`;
  const answer = sandbox.inNetwork(["python3", "-c", talk]);
  assert.equal(await server.line(), "hello");
  assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/"), "target");
  await server.say("\n");
  assert.equal(await answer, "still here\n");
  await isGivenBack(sandbox);
});
