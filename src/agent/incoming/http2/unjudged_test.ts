/** Streams that wait for jq, between scripted sides. */
import assert from "node:assert/strict";
import { ScriptedConnection } from "../../../../tests/support/http2_wire.ts";
import { CODE } from "./faults.ts";
import { FRAME } from "./frames.ts";

const GET = [":method: GET", ":scheme: http", ":authority: x", ":path: /"];
const POST = [":method: POST", ...GET.slice(1), "wait: jq"];

interface World {
  readonly wire: ScriptedConnection;
  judge(isMine: boolean): void;
}

function test(name: string, body: (world: World) => Promise<void>): void {
  Deno.test(name, async () => {
    const { promise, resolve } = Promise.withResolvers<ReadonlyMap<string, boolean>>();
    await using wire = new ScriptedConnection({ judgement: promise, bodyLimits: { bodyBytes: 100, bodyMs: 60_000 } });
    await wire.client.begin([], { isClient: true });
    await (await wire.program()).begin();
    await body({ wire, judge: (isMine) => resolve(new Map([["mine", isMine]])) });
  });
}

test("streams wait for jq with all that comes of them, in its order, and others do not", async ({ wire, judge }) => {
  const { client } = wire;
  const target = await wire.program();
  await client.headers(1, POST);
  await client.data(1, "first ");
  await client.headers(3, GET, { isEnd: true });
  assert.match(await target.next(), /^headers 1 end :method: GET/);
  await client.data(1, "second");
  await client.headers(1, ["x-last: 1"], { isEnd: true });
  judge(true);
  const mine = await wire.program("mine");
  await mine.begin();
  assert.match(await mine.next(), /^headers 1 :method: POST/);
  await mine.find(/^headers 1 end x-last: 1/);
  assert.equal(mine.texts.get(1), "first second");
  await mine.headers(1, [":status: 200"], { isEnd: true });
  assert.match(await client.find(/^headers 1 /), /^headers 1 end :status: 200/);
});

test("who waits for jq may have to wait for its body too", async ({ wire, judge }) => {
  const { client } = wire;
  await client.headers(1, [...POST, "wait: body"]);
  await client.data(1, '{"to": "other"', {});
  judge(false);
  await client.data(1, "}", { isEnd: true });
  const other = await wire.program("other");
  await other.begin();
  await other.find(/^data 1 end/);
  assert.equal(other.texts.get(1), '{"to": "other"}');
});

test("a stream that is broken off while jq thinks about it goes nowhere", async ({ wire, judge }) => {
  const { client } = wire;
  await client.headers(1, POST);
  await client.data(1, "x");
  await client.numbers(FRAME.rstStream, 1, 8);
  await client.headers(3, GET, { isEnd: true });
  judge(true);
  await client.headers(5, GET, { isEnd: true });
  const target = await wire.program();
  assert.match(await target.next(), /^headers 1 end :method: GET/);
  assert.match(await target.next(), /^headers 3 end :method: GET/);
});

test("what comes a byte at a time, or without any, waits in no more memory than it has", async ({ wire, judge }) => {
  const { client } = wire;
  const target = await wire.program();
  for (const stream of [1, 3, 5, 7]) await client.headers(stream, POST, { isEnd: stream === 7 });
  for (let count = 0; count < 2000; count++) {
    await client.data(1, "x");
    await client.data(3, "");
  }
  await client.data(3, "", { isEnd: true });
  await client.data(5, "all", { isEnd: true });
  await client.data(5, "more");
  assert.equal(await client.next(), `rstStream 5 ${CODE.streamClosed}`);
  judge(false);
  await client.data(1, "y", { isEnd: true });
  await target.find(/^data [0-9] end 1$/);
  await target.until(() => target.bodies.get(1) === 2001);
  assert.ok(target.heard.filter((it) => it.startsWith("data")).length < 10);
  assert.deepEqual(target.heard.filter((it) => it.startsWith("headers")).length, 3);
  const window = client.windows.get(0)! + 65535;
  assert.ok(window >= 8 << 20, `${window}`);
});
