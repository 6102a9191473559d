import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { makeCodec } from "../../proto/codec.ts";
import { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import {
  ECONNRESET,
  EINPROGRESS,
  type Kind,
  POLLERR,
  POLLIN,
  POLLOUT,
  RawSocket,
} from "../../../tests/support/raw_socket.ts";
import { NOT_BOUND, Run } from "../../../tests/support/run.ts";
import type { Named } from "../../../tests/support/scripted_agent.ts";
import type { ShimClient } from "../../../tests/support/shim_client.ts";

const PEER = { address: Uint8Array.of(10, 1, 2, 3), port: 80, ...NOT_BOUND };
const OWN = { localAddress: Uint8Array.of(10, 9, 9, 9), localPort: 4242 };
const HAS_IPV6 = (await Deno.readTextFile("/proc/net/if_inet6").catch(() => "")).includes(" lo\n");
/** Without IPv6 on loopback (nothing to test it with) only IPv4 is tried. */
const KINDS: readonly Kind[] = HAS_IPV6 ? [4, 6, "mapped"] : [4];
const nameOf = (kind: Kind) => typeof kind === "number" ? `IPv${kind}` : "v4-mapped";

type Settings = MessageNamed<typeof LAYER, "Settings">;

async function settingsOf(run: Run): Promise<Settings> {
  return makeCodec(LAYER).decode((await Deno.readFile(`${run.directory}/settings`)).subarray(4)) as unknown as Settings;
}

/** The app's socket waits in the hole, and the agent has been asked. */
async function begin(run: Run, shim: ShimClient, socket: RawSocket, kind: Kind): Promise<Named<"Connect">> {
  const settings = await settingsOf(run);
  assert.equal(socket.connect(kind === 6 ? settings.holePort6 : settings.holePort4), EINPROGRESS);
  await shim.tell({ type: "Connect", ...PEER, ...socket.local, isBlocking: false });
  const asked = await run.agent.expect("Connect");
  assert.deepEqual([asked.address, asked.port], [PEER.address, PEER.port]);
  assert.equal(await socket.events(), 0);
  return asked;
}

for (const kind of KINDS) {
  Deno.test(`a non-blocking ${nameOf(kind)} connect stays in progress, then the app's own socket is connected`, async () => {
    await using run = await Run.start();
    await using shim = await run.shim();
    using socket = new RawSocket(kind);
    const asked = await begin(run, shim, socket, kind);
    const { isPending } = await shim.ask({ type: "ConnectStatus", ...socket.local }, "ConnectStatusReply");
    assert.equal(isPending, true);
    const names = shim.ask({ type: "SocketNames", ...socket.local }, "SocketNamesReply");

    run.agent.reply(asked, { type: "ConnectReply", errno: 0, ...OWN });
    run.agent.link.send({ type: "Data", id: 0, stream: asked.stream, data: utf8("hello") });
    assert.equal(await socket.wait(POLLOUT), POLLOUT);
    assert.equal(socket.soError(), 0);
    assert.equal(fromUtf8(await socket.recv() as Uint8Array), "hello");
    assert.equal(socket.send(utf8("world")), 5);
    assert.equal(fromUtf8((await run.agent.expect("Data")).data), "world");

    const { type: _, id: __, ...told } = await names;
    assert.deepEqual(told, {
      isKnown: true,
      peerAddress: PEER.address,
      peerPort: PEER.port,
      ownAddress: OWN.localAddress,
      ownPort: OWN.localPort,
    });
    const status = await shim.ask({ type: "ConnectStatus", ...socket.local }, "ConnectStatusReply");
    assert.deepEqual([status.isKnown, status.isPending, status.errno], [true, false, 0]);
  });

  Deno.test(`a non-blocking ${nameOf(kind)} connect that fails at the agent fails at the app, with the agent's errno`, async () => {
    await using run = await Run.start();
    await using shim = await run.shim();
    using socket = new RawSocket(kind);
    const asked = await begin(run, shim, socket, kind);
    run.agent.reply(asked, { type: "ConnectReply", errno: ERRNO.EHOSTUNREACH, ...OWN });
    assert.equal(await socket.wait(POLLIN) & POLLERR, POLLERR);
    assert.notEqual(socket.soError(), 0);
    const status = await shim.ask({ type: "ConnectStatus", ...socket.local }, "ConnectStatusReply");
    assert.deepEqual([status.isKnown, status.isPending, status.errno], [true, false, ERRNO.EHOSTUNREACH]);
    const names = await shim.ask({ type: "SocketNames", ...socket.local }, "SocketNamesReply");
    assert.deepEqual([names.isKnown, names.ownAddress], [true, OWN.localAddress]);
  });
}

Deno.test("half-close travels from the app and to the app, each on its own", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  using socket = new RawSocket();
  const asked = await begin(run, shim, socket, 4);
  run.agent.reply(asked, { type: "ConnectReply", errno: 0, ...OWN });
  await socket.wait(POLLOUT);
  socket.send(utf8("question"));
  socket.shutdownWrite();
  assert.equal(fromUtf8((await run.agent.expect("Data")).data), "question");
  assert.equal((await run.agent.expect("End")).stream, asked.stream);
  run.agent.link.send({ type: "Data", id: 0, stream: asked.stream, data: utf8("answer") });
  run.agent.link.send({ type: "End", id: 0, stream: asked.stream });
  assert.equal(fromUtf8(await socket.recv() as Uint8Array), "answer");
  assert.deepEqual(await socket.recv(), new Uint8Array(0));
});

