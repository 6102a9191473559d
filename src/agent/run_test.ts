/** The agent as a whole: against processes with namespaces of their own, and without rights. */
import assert from "node:assert/strict";
import { AgentProcess } from "../../tests/support/agent_process.ts";
import { NEEDS_ROOT, TargetProcess } from "../../tests/support/target_process.ts";
import { AgentClient, TEST_SECRET } from "../../tests/support/agent_client.ts";
import { duplexOf } from "../base/duplex.ts";
import { fromUtf8, splitNul, utf8 } from "../base/bytes.ts";
import { ERRNO, UserError } from "../base/errors.ts";
import { type AgentOptions, runAgent } from "./mod.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

function options(changes: Partial<AgentOptions>): AgentOptions {
  return {
    target: { kind: "none" },
    transport: { kind: "listen", port: 0 },
    secretSha256: new Uint8Array(32),
    version: "test",
    communicationTimeoutMs: 60_000,
    clientTimeoutMs: 60_000,
    log: () => {},
    signal: new AbortController().signal,
    ...changes,
  };
}

async function refusal(changes: Partial<AgentOptions>): Promise<UserError> {
  const error = await runAgent(options(changes)).then(() => undefined, (error) => error);
  assert.ok(error instanceof UserError, `${error}`);
  return error;
}

Deno.test("an agent nobody comes to leaves", async () => {
  let log = "";
  await runAgent(options({ communicationTimeoutMs: 30, log: (line) => log += line }));
  assert.match(log, /Nobody came/);
});

Deno.test("an agent that is told to stop leaves, also when it was told before it began", async () => {
  const stop = new AbortController();
  await runAgent(options({ signal: stop.signal, log: (line) => line.startsWith("Ready") && stop.abort() }));
  await runAgent(options({ signal: AbortSignal.abort() }));
});

Deno.test("a process that does not exist is no target", async () => {
  const error = await refusal({ target: { kind: "pid", pid: 2 ** 22 + 1 } });
  assert.equal(error.code, "NO_SUCH_PROCESS");
});

Deno.test("a container that does not exist is looked for, then refused", async () => {
  const stop = new AbortController();
  const looking = refusal({
    target: { kind: "container", id: "containerd://no-such-container-0123" },
    signal: stop.signal,
  });
  stop.abort();
  assert.equal((await looking).code, "CONTAINER_NOT_FOUND");
  assert.equal((await refusal({ target: { kind: "container", id: "/.*/" } })).code, "BAD_CONTAINER_ID");
});

Deno.test("a port that is taken is refused in words", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const error = await refusal({ transport: { kind: "listen", port: taken.addr.port } });
  assert.equal(error.code, "PORT_NOT_FREE");
});

Deno.test("without a target the agent is its own pod, its own variables left out", async () => {
  await using agent = new AgentProcess({ target: { kind: "none" } }, [
    "env",
    "MIRRORD_SECRET=x",
    "DENO_DIR=/tmp",
    "PET=cat",
  ]);
  await using client = agent.client();
  await client.hello();
  const { environ, hostname } = await client.ask({ type: "GetTarget" }, "Target");
  const variables = splitNul(environ).map(fromUtf8);
  assert.ok(variables.includes("PET=cat"));
  assert.equal(variables.find((variable) => /^(MIRRORD|DENO)_/.test(variable)), undefined);
  assert.equal(hostname, Deno.hostname());
});

Deno.test({
  name:
    "the agent acts as a process with namespaces of its own: variables, host name, files, names, network (needs root)",
  ...NEEDS_ROOT,
  async fn() {
    await using target = await TargetProcess.start({
      hostname: "box",
      environ: { A: "1", B: "two words" },
      files: {
        "/etc/app.conf": "from the target",
        "/etc/hosts": "10.1.2.3 in-hosts\n",
        "/etc/resolv.conf": "nameserver 127.0.0.1\nsearch box.test\n",
      },
    });
    await using _names = await target.serve("name_server.ts", JSON.stringify({ "web.box.test": { A: ["10.4.5.6"] } }));
    await using _server = await target.serve("tcp_server.ts", "7777", "hello from inside");
    await using agent = new AgentProcess({ target: { kind: "pid", pid: target.pid } });
    await using client = agent.client();
    await client.hello();

    const { hostname, environ } = await client.ask({ type: "GetTarget" }, "Target");
    assert.deepEqual([hostname, ...splitNul(environ).map(fromUtf8)], ["box", "A=1", "B=two words"]);
    assert.equal(fromUtf8((await client.open("/etc/app.conf")).data), "from the target");
    const real = await client.ask({ type: "RealPath", path: utf8("/bin/../../etc/app.conf") }, "PathReply");
    assert.equal(fromUtf8(real.path), "/etc/app.conf");
    for (const [name, address] of [["in-hosts", [10, 1, 2, 3]], ["web", [10, 4, 5, 6]]] as const) {
      const { addresses } = await client.ask({ type: "Resolve", name, family: 4, flags: 0 }, "ResolveReply");
      assert.deepEqual([...addresses.subarray(0, 5)], [4, ...address]);
    }
    const connected = await client.ask({ type: "Connect", stream: 1, address: LOOPBACK, port: 7777 }, "ConnectReply");
    assert.equal(connected.errno, 0);
    const hello = await client.next(({ type }) => type === "Data");
    assert.equal(fromUtf8((hello as { data: Uint8Array }).data), "hello from inside");
    const nowhere = { type: "Connect", stream: 2, address: Uint8Array.of(10, 0, 0, 1), port: 80 } as const;
    assert.equal((await client.ask(nowhere, "ConnectReply")).errno, ERRNO.ENETUNREACH);
  },
});

