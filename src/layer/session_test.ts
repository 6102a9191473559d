import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO, UserError } from "../base/errors.ts";
import { AGENT_PROTOCOL, type AgentFrame, type AgentMessage } from "../proto/agent.ts";
import { LAYER, LAYER_LIMITS } from "../proto/layer.ts";
import { NO_STAT } from "../proto/schema.ts";
import { POLLERR, POLLIN, POLLOUT, RawSocket } from "../../tests/support/raw_socket.ts";
import { NOT_BOUND, Program, Run } from "../../tests/support/run.ts";
import { ShimClient } from "../../tests/support/shim_client.ts";
import { layerCodec } from "./intproxy/shim_connection.ts";

const SMALL_FILE: AgentMessage = {
  type: "OpenReply",
  errno: 0,
  stat: { ...NO_STAT, size: 2n, mode: 0o100644 },
  isWhole: true,
  handle: 0n,
  data: utf8("hi"),
};
const open = { type: "Open", path: utf8("/etc/x"), flags: 0 } as const;
const onOpen = (frame: AgentFrame) => frame.type === "Open" ? SMALL_FILE : undefined;

// --- Starting ---------------------------------------------------------------------------------------------------

Deno.test("a run starts with one round trip and leaves settings and a private socket", async () => {
  await using run = await Run.start();
  assert.deepEqual(run.agent.frames.map(({ type }) => type), ["Hello", "GetTarget"]);
  assert.equal(run.intproxy.target.hostname, "target-host");
  assert.equal(fromUtf8(run.intproxy.target.environ), "A=1\0");
  const bytes = await Deno.readFile(`${run.directory}/settings`);
  const settings = layerCodec.decode(bytes.subarray(4));
  assert.ok(settings.type === "Settings");
  assert.equal(settings.hostname, "target-host");
  assert.equal(settings.build, "b");
  assert.ok(settings.holePort4 > 0 && settings.acceptPort4 > 0);
  assert.equal((await Deno.stat(run.directory)).mode! & 0o777, Deno.uid() === 0 ? 0o711 : 0o700);
  assert.deepEqual([...Deno.readDirSync(run.directory)].map(({ name }) => name).sort(), [
    "cwd",
    "lock",
    "settings",
    "shelf",
    "socket",
    "written",
  ]);
});

const REFUSALS: readonly [string, string, number, string][] = [
  ["of another protocol", "AGENT_VERSION", AGENT_PROTOCOL + 1, "use the same version"],
  ["that does not know us", "AGENT_REFUSED", AGENT_PROTOCOL, "it does not know the secret of this run"],
];
for (const [which, code, protocol, error] of REFUSALS) {
  Deno.test(`an agent ${which} is an error with a hint`, async () => {
    const answer = (frame: AgentFrame): AgentMessage | undefined =>
      frame.type === "Hello" ? { type: "HelloReply", protocol, version: "9.9", error } : undefined;
    await assert.rejects(
      Run.start({ answer }),
      (thrown: unknown) => thrown instanceof UserError && thrown.code === code && thrown.hint !== undefined,
    );
  });
}

Deno.test("an agent that ends the connection while we shake hands is an error, not a hang", async () => {
  await assert.rejects(
    Run.start({ answer: () => ({ type: "Done", errno: 0 }) }),
    (thrown: unknown) => thrown instanceof UserError && thrown.code === "AGENT_LOST",
  );
});

Deno.test("an agent that says nothing is an error after a while", async () => {
  await assert.rejects(
    Run.start({ answer: () => "silence", times: { silenceMs: 20 } }),
    (thrown: unknown) => thrown instanceof UserError && /does not answer/.test(thrown.message),
  );
});

Deno.test("an agent of another version that understands us is warned of", async () => {
  const answer = (frame: AgentFrame): AgentMessage | undefined =>
    frame.type === "Hello" ? { type: "HelloReply", protocol: AGENT_PROTOCOL, version: "0.0.1", error: "" } : undefined;
  await using run = await Run.start({ answer });
  assert.equal(run.intproxy.warnings.length, 1);
  assert.match(run.intproxy.warnings[0]!, /^the agent is mirrord 0.0.1, this is test: .*--agent-image/);
});