Deno.test("a reset at the target is a reset at the app, behind what was sent before it", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  using socket = new RawSocket();
  const asked = await begin(run, shim, socket, 4);
  run.agent.reply(asked, { type: "ConnectReply", errno: 0, ...OWN });
  await socket.wait(POLLOUT);
  run.agent.link.send({ type: "Data", id: 0, stream: asked.stream, data: utf8("last words") });
  run.agent.link.send({ type: "Reset", id: 0, stream: asked.stream });
  assert.equal(fromUtf8(await socket.recv() as Uint8Array), "last words");
  assert.equal(await socket.recv(), ECONNRESET);
});

Deno.test("an app that closes while its connect is pending leaves no stream at the agent", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  const socket = new RawSocket();
  const asked = await begin(run, shim, socket, 4);
  socket[Symbol.dispose]();
  run.agent.reply(asked, { type: "ConnectReply", errno: 0, ...OWN });
  assert.equal((await run.agent.expect("Reset")).stream, asked.stream);
});

Deno.test("a connect that overtakes its socket finds it a moment later", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  using socket = new RawSocket();
  await shim.tell({ type: "Connect", ...PEER, ...socket.local, isBlocking: false });
  run.agent.reply(await run.agent.expect("Connect"), { type: "ConnectReply", errno: 0, ...OWN });
  // Whatever is answered now was read after the reply.
  await shim.ask({ type: "ConnectStatus", ...socket.local }, "ConnectStatusReply");
  assert.equal(socket.connect((await settingsOf(run)).holePort4), EINPROGRESS);
  assert.equal(await socket.wait(POLLOUT), POLLOUT);
  assert.equal(socket.soError(), 0);
});

Deno.test("a second connect from the same port gives the first one up", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  using socket = new RawSocket();
  const first = await begin(run, shim, socket, 4);
  await shim.tell({ type: "Connect", ...PEER, ...socket.local, isBlocking: false });
  assert.equal((await run.agent.expect("Reset")).stream, first.stream);
  const second = await run.agent.expect("Connect");
  run.agent.reply(first, { type: "ConnectReply", errno: ERRNO.ECONNABORTED, ...OWN });
  run.agent.reply(second, { type: "ConnectReply", errno: 0, ...OWN });
  assert.equal(await socket.wait(POLLOUT), POLLOUT);
  assert.equal(socket.soError(), 0);
});

for (const kind of KINDS) {
  Deno.test(`a blocking ${nameOf(kind)} connect is answered when the agent is, and joined where the relay accepts`, async () => {
    await using run = await Run.start();
    await using shim = await run.shim();
    using socket = new RawSocket(kind);
    const answered = shim.ask({ type: "Connect", ...PEER, ...socket.local, isBlocking: true }, "ConnectReply");
    const asked = await run.agent.expect("Connect");
    run.agent.reply(asked, { type: "ConnectReply", errno: 0, ...OWN });
    // A server that speaks first does not wait for the app's socket.
    run.agent.link.send({ type: "Data", id: 0, stream: asked.stream, data: utf8("220 welcome") });
    assert.equal((await answered).errno, 0);
    const settings = await settingsOf(run);
    assert.equal(socket.connect(kind === 6 ? settings.acceptPort6 : settings.acceptPort4), EINPROGRESS);
    assert.equal(fromUtf8(await socket.recv() as Uint8Array), "220 welcome");
    socket.send(utf8("HELO"));
    assert.equal(fromUtf8((await run.agent.expect("Data")).data), "HELO");
    assert.deepEqual(run.agent.types(), ["Connect", "Data"]);
  });
}

Deno.test("a blocking connect that fails gets the agent's errno", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  using socket = new RawSocket();
  const answered = shim.ask({ type: "Connect", ...PEER, ...socket.local, isBlocking: true }, "ConnectReply");
  run.agent.reply(await run.agent.expect("Connect"), { type: "ConnectReply", errno: ERRNO.ECONNREFUSED, ...OWN });
  assert.equal((await answered).errno, ERRNO.ECONNREFUSED);
});

Deno.test("a blocking connect whose thread is gone is given up at the agent", async () => {
  await using run = await Run.start();
  const shim = await run.shim();
  using socket = new RawSocket();
  await shim.tell({ type: "Connect", ...PEER, ...socket.local, isBlocking: true });
  const asked = await run.agent.expect("Connect");
  await shim[Symbol.asyncDispose]();
  assert.equal((await run.agent.expect("Reset")).stream, asked.stream);
});

Deno.test("a stranger who connects to the relay is turned away", async () => {
  await using run = await Run.start();
  const settings = await settingsOf(run);
  using stranger = await Deno.connect({ hostname: "127.0.0.1", port: settings.acceptPort4 });
  assert.equal(await stranger.read(new Uint8Array(1)).catch(() => null), null);
  assert.deepEqual(run.agent.types(), []);
});

Deno.test("nothing is known of a socket that never asked", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  using socket = new RawSocket();
  const status = await shim.ask({ type: "ConnectStatus", ...socket.local }, "ConnectStatusReply");
  assert.equal(status.isKnown, false);
  assert.equal((await shim.ask({ type: "SocketNames", ...socket.local }, "SocketNamesReply")).isKnown, false);
});