Deno.test({
  name: "a target in a chroot has its directory as /, and its real paths begin there (needs root)",
  ...NEEDS_ROOT,
  async fn() {
    await using target = await TargetProcess.start({ isChroot: true, files: { "/etc/app.conf": "chrooted" } });
    await using agent = new AgentProcess({ target: { kind: "pid", pid: target.pid } });
    await using client = agent.client();
    await client.hello();
    assert.equal(fromUtf8((await client.open("/etc/app.conf")).data), "chrooted");
    for (const [path, expected] of [["/bin", "/usr/bin"], ["/..", "/"]] as const) {
      const { path: real } = await client.ask({ type: "RealPath", path: utf8(path) }, "PathReply");
      assert.equal(fromUtf8(real), expected);
    }
  },
});

Deno.test({
  name: "files are read with the rights of the target's user and groups (needs root)",
  ...NEEDS_ROOT,
  async fn() {
    await using target = await TargetProcess.start({
      user: { uid: 1234, gid: 1234, groups: [2000] },
      files: { "/etc/root-only": "r", "/etc/own": "o", "/etc/group": "g", "/etc/hosts": "10.1.2.3 web\n" },
      setUp: `cd etc; chmod 600 root-only own hosts; chown 1234 own; chgrp 2000 group; chmod 640 group; cd ..`,
    });
    await using agent = new AgentProcess({ target: { kind: "pid", pid: target.pid } });
    await using client = agent.client();
    await client.hello();
    const errnos = async () => {
      const paths = ["/etc/root-only", "/etc/own", "/etc/group"];
      return await Promise.all(paths.map(async (path) => (await client.open(path)).errno));
    };
    assert.deepEqual(await errnos(), [ERRNO.EACCES, 0, 0]);
    const access = async (path: string) => {
      const { errno } = await client.ask({ type: "Access", path: utf8(path), mode: 4, flags: 0 }, "Done");
      return errno;
    };
    assert.deepEqual([await access("/etc/root-only"), await access("/etc/group")], [ERRNO.EACCES, 0]);
    // The rights were laid down again: the agent itself reads the hosts file, which is root's.
    for (let count = 0; count < 20; count++) {
      const resolved = await client.ask({ type: "Resolve", name: "web", family: 4, flags: 0 }, "ResolveReply");
      assert.equal(resolved.eai, 0);
    }
    assert.deepEqual(await errnos(), [ERRNO.EACCES, 0, 0]);
  },
});

Deno.test({
  name: "a container is found by the id in its cgroup, and is its first process (needs root, a writable cgroup)",
  ignore: NEEDS_ROOT.ignore || cgroupDirectory() === undefined,
  async fn() {
    const id = `c0ffee${crypto.randomUUID().replaceAll("-", "")}`;
    const cgroup = `${cgroupDirectory()}/mirrord-test-${id}.scope`;
    await Deno.mkdir(cgroup);
    {
      await using target = await TargetProcess.start({ hostname: "container" });
      await using later = await TargetProcess.start({ hostname: "later" });
      for (const pid of [later.pid, target.pid]) await Deno.writeTextFile(`${cgroup}/cgroup.procs`, `${pid}`);
      await using agent = new AgentProcess({ target: { kind: "container", id: `containerd://${id}` } });
      await using client = agent.client();
      await client.hello();
      assert.equal((await client.ask({ type: "GetTarget" }, "Target")).hostname, "container");
    }
    await Deno.remove(cgroup);
  },
});

/** Where a cgroup can be made: the v2 hierarchy, or any of v1. */
function cgroupDirectory(): string | undefined {
  const mounts = Deno.readTextFileSync("/proc/self/mounts").split("\n").map((line) => line.split(" "));
  const candidates = mounts.filter(([, , type, flags]) => type?.startsWith("cgroup") && flags?.startsWith("rw"));
  return candidates.map(([, path]) => path!).find((path) => {
    try {
      Deno.statSync(`${path}/cgroup.procs`);
      return true;
    } catch {
      return false;
    }
  });
}

