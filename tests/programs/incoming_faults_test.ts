/**
 * What goes wrong with stolen traffic, and how much of it there may be: crowds, giants, snails, garbage, sudden deaths. After each nothing
 * is left, and the target's own program answers.
 */
import assert from "node:assert/strict";
import { askThere, LocalServer, nothingIsLeft, type RunOptions, whoAnswers } from "../support/incoming.ts";
import { eventually } from "../support/sandbox.ts";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";
import { PYTHON } from "./packages.ts";

const LOCAL = new URL("./local/", import.meta.url).pathname;
const MB = 1 << 20;

/** What is subscribed: the whole port, or what carries a header. */
const WISHES: readonly { name: string; headers: readonly string[]; incoming: object }[] = [
  { name: "stolen", headers: [], incoming: { mode: "steal" } },
  {
    name: "matched",
    headers: ["x-user: me"],
    incoming: { mode: "steal", http_filter: { header_filter: "^x-user: me" } },
  },
];

async function start(it: Case, incoming: object, port = 80): Promise<LocalServer> {
  const options: RunOptions = {
    env: { XDG_RUNTIME_DIR: it.here },
    configuration: { feature: { network: { incoming } } },
  };
  const server = await LocalServer.start(it.sandbox, [PYTHON, `${LOCAL}fault_server.py`, String(port)], options);
  assert.equal(await server.line(), "listening");
  return server;
}

async function end(it: Case, server: LocalServer): Promise<void> {
  server.kill("SIGTERM");
  await server.exitCode();
  await nothingIsLeft(it.sandbox, it.here);
}

/** What crowd.py says in the sandbox. */
function crowd({ sandbox }: Case, how: string, count: number, headers: readonly string[]): Promise<string> {
  return sandbox.inNetwork([PYTHON, `${LOCAL}crowd.py`, sandbox.address, how, String(count), ...headers]);
}

const curlHeaders = (headers: readonly string[]) => headers.flatMap((it) => ["-H", it]);