Deno.test("what the agent warns of is in the log, and the program is told, each sentence once", async () => {
  const program = (directory: string) => new Program(directory, "read line", "piped");
  await using run = await Run.start({ program });
  for (const text of ["careful", "careful", "slow"]) run.agent.link.send({ type: "Warning", id: 0, text });
  while (!run.log.includes("agent: slow")) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(run.log.filter((it) => it === "agent: careful").length, 2);
  await run.program.leave();
  assert.equal(await run.program.stderr(), "mirrord: careful\nmirrord: slow\n");
  assert.deepEqual(run.intproxy.warnings, []);
});

Deno.test("a loopback port is local while a process of the run listens on it, else the target's", async () => {
  const address = Uint8Array.of(127, 0, 0, 1);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  // This process listens; it is the program of the second run only.
  for (const isOurs of [false, true]) {
    await using run = await Run.start(isOurs ? { rootPid: Deno.pid } : {});
    await using shim = await run.shim();
    assert.equal((await shim.ask({ type: "Destination", address, port }, "DestinationReply")).isLocal, isOurs);
    assert.equal((await shim.ask({ type: "Destination", address, port: 9 }, "DestinationReply")).isLocal, false);
  }
  listener.close();
});

// --- Bad frames -------------------------------------------------------------------------------------------------

const hello = layerCodec.encode({ type: "Hello", build: "b", pid: 1, isLifeline: false, program: "" }, 0);
const tooLong = new Uint8Array(4);
new DataView(tooLong.buffer).setUint32(0, LAYER_LIMITS.frameBytes + 1, true);
const MALFORMED: readonly [string, Uint8Array[]][] = [
  ["a first frame that is no Hello", [layerCodec.encode(open, 1)]],
  ["a Hello of another build", [
    layerCodec.encode({ ...layerCodec.decode(hello.subarray(4)), build: "other" } as never, 0),
  ]],
  ["a frame that is too long", [hello, tooLong]],
  ["a type that does not exist", [hello, Uint8Array.of(5, 0, 0, 0, 250, 1, 0, 0, 0)]],
  ["a field that is cut off", [hello, Uint8Array.of(7, 0, 0, 0, LAYER.Open.id, 1, 0, 0, 0, 9, 9)]],
  ["an answer where a request is due", [hello, layerCodec.encode({ type: "Done", errno: 0 }, 1)]],
  ["a second Hello", [hello, hello]],
  ["nonsense", [crypto.getRandomValues(new Uint8Array(4096))]],
];
for (const [what, frames] of MALFORMED) {
  Deno.test(`${what} ends that connection and no other`, async () => {
    await using run = await Run.start({ answer: onOpen });
    await using good = await run.shim();
    await using bad = await ShimClient.connectSilently(run.directory);
    for (const frame of frames) await bad.sendBytes(frame);
    await bad.ended();
    assert.equal(fromUtf8((await good.ask(open, "OpenReply")).data), "hi");
    assert.ok(run.log.some((line) => line.startsWith("a shim broke the rules")));
  });
}

Deno.test("a frame of the agent that breaks the rules ends the link: the programs' calls fail, none hangs", async () => {
  await using run = await Run.start({
    answer: (frame) => frame.type === "Open" ? { type: "PathReply", errno: 0, path: utf8("/") } : undefined,
  });
  await using shim = await run.shim();
  assert.equal((await shim.ask(open, "OpenReply")).errno, ERRNO.EIO);
  assert.equal(await run.intproxy.finished, "agent lost");
});

// --- The end of the programs --------------------------------------------------------------------------------------

Deno.test("a run goes when its program has gone, and leaves nothing", async () => {
  await using run = await Run.start();
  await run.program.leave();
  assert.equal(await run.intproxy.finished, "programs left");
  await run.agent.ended();
  await assert.rejects(Deno.stat(run.directory), Deno.errors.NotFound);
});