Deno.test({
  name:
    "the agent listens on loopback of its own network only, and serves several clients until the last leaves (needs root)",
  ...NEEDS_ROOT,
  async fn() {
    await using target = await TargetProcess.start({ files: { "/etc/app.conf": "x" } });
    await using agent = new AgentProcess({ target: { kind: "pid", pid: target.pid }, isListening: true });
    const port = await agent.port();
    const inTarget = await new Deno.Command("nsenter", {
      args: [`--net=/proc/${target.pid}/ns/net`, "cat", "/proc/self/net/tcp"],
    }).output();
    assert.doesNotMatch(
      fromUtf8(inTarget.stdout),
      /:[0-9A-F]{4} 00000000:0000 0A/,
      "a listener in the target's network",
    );
    const here = await Deno.readTextFile("/proc/self/net/tcp");
    assert.match(here, new RegExp(`0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`));
    {
      await using stranger = await agent.connect();
      assert.match((await stranger.hello(new Uint8Array(32))).error, /secret/);
      await using first = await agent.connect();
      await using second = await agent.connect();
      for (const client of [first, second]) assert.equal((await client.hello()).error, "");
      for (const client of [first, second]) assert.equal((await client.open("/etc/app.conf")).errno, 0);
      await first[Symbol.asyncDispose]();
      await second.ask({ type: "Ping" }, "Pong");
    }
    assert.equal((await agent.status()).code, 0);
    assert.match(agent.log, /The last client has left/);
  },
});

Deno.test({
  name: "when the target ends the client is told, and the agent leaves (needs root)",
  ...NEEDS_ROOT,
  async fn() {
    await using target = await TargetProcess.start();
    await using agent = new AgentProcess({ target: { kind: "pid", pid: target.pid } });
    await using client = agent.client();
    await client.hello();
    await target.end();
    const warning = await client.next(({ type }) => type === "Warning");
    assert.match((warning as { text: string }).text, /target process has ended/);
    await client.ended();
    assert.equal((await agent.status()).code, 0);
  },
});

Deno.test("an agent that is told to end tells its clients and goes", async () => {
  await using agent = new AgentProcess({ target: { kind: "none" }, isListening: true });
  await using client = await agent.connect();
  await client.hello();
  agent.kill("SIGTERM");
  await client.next(({ type }) => type === "Warning");
  await client.ended();
  assert.equal((await agent.status()).code, 0);
});

Deno.test("an agent at a pipe goes when the pipe ends, whether or not anybody said Hello", async () => {
  await using agent = new AgentProcess({ target: { kind: "none" } });
  await agent.client()[Symbol.asyncDispose]();
  assert.equal((await agent.status()).code, 0);
});

/** An agent of this process; resolves with the port it listens on. */
function started(changes: Partial<AgentOptions>): { port: Promise<number>; left: Promise<void>; log: string[] } {
  const { promise: port, resolve } = Promise.withResolvers<number>();
  const log: string[] = [];
  const left = (async () => {
    const secretSha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", TEST_SECRET));
    await runAgent(options({
      secretSha256,
      log(line) {
        log.push(line);
        const said = /Ready on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (said) resolve(Number(said));
      },
      ...changes,
    }));
  })();
  return { port, left, log };
}

async function connectTo(port: number): Promise<AgentClient> {
  return new AgentClient(duplexOf(await Deno.connect({ hostname: "127.0.0.1", port })));
}

Deno.test("an agent that is kept alive stays for a second client, then leaves when nobody comes back", async () => {
  const agent = started({ keepAliveMs: 1000 });
  const port = await agent.port;
  for (let client = 0; client < 2; client++) {
    await using first = await connectTo(port);
    await first.hello();
  }
  await agent.left;
  assert.equal(agent.log.filter((it) => it.startsWith("A client has come")).length, 2);
  assert.match(agent.log.at(-1)!, /^Nobody came back/);
});

Deno.test("who does not know the secret cannot keep an agent alive", async () => {
  const agent = started({ keepAliveMs: 300 });
  const port = await agent.port;
  {
    await using client = await connectTo(port);
    await client.hello();
  }
  let knocks = 0;
  const knocking = (async () => {
    while (true) {
      const stranger = await connectTo(port).catch(() => undefined);
      if (!stranger) return;
      knocks++;
      // An agent that leaves may have taken the connection and not answer any more.
      await Promise.race([stranger.hello(new Uint8Array(32)).catch(() => {}), agent.left]);
      await stranger[Symbol.asyncDispose]();
    }
  })();
  await agent.left;
  assert.ok(knocks > 0);
  await knocking;
});
