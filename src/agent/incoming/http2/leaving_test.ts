/** What becomes of streams that a run was to answer when the run ends. */
import assert from "node:assert/strict";
import { ScriptedConnection } from "../../../../tests/support/http2_wire.ts";
import { CODE } from "./faults.ts";
import { STREAM_WINDOW } from "./flow.ts";
import { FRAME } from "./frames.ts";

const REST = [":scheme: http", ":path: /", "to: mine"];
const GET = [":method: GET", ...REST];
const PUT = [":method: PUT", ...REST];
const POST = [":method: POST", ...REST];

function test(name: string, body: (wire: ScriptedConnection) => Promise<void>): void {
  Deno.test(name, async () => {
    await using wire = new ScriptedConnection();
    await wire.client.begin([], { isClient: true });
    await body(wire);
  });
}

test("streams that a run has not answered go to the target when it ends, as far as that may be", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET, { isEnd: true });
  await client.headers(3, POST, { isEnd: true });
  await client.headers(5, [...POST, "content-type: application/grpc"]);
  await client.headers(7, GET, { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 7/);
  await mine.headers(7, [":status: 200"]);
  await client.find(/^headers 7 :status: 200/);
  wire.hasLeft = true;
  await mine.close();
  const target = await wire.program();
  assert.match(await target.next(), /^headers 1 end :method: GET/);
  await target.begin();
  await target.headers(1, [":status: 204"], { isEnd: true });
  await client.find(/^headers 1 end :status: 204/);
  await client.until(() => client.heard.some((it) => it.startsWith("headers 3 :status: 502")));
  await client.until(() => client.heard.some((it) => /^headers 5 end .*grpc-status: 14/.test(it)));
  assert.ok(client.heard.includes(`rstStream 7 ${CODE.internalError}`));
  // Its next connection is none of ours.
  assert.ok(client.heard.some((it) => it.startsWith("goAway 2147483647 0")));
});

test("a body of which the run has heard a part goes to the target whole, and what follows of it", async (wire) => {
  const { client } = wire;
  const piece = new Uint8Array(16000);
  await client.headers(1, PUT);
  for (let at = 0; at < 4; at++) await client.data(1, piece);
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.until(() => mine.bodies.get(1) === 64_000);
  wire.hasLeft = true;
  await mine.close();
  const target = await wire.program();
  await target.begin();
  await target.numbers(FRAME.windowUpdate, 0, 1 << 20);
  await target.numbers(FRAME.windowUpdate, 1, 1 << 20);
  await target.until(() => target.bodies.get(1) === 64_000);
  // It may say as much as ever.
  let sent = 64_000;
  for (; sent < 2 * STREAM_WINDOW; sent += piece.length) {
    await client.until(() => sent + piece.length <= STREAM_WINDOW + (client.windows.get(1) ?? 0));
    await client.data(1, piece);
  }
  await client.headers(1, ["x-sum: 1"], { isEnd: true });
  await target.find(/^headers 1 end x-sum: 1/);
  assert.equal(target.bodies.get(1), sent);
  await target.headers(1, [":status: 200"]);
  await target.data(1, "x".repeat(100), { isEnd: true });
  await client.find(/^data 1 end 100/);
});

test("whole requests with bodies and trailers are said again as they were", async (wire) => {
  const { client } = wire;
  await client.headers(1, PUT);
  await client.data(1, "hello", { isEnd: true });
  await client.headers(3, PUT);
  await client.data(3, "hello");
  await client.headers(3, ["x-sum: 1"], { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 3 end/);
  wire.hasLeft = true;
  await mine.close();
  const target = await wire.program();
  await target.begin();
  await target.find(/^headers 3 end x-sum: 1/);
  assert.deepEqual([target.texts.get(1), target.texts.get(3)], ["hello", "hello"]);
  await target.headers(1, [":status: 204"], { isEnd: true });
  await target.headers(3, [":status: 204"], { isEnd: true });
  await client.find(/^goAway 3 0/);
});

test("a request that may not be done twice goes to the target when the run has refused it unseen", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET, { isEnd: true });
  await client.headers(3, POST, { isEnd: true });
  await client.headers(5, POST, { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 5/);
  wire.hasLeft = true;
  await mine.numbers(FRAME.rstStream, 3, CODE.refusedStream);
  await mine.numbers(FRAME.goAway, 0, 1, 0);
  const target = await wire.program();
  await target.begin();
  assert.match(await target.next(), /^headers 1 end :method: POST/);
  assert.match(await target.next(), /^headers 3 end :method: POST/);
  await mine.headers(1, [":status: 204"], { isEnd: true });
  await client.find(/^headers 1 end :status: 204/);
  await target.headers(1, [":status: 204"], { isEnd: true });
  await target.headers(3, [":status: 204"], { isEnd: true });
  await client.find(/^headers 5 end :status: 204/);
});
