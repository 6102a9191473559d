import assert from "node:assert/strict";
import { utf8 } from "../../base/bytes.ts";
import { ERRNO, UserError } from "../../base/errors.ts";
import type { AgentMessage } from "../../proto/agent.ts";
import { duplexPair } from "../../base/duplex_pair.ts";
import { type Answering, ScriptedAgent } from "../../../tests/support/scripted_agent.ts";
import { AgentClient } from "./agent_client.ts";
import { connectHere, type Receive, Receiver, type ReceiverWishes } from "./receiver.ts";

const WISHES: ReceiverWishes = { mode: "steal", who: "ann@here", filter: "", filterPorts: undefined, isFlush: true };
const WELCOME: Answering = (frame) =>
  frame.type === "Subscribe" ? { type: "SubscribeReply", errno: 0, error: "" } : undefined;
const PEER = { peerAddress: Uint8Array.of(10, 0, 0, 9), peerPort: 4000 };
const OWN = { ownAddress: Uint8Array.of(10, 0, 0, 1), ownPort: 80 };

interface Setup extends AsyncDisposable {
  readonly agent: ScriptedAgent;
  open(ports: readonly number[], wishes?: Partial<ReceiverWishes>, receive?: Receive): Promise<Receiver>;
}

function setUp(answer: Answering = WELCOME): Setup {
  const [near, far] = duplexPair();
  const agent = new ScriptedAgent(far, answer);
  const client = new AgentClient(near, { log: () => {} });
  let receiver: Receiver | undefined;
  return {
    agent,
    async open(ports, wishes = {}, receive = () => Promise.resolve(undefined)) {
      return receiver = await Receiver.open(client, ports, { ...WISHES, ...wishes }, receive);
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await receiver?.settled();
      await agent[Symbol.asyncDispose]();
    },
  };
}

function connection(stream: number, port: number, isMirror = false): AgentMessage {
  return { type: "NewConnection", stream, port, isMirror, ...PEER, ...OWN };
}

Deno.test("each port is subscribed once, with the filter where it is for it, and flushed only when stolen", async () => {
  await using it = setUp();
  await it.open([80, 81], { filter: "F", filterPorts: [81] });
  const asked = it.agent.frames.flatMap((frame) => frame.type === "Subscribe" ? [frame] : []);
  assert.deepEqual(asked.map(({ port, isSteal, isFlush, who, filter }) => [port, isSteal, isFlush, who, filter]), [
    [80, true, true, "ann@here", ""],
    [81, true, true, "ann@here", "F"],
  ]);
  await using other = setUp();
  await other.open([80], { mode: "mirror" });
  const [mirrored] = other.agent.frames.flatMap((frame) => frame.type === "Subscribe" ? [frame] : []);
  assert.deepEqual([mirrored!.isSteal, mirrored!.isFlush], [false, false]);
});

Deno.test("a port that cannot be had is an error with the agent's words, and no further port is asked for", async () => {
  const refusal = { type: "SubscribeReply", errno: ERRNO.EADDRINUSE, error: "bob has it" } as const;
  await using it = setUp((frame) => frame.type === "Subscribe" ? refusal : undefined);
  await assert.rejects(
    it.open([80, 81]),
    (error: unknown) => error instanceof UserError && error.message === "Cannot steal port 80: bob has it",
  );
  assert.deepEqual(it.agent.types(), ["Subscribe"]);
});

Deno.test("a connection that nobody takes is reset; one that somebody takes carries bytes both ways", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const arrivals: string[] = [];
  await using it = setUp();
  await it.open([80, 81], {}, async (arrival) => {
    arrivals.push(`${arrival.port} ${arrival.peer} ${arrival.own}`);
    const end = arrival.port === 80 ? await connectHere(port) : "nobody";
    return typeof end === "string" ? undefined : end;
  });
  const [lost, taken] = [0x8000_0001, 0x8000_0002];
  it.agent.link.send({ ...connection(lost, 81), id: 0 });
  assert.equal((await it.agent.expect("Reset")).stream, lost);
  it.agent.link.send({ ...connection(taken, 80), id: 0 });
  it.agent.link.send({ type: "Data", id: 0, stream: taken, data: utf8("hello") });
  const conn = await listener.accept();
  const buffer = new Uint8Array(16);
  assert.equal(await conn.read(buffer), 5);
  await conn.write(utf8("world"));
  conn.close();
  assert.deepEqual((await it.agent.expect("Data")).data, utf8("world"));
  assert.deepEqual(arrivals, ["81 10.0.0.9:4000 10.0.0.1:80", "80 10.0.0.9:4000 10.0.0.1:80"]);
});

Deno.test("what is answered to a mirrored connection goes nowhere; behind close() connections are reset", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await using it = setUp();
  const receiver = await it.open([80], { mode: "mirror" }, async () => await connectHere(port) as never);
  const stream = 0x8000_0001;
  it.agent.link.send({ ...connection(stream, 80, true), id: 0 });
  const conn = await listener.accept();
  await conn.write(utf8("answer"));
  conn.close();
  assert.equal((await it.agent.expect("End")).stream, stream);
  assert.deepEqual(it.agent.types().filter((type) => type === "Data"), []);
  receiver.close();
  it.agent.link.send({ ...connection(stream + 1, 80), id: 0 });
  assert.equal((await it.agent.expect("Reset")).stream, stream + 1);
});

Deno.test("connectHere() finds who listens on either family's loopback, and tells when nobody does", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const end = await connectHere(listener.addr.port);
  assert.ok(typeof end !== "string");
  (await listener.accept()).close();
  end.close();
  assert.equal(await connectHere(9), "ECONNREFUSED");
});