for (const { name, headers, incoming } of WISHES) {
  sandboxTest(`1 000 connections at once are ${name} and answered, beside one that is not read`, {}, async (it) => {
    await using server = await start(it, incoming);
    const stuck = new Deno.Command("nsenter", {
      args: ["--target", `${it.sandbox.pid}`, "--net", "--", PYTHON, "-c", UNREAD, it.sandbox.address, ...headers],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const asked = stuck.stdout.getReader();
    await asked.read();
    assert.equal(await crowd(it, "together", 1000, headers), "local=1000\n");
    assert.equal(await whoAnswers(it.sandbox, ...curlHeaders(headers), "http://127.0.0.1/"), "local");
    await stuck.stdin.close();
    await asked.cancel();
    await stuck.status;
    await end(it, server);
  });

  sandboxTest(`10 000 connections in a row are ${name} and answered`, {}, async (it) => {
    await using server = await start(it, incoming);
    assert.equal(await crowd(it, "in_a_row", 10_000, headers), "local=10000\n");
    await end(it, server);
  });

  sandboxTest(`a head of 64 kB and a body of 1 GB are ${name}, both ways, in bounded memory`, {}, async (it) => {
    await using server = await start(it, incoming);
    const big = ["-H", `one: ${"x".repeat(60_000)}`, "-H", `two: ${"y".repeat(6_000)}`];
    const told = await askThere(it.sandbox, ...big, ...curlHeaders(headers), "http://127.0.0.1/");
    assert.deepEqual([told["by"], Number(told["heads"]) > 66_000], ["local", true]);
    const { intproxy, agent } = server.processes();
    for (const pid of [intproxy, agent]) await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5"); // proc(5): resets VmHWM
    const before = [intproxy, agent].map((pid) => megabytes(pid, "VmRSS"));
    const quoted = curlHeaders(headers).map((it) => `'${it}'`).join(" ");
    const post =
      `head -c 1073741824 /dev/zero | curl -sS ${quoted} -H 'Transfer-Encoding:' -H 'Content-Length: 1073741824' -T - http://127.0.0.1/size`;
    const counted = JSON.parse(await it.sandbox.inNetwork(["sh", "-c", post]));
    assert.deepEqual(counted, { by: "local", count: 1 << 30, sha256: SHA256_OF_A_GIGABYTE_OF_ZEROS });
    const got = await it.sandbox.inNetwork(["sh", "-c", `curl -sS ${quoted} 'http://127.0.0.1/big?1024' | sha256sum`]);
    assert.equal(got.split(" ")[0], SHA256_OF_A_GIGABYTE_OF_ZEROS);
    const grown = [intproxy, agent].map((pid, at) => megabytes(pid, "VmHWM") - before[at]!);
    assert.ok(Math.max(...grown) < 150, `intproxy and agent grew by ${grown} MB`);
    await end(it, server);
  });

  sandboxTest(
    `a client of one byte a second is answered where connections are ${name}, and holds up nobody`,
    {},
    async (it) => {
      await using server = await start(it, incoming);
      const slow = it.sandbox.inNetwork([PYTHON, "-c", SNAIL, it.sandbox.address, ...headers]);
      assert.equal(await crowd(it, "in_a_row", 200, headers), "local=200\n");
      // Who has not shown within the detection time that it speaks HTTP is the target's.
      assert.match(await slow, name === "matched" ? /200 OK/ : /"by": "local"/);
      await end(it, server);
    },
  );

  sandboxTest(`garbage is ${name === "matched" ? "the target's" : name}, and harms nobody`, {}, async (it) => {
    await using server = await start(it, incoming);
    for (let seed = 0; seed < 40; seed++) {
      await it.sandbox.inNetwork([PYTHON, "-c", GARBAGE, it.sandbox.address, String(seed)]);
    }
    assert.equal(await crowd(it, "together", 20, headers), "local=20\n");
    await end(it, server);
  });

  for (const who of ["program", "intproxy", "agent", "target"] as const) {
    sandboxTest(
      `the ${who} is killed while 100 connections are ${name}: none goes on waiting, nothing is left`,
      {},
      async (it) => {
        await using server = await start(it, incoming);
        const { intproxy, agent } = server.processes();
        const waiting = it.sandbox.inNetwork([PYTHON, "-c", BROKEN, it.sandbox.address, "100", ...headers]);
        await eventually(() => connectionsOf(it.sandbox.pid) >= 100);
        const victims = { program: server.pid, intproxy, agent, target: it.sandbox.pid };
        Deno.kill(victims[who], "SIGKILL");
        assert.equal(await waiting, "0 wait\n");
        if (who === "intproxy") server.kill("SIGKILL"); // it waits for connections that nobody brings any more
        assert.notEqual(await server.exitCode(), 0);
        if (who === "intproxy") await forgetDeadSession(it.here);
        await (who === "target" ? noProcessIsLeft(it) : nothingIsLeft(it.sandbox, it.here));
      },
    );
  }
}

sandboxTest("what is not matched is the target's for 1 000 connections at once and 2 000 in a row", {}, async (it) => {
  await using server = await start(it, WISHES[1]!.incoming);
  assert.equal(await crowd(it, "together", 1000, []), "target=1000\n");
  assert.equal(await crowd(it, "in_a_row", 2000, ["x-user: you"]), "target=2000\n");
  await end(it, server);
});

const SHA256_OF_A_GIGABYTE_OF_ZEROS = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14";

/** Asks for 200 MB, and does not read them until its input ends. */
const UNREAD = `
import socket, sys
peer = socket.create_connection((sys.argv[1], 80))
peer.sendall(("GET /big?200 HTTP/1.1\\r\\nHost: x\\r\\n" + "".join(it + "\\r\\n" for it in sys.argv[2:]) + "\\r\\n").encode())
print(peer.recv(1)[:0].decode(), flush=True)
sys.stdin.read()`;

/** The first nine bytes one a second, the rest at once. */
const SNAIL = `
import socket, sys, time
peer = socket.create_connection((sys.argv[1], 80))
text = ("GET /snail HTTP/1.1\\r\\nHost: x\\r\\n" + "".join(it + "\\r\\n" for it in sys.argv[2:]) + "Connection: close\\r\\n\\r\\n").encode()
for at in range(9):
    peer.sendall(text[at:at + 1]); time.sleep(1)
peer.sendall(text[9:])
while (data := peer.recv(65536)): sys.stdout.write(data.decode())`;

const GARBAGE = `
import random, socket, sys
random.seed(int(sys.argv[2]))
starts = [b"", b"GET ", b"GET / HTTP/1.1\\r\\n", b"POST / HTTP/1.1\\r\\nContent-Length: -1\\r\\n\\r\\n", b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n",
    b"GET / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n", b"\\x16\\x03\\x01", b"\\0" * 10, b"GET / HTTP/9.9\\r\\n\\r\\n", b"\\r\\n" * 1000]
peer = socket.create_connection((sys.argv[1], 80))
peer.settimeout(60)
try:
    peer.sendall(random.choice(starts) + random.randbytes(random.choice([0, 1, 100, 70000])))
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(65536): pass
except OSError: pass`;

/** Connections with half a request each; says how many of them neither break nor are answered (by the target, then). */
const BROKEN = `
import socket, sys
waiting, peers = 0, []
request = "POST /size HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n" + "".join(it + "\\r\\n" for it in sys.argv[3:]) + "\\r\\nhalf"
for _ in range(int(sys.argv[2])): peers.append(socket.create_connection((sys.argv[1], 80)))
for peer in peers:
    try: peer.sendall(request.encode())
    except ConnectionError: pass
for peer in peers:
    peer.settimeout(60)
    try: peer.recv(65536)
    except ConnectionError: pass
    except TimeoutError: waiting += 1
print(waiting, "wait")`;

/** Connections to port 80 that stand in the network of a process. */
function connectionsOf(pid: number): number {
  const ESTABLISHED = "01";
  const rows = Deno.readTextFileSync(`/proc/${pid}/net/tcp`).split("\n");
  return rows.filter((row) => {
    const fields = row.trim().split(/\s+/);
    return fields[2]?.endsWith(":0050") && fields[3] === ESTABLISHED;
  }).length;
}

/** The directory of an intproxy that was killed is taken away by the next session that starts; here, by us. */
async function forgetDeadSession(here: string): Promise<void> {
  await Deno.remove(`${here}/mirrord`, { recursive: true });
}

/** When the target itself has gone there is nobody to answer. */
async function noProcessIsLeft({ sandbox, here }: Case): Promise<void> {
  await eventually(() => {
    const left = [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).map(({ name }) => {
      try {
        return Deno.readTextFileSync(`/proc/${name}/environ`).includes(here) ? name : "";
      } catch {
        return "";
      }
    });
    return left.every((it) => it === "") && sandbox.pid > 0;
  });
}

function megabytes(pid: number, field: string): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)![1]) * 1024 / MB;
}