Deno.test("a run stays while a lifeline is open, although its program has gone", async () => {
  await using run = await Run.start({ answer: onOpen });
  const daemon = await run.shim({ isLifeline: true, pid: 70003 });
  await run.program.leave();
  assert.equal((await daemon.ask(open, "OpenReply")).errno, 0);
  await daemon[Symbol.asyncDispose]();
  assert.equal(await run.intproxy.finished, "programs left");
});

Deno.test("a run stays while a process lives that the shim cannot enter, found by its environment", async () => {
  await using run = await Run.start({ answer: onOpen });
  await using straggler = new Program(run.directory);
  await run.program.leave();
  await using shim = await run.shim();
  assert.equal((await shim.ask(open, "OpenReply")).errno, 0);
  await straggler.leave();
  assert.equal(await run.intproxy.finished, "programs left");
});

Deno.test("a run stays between two images of its program", async () => {
  await using run = await Run.start({ answer: onOpen });
  const image = await run.shim({ isLifeline: true, pid: run.program.pid });
  await image[Symbol.asyncDispose]();
  await using next = await run.shim({ isLifeline: true, pid: run.program.pid });
  assert.equal((await next.ask(open, "OpenReply")).errno, 0);
  await next[Symbol.asyncDispose]();
  await run.program.leave();
  assert.equal(await run.intproxy.finished, "programs left");
});

Deno.test("what a program wrote before it left still reaches the agent", async () => {
  await using run = await Run.start();
  const shim = await run.shim({ isLifeline: true, pid: run.program.pid });
  using socket = await connected(run, shim);
  const sent = socket.send(new Uint8Array(100_000));
  socket[Symbol.dispose]();
  await shim[Symbol.asyncDispose]();
  await run.program.leave();
  assert.equal(await run.intproxy.finished, "programs left");
  await run.agent.ended();
  const arrived = run.agent.frames.reduce((sum, frame) => sum + (frame.type === "Data" ? frame.data.length : 0), 0);
  assert.equal(arrived, sent);
  assert.ok(run.agent.types().includes("End"));
});

Deno.test("what a program wrote before it left is waited for while the far side takes it slowly", async () => {
  await using run = await Run.start();
  const shim = await run.shim({ isLifeline: true, pid: run.program.pid });
  using socket = await connected(run, shim);
  const bytes = new Uint8Array(1 << 20);
  while (socket.send(bytes) > 0);
  socket[Symbol.dispose]();
  await shim[Symbol.asyncDispose]();
  await run.program.leave();
  const { stream } = await run.agent.expect("End");
  assert.equal(await Promise.race([run.intproxy.finished, soon(400)]), "not yet");
  const sent = run.agent.frames.reduce((sum, frame) => sum + (frame.type === "Data" ? frame.data.length : 0), 0);
  run.agent.link.send({ type: "Credit", id: 0, stream, bytes: sent });
  assert.equal(await run.intproxy.finished, "programs left");
});

function soon(ms: number): Promise<"not yet"> {
  return new Promise((resolve) => setTimeout(() => resolve("not yet"), ms));
}

Deno.test("who is told to go goes at once, and leaves the program alone", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  const asked = shim.ask(open, "OpenReply");
  await run.agent.expect("Open");
  run.abort();
  assert.equal((await asked).errno, ERRNO.EIO);
  assert.equal(await run.intproxy.finished, "aborted");
  await shim.ended();
  assert.equal((await run.program.leave()).signal, null);
  await assert.rejects(Deno.stat(run.directory), Deno.errors.NotFound);
});

// --- The end of the agent -----------------------------------------------------------------------------------------

const NO_ADDRESS = { localAddress: new Uint8Array(0), localPort: 0 };

