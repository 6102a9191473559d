/** `mirrord port-forward`, end to end, with a sandbox as its target. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { endOf, MIRRORD, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const text = new TextDecoder();

interface Forwarding {
  readonly sandbox: Sandbox;
  /** The ports here, in the order of the destinations. */
  readonly ports: readonly number[];
  readonly child: Deno.ChildProcess;
  /** What it has printed until now, both streams. */
  said(): string;
  interrupt(): Promise<number>;
}

function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((it) => it.addr.port);
  for (const it of listeners) it.close();
  return ports;
}

function forwardTest(
  name: string,
  destinations: readonly string[],
  body: (it: Forwarding) => Promise<void>,
  start: typeof spawnMirrord = spawnMirrord,
): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    const ports = freePorts(destinations.length);
    const flags = destinations.flatMap((it, at) => ["-L", `${ports[at]}:${it}`]);
    const env = { MIRRORD_PROGRESS_MODE: "off" };
    const child = start(["port-forward", "-t", `process/${sandbox.pid}`, ...flags], { env });
    let said = "";
    const listening = [child.stdout, child.stderr].map(async (stream) => {
      for await (const chunk of stream) said += text.decode(chunk);
    });
    try {
      await eventually(() => said.split("leads to").length === destinations.length + 1);
      await body({
        ...{ sandbox, ports, child, said: () => said },
        async interrupt() {
          child.kill("SIGINT");
          const { code, signal } = await child.status;
          assert.equal(signal, null); // it ended by itself
          return code;
        },
      });
    } finally {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      await child.stdin.close().catch(() => {});
      await Promise.all(listening);
    }
  });
}

/** Numbers of the agents whose target this is. */
function agentsOf({ pid }: Sandbox): number[] {
  return [...Deno.readDirSync("/proc")].map((it) => Number(it.name)).filter((it) => it > 0).filter((it) => {
    try {
      const words = Deno.readTextFileSync(`/proc/${it}/cmdline`).split("\0");
      return words.includes("agent") && words[words.indexOf("--pid") + 1] === String(pid);
    } catch {
      return false;
    }
  });
}

/** Sends all, half-closes, and reads to the end: the answer comes behind the half-close. */
async function exchanged(port: number, bytes: Uint8Array): Promise<Uint8Array> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  await conn.closeWrite();
  const heard: Uint8Array<ArrayBuffer>[] = [];
  const buffer = new Uint8Array(16 << 10);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    heard.push(buffer.slice(0, count));
  }
  return await new Blob(heard).bytes();
}

const FOUR = ["echo-server:80", "127.0.0.1:7001", "[::1]:80", "10.99.7.1:7000"];
forwardTest(
  "names and addresses of the target are reached, each at its port",
  FOUR,
  async ({ sandbox, ports, said }) => {
    const [named, loopback, six, bytes] = ports as [number, number, number, number];
    const answer = await (await fetch(`http://127.0.0.1:${named}/there`)).json();
    assert.deepEqual([answer.host.hostname, answer.http.path], [sandbox.hostname, "/there"]);
    const greeting = await exchanged(loopback, new Uint8Array());
    assert.equal(text.decode(greeting), `only on loopback of ${sandbox.hostname}\n`);
    assert.equal((await (await fetch(`http://127.0.0.1:${six}/six`)).json()).http.path, "/six");
    const sent = crypto.getRandomValues(new Uint8Array(50_000));
    const many = await Promise.all(Array.from({ length: 20 }, () => exchanged(bytes, sent)));
    assert.ok(many.every((it) => it.toHex() === sent.toHex()));
    assert.match(said(), new RegExp(`^127.0.0.1:${six} leads to \\[::1\\]:80 of the target$`, "m"));
  },
);

const NOWHERE = ["no-such-name:80", "127.0.0.1:9", "echo-server:80"];
forwardTest(
  "what is not reached is told, its connection reset, and the others go on",
  NOWHERE,
  async ({ ports, said }) => {
    for (const port of ports.slice(0, 2)) {
      await assert.rejects(exchanged(port, new Uint8Array([1])), /reset|broken/i);
    }
    await eventually(() => said().split("warning").length === 3);
    assert.match(said(), /no-such-name:80 was not reached: the target knows no such name/);
    assert.match(said(), /127.0.0.1:9 was not reached: connection refused/);
    assert.equal((await fetch(`http://127.0.0.1:${ports[2]}/`).then((it) => it.json())).http.path, "/");
  },
);

forwardTest("Ctrl-C ends it, its ports, its connections and its agent", ["10.99.7.1:7000"], async (it) => {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: it.ports[0]! });
  await conn.write(new Uint8Array([7]));
  assert.equal(await conn.read(new Uint8Array(1)), 1);
  assert.equal(agentsOf(it.sandbox).length, 1);
  assert.equal(await it.interrupt(), 130);
  assert.equal(await conn.read(new Uint8Array(1)).catch(() => null), null);
  await assert.rejects(Deno.connect({ hostname: "127.0.0.1", port: it.ports[0]! }), /refused/);
  await eventually(() => agentsOf(it.sandbox).length === 0);
});

/** As behind nohup, in the background of a script. */
const ignoring: typeof spawnMirrord = (args, options = {}) => {
  const command = `trap '' HUP INT; exec ${MIRRORD} "$@"`;
  return spawnMirrord(["-c", command, "sh", ...args], { ...options, executable: "/bin/sh" });
};
const BEHIND_NOHUP = "behind nohup it survives a hang-up, and still ends in order at Ctrl-C";
forwardTest(BEHIND_NOHUP, ["10.99.7.1:7000"], async (it) => {
  it.child.kill("SIGHUP");
  const sent = crypto.getRandomValues(new Uint8Array(100));
  assert.equal((await exchanged(it.ports[0]!, sent)).toHex(), sent.toHex());
  it.child.kill("SIGINT");
  const { code, signal } = await it.child.status;
  assert.deepEqual({ code, signal }, { code: 130, signal: null });
  await eventually(() => agentsOf(it.sandbox).length === 0);
}, ignoring);

forwardTest("an agent that is lost ends it with the reason", ["echo-server:80"], async ({ sandbox, child, said }) => {
  for (const pid of agentsOf(sandbox)) Deno.kill(pid, "SIGKILL");
  assert.equal((await child.status).code, 125);
  await eventually(() => /Cannot forward any longer: .*\(code AGENT_LOST\)/s.test(said()));
});

testUnless(REASON, "a port that somebody has is refused before there is an agent", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const child = spawnMirrord(["port-forward", "-t", "process/1", "-L", `${taken.addr.port}:db:5432`]);
  await child.stdin.close();
  const { code, stderr } = await endOf(child);
  assert.match(stderr, /Cannot listen on port \d+ of this machine: somebody listens there\n hint: .*PORT_NOT_OPENED/);
  assert.equal(code, 125);
});
