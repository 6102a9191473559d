/** `mirrord port-forward`, end to end, with a sandbox as its target. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free_port.ts";
import { endOf, MIRRORD, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const text = new TextDecoder();
const LED = / leads to | of the target is /;

interface Forwarding {
  readonly sandbox: Sandbox;
  /** The ports here, in the order of the destinations. */
  readonly ports: readonly number[];
  /** Requests that have come to the server here. */
  readonly heard: readonly string[];
  readonly child: Deno.ChildProcess;
  /** What it has printed until now, both streams. */
  said(): string;
  interrupt(): Promise<number>;
}

function forwardTest(
  name: string,
  destinations: readonly string[],
  body: (it: Forwarding) => Promise<void>,
  start: typeof spawnMirrord = spawnMirrord,
): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    const ports = destinations.map(freePort);
    const flags = destinations.flatMap((it, at) => ["-L", `${ports[at]}:${it}`]);
    await runForwarding(sandbox, flags, start, (it) => body({ ...it, ports }));
  });
}

/** The same with a server of this machine, which answers "here"; `flags` are told its port. */
function reverseTest(
  name: string,
  flags: (port: number) => readonly string[],
  body: (it: Forwarding) => Promise<void>,
): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    const heard: string[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      heard.push(new URL(request.url).pathname);
      return new Response("here");
    });
    const { port } = server.addr;
    await runForwarding(sandbox, flags(port), spawnMirrord, (it) => body({ ...it, ports: [port], heard }));
  });
}

async function runForwarding(
  sandbox: Sandbox,
  flags: readonly string[],
  start: typeof spawnMirrord,
  body: (it: Forwarding) => Promise<void>,
): Promise<void> {
  const env = { MIRRORD_PROGRESS_MODE: "off" };
  const child = start(["port-forward", "-t", `process/${sandbox.pid}`, ...flags], { env });
  const count = flags.filter((it) => it === "-L" || it === "-R").length;
  let said = "";
  const listening = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream) said += text.decode(chunk);
  });
  try {
    await eventually(() => said.split(LED).length === count + 1);
    await body({
      ...{ sandbox, ports: [], heard: [], child, said: () => said },
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

function inside(sandbox: Sandbox, ...args: string[]): Promise<string> {
  return sandbox.inNetwork(["curl", "-sS", "--max-time", "60", ...args]);
}

const STOLEN = "-R --steal takes a port of the target, two at once, beside -L; Ctrl-C gives it back";
reverseTest(
  STOLEN,
  (port) => ["-R", `80:${port}`, "-R", `7000:${port}`, "-L", "7001:127.0.0.1:7001", "--steal"],
  async (it) => {
    assert.equal(await inside(it.sandbox, "http://127.0.0.1/a"), "here");
    assert.equal(await inside(it.sandbox, "http://[::1]/b"), "here");
    assert.equal(await inside(it.sandbox, "http://10.99.7.1:7000/c"), "here");
    assert.deepEqual(it.heard, ["/a", "/b", "/c"]);
    assert.match(it.said(), new RegExp(`^port 80 of the target is stolen for 127.0.0.1:${it.ports[0]}$`, "m"));
    assert.match(text.decode(await exchanged(7001, new Uint8Array())), /^only on loopback/);
    assert.equal(await it.interrupt(), 130);
    assert.match(await inside(it.sandbox, "http://127.0.0.1/d"), /"path":"\/d"/);
  },
);

reverseTest("-R copies a port of the target, which goes on answering", (port) => ["-R", `80:${port}`], async (it) => {
  assert.match(await inside(it.sandbox, "http://127.0.0.1/copied"), /"path":"\/copied"/);
  await eventually(() => it.heard.length === 1);
  assert.deepEqual(it.heard, ["/copied"]);
  assert.match(it.said(), /^port 80 of the target is mirrored to 127.0.0.1:\d+$/m);
});

const FILTER = JSON.stringify({
  feature: { network: { incoming: { mode: "steal", http_filter: { header_filter: "^x-mine: yes$" } } } },
});
testUnless(REASON, "-R with an HTTP filter takes the requests that match", async () => {
  await using sandbox = await startSandbox();
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, FILTER);
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("here"));
  await runForwarding(sandbox, ["-R", `80:${server.addr.port}`, "-f", file], spawnMirrord, async () => {
    assert.match(await inside(sandbox, "http://127.0.0.1/"), /"path":"\/"/);
    assert.equal(await inside(sandbox, "-H", "X-Mine: yes", "http://127.0.0.1/"), "here");
  });
  await Deno.remove(file);
});

reverseTest(
  "-R tells when nobody listens here, and its peer sees a reset",
  () => ["-R", "80:9", "--steal"],
  async (it) => {
    assert.equal(await inside(it.sandbox, "http://127.0.0.1/"), "");
    await eventually(() => it.said().includes("warning"));
    assert.match(it.said(), /a connection to port 80 of the target did not reach port 9 here: nobody listens there/);
  },
);

testUnless(REASON, "-R of a port that somebody steals is refused with who does", async () => {
  await using sandbox = await startSandbox();
  await runForwarding(sandbox, ["-R", "80:81", "--steal"], spawnMirrord, async () => {
    const child = spawnMirrord(["port-forward", "-t", `process/${sandbox.pid}`, "-R", "80:82", "--steal"]);
    await child.stdin.close();
    const { code, stderr } = await endOf(child);
    assert.match(
      stderr,
      /Cannot steal port 80: port 80 of the target is stolen already, by .*\(code PORT_NOT_TAKEN\)/s,
    );
    assert.equal(code, 125);
  });
});