async function connected(run: Run, shim: ShimClient): Promise<RawSocket> {
  const socket = new RawSocket();
  const settings = layerCodec.decode((await Deno.readFile(`${run.directory}/settings`)).subarray(4));
  assert.ok(settings.type === "Settings");
  socket.connect(settings.holePort4);
  const peer = { address: Uint8Array.of(1, 2, 3, 4), port: 5, ...NOT_BOUND };
  await shim.tell({ type: "Connect", ...peer, ...socket.local, isBlocking: false });
  run.agent.reply(await run.agent.expect("Connect"), { type: "ConnectReply", errno: 0, ...NO_ADDRESS });
  assert.equal(await socket.wait(POLLOUT), POLLOUT);
  return socket;
}

Deno.test("when the agent is lost, pending and later calls get errors and connections are reset", async () => {
  await using run = await Run.start({ program: (directory) => new Program(directory, "trap '' TERM; read line") });
  await using shim = await run.shim();
  using socket = await connected(run, shim);
  const path = utf8("/x");
  const pending = [
    shim.ask(open, "OpenReply").then(({ errno }) => errno),
    shim.ask({ type: "Stat", path, flags: 0 }, "StatReply").then(({ errno }) => errno),
    shim.ask({ type: "Resolve", name: "a", family: 0, flags: 0 }, "ResolveReply").then(({ eai }) => eai),
    shim.ask({ type: "ReverseName", address: Uint8Array.of(1, 1, 1, 1), withAliases: false }, "NameReply").then((
      { eai },
    ) => eai),
    shim.ask(
      {
        type: "Connect",
        address: new Uint8Array(4),
        port: 1,
        localAddress: new Uint8Array(4),
        localPort: 9,
        isBlocking: true,
        ...NOT_BOUND,
      },
      "ConnectReply",
    ).then(({ errno }) => errno),
  ];
  await run.agent.expect("Resolve");
  await run.agent.expect("Connect");
  run.agent.link.close();
  assert.deepEqual(await Promise.all(pending), [ERRNO.EIO, ERRNO.EIO, -3, -3, ERRNO.ENETUNREACH]);
  assert.equal(await socket.wait(POLLIN) & POLLERR, POLLERR);
  assert.equal(socket.soError(), ERRNO.ECONNRESET);
  assert.equal((await shim.ask({ type: "Stat", path, flags: 0 }, "StatReply")).errno, ERRNO.EIO);
  await run.program.leave();
  assert.equal(await run.intproxy.finished, "agent lost");
});

Deno.test("when the agent is lost, the program is told in one sentence and ended", async () => {
  await using run = await Run.start({ program: (directory) => new Program(directory, "read line", "piped") });
  run.agent.link.close();
  assert.equal(await run.intproxy.finished, "agent lost");
  assert.equal((await run.program.status()).signal, "SIGTERM");
  assert.match(
    await run.program.stderr(),
    /^mirrord: the connection to the agent is lost \(.+\); ending the program\n$/,
  );
});

Deno.test("when the agent is lost, a program that will not go is killed, and its children with it", async () => {
  const stubborn = (name: string) => `trap "" TERM; : > "$MIRRORD_SESSION_DIR/${name}"; while :; do sleep 100; done`;
  await using run = await Run.start({
    program: (directory) => new Program(directory, `sh -c '${stubborn("child")}' & ${stubborn("root")}`),
    times: { termGraceMs: 30 },
  });
  // SIGTERM must find the traps set.
  const isReady = (name: string) => Deno.stat(`${run.directory}/${name}`).then(() => true, () => false);
  while (!await isReady("child") || !await isReady("root")) await new Promise((resolve) => setTimeout(resolve, 1));
  run.agent.link.close();
  assert.equal(await run.intproxy.finished, "agent lost");
  assert.equal((await run.program.status()).signal, "SIGKILL");
});

Deno.test("an agent that gives no sign of life is lost", async () => {
  const mute = (frame: AgentFrame) => frame.type === "Ping" ? "silence" : undefined;
  await using run = await Run.start({ answer: mute, times: { pingMs: 5, silenceMs: 50 } });
  assert.equal(await run.intproxy.finished, "agent lost");
});
