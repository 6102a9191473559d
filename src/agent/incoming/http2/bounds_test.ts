/** What a client of HTTP/2 may do to no end, and what it may not, between scripted sides. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { begun, ScriptedConnection } from "../../../../tests/support/http2_wire.ts";
import { concatBytes } from "../../../base/bytes.ts";
import type { StreamEnd } from "../../../base/socket_end.ts";
import { Http2Connection } from "./connection.ts";
import { CODE } from "./faults.ts";
import { FLAG, FRAME, PREFACE } from "./frames.ts";
import type { StreamRoutes } from "./routes.ts";

const GET = [":method: GET", ":scheme: http", ":authority: x", ":path: /"];
const SETTINGS = Uint8Array.from([0, 0, 0, FRAME.settings, 0, 0, 0, 0, 0]);
const PING = [0, 0, 8, FRAME.ping, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
const PONG = PING.with(4, FLAG.ack);

function test(name: string, body: (wire: ScriptedConnection) => Promise<void>): void {
  Deno.test(name, async () => {
    await using wire = new ScriptedConnection();
    await body(wire);
  });
}

/** Ways that lead nowhere. */
const NOBODY: StreamRoutes = {
  hasLeft: () => false,
  isDeserted: () => false,
  judged: () => undefined,
  bodyLimits: () => undefined,
  choose: () => undefined,
  copies: () => [],
  fields: () => [],
  open: () => Promise.resolve(undefined),
};

test("fields of more than 8 MB in all are refused, until some of the requests are over", async (wire) => {
  const { client, target } = await begun(wire);
  const big = [...GET, `x-big: ${"x".repeat(200_000)}`];
  let stream = -1;
  for (let count = 0; count < 42; count++) await client.headers(stream += 2, big, { isEnd: true });
  assert.equal(await client.next(), `rstStream ${stream} ${CODE.refusedStream}`);
  await client.numbers(FRAME.rstStream, 1, CODE.cancel);
  await client.headers(stream += 2, big, { isEnd: true });
  await target.find(/^headers 83 end|^continuation 83/);
});

test("who breaks off what was answered already may do so as often as it likes", async (wire) => {
  const { client, target } = await begun(wire);
  for (let stream = 1; stream < 3000; stream += 2) {
    await client.headers(stream, GET);
    await target.until(() => target.heard.some((it) => it.startsWith(`headers ${stream} `)));
    target.heard.length = 0;
    await target.headers(stream, [":status: 200"], { isEnd: true });
    await client.until(() => client.heard.some((it) => it.startsWith(`headers ${stream} `)));
    client.heard.length = 0;
    await client.numbers(FRAME.rstStream, stream, CODE.cancel);
  }
});

test("who asks and does not read is not heard after a while, and answered in full later", async (wire) => {
  const { client } = await begun(wire);
  const pings = concatBytes(Array.from({ length: 1000 }, () => Uint8Array.from(PING)));
  const answers = () => client.heard.filter((it) => it === "ping ack").length;
  const resume = client.pause();
  let sent = 0;
  const sending = (async () => {
    for (; sent < 200; sent++) await client.raw(pings);
  })();
  for (let turn = 0, last = -1; sent !== last || turn < 20; turn++) {
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.ok(sent < 100, `${sent * pings.length} bytes were taken`);
  resume();
  await sending;
  await client.until(() => answers() === 200_000);
});

Deno.test("a client that never stops to talk leaves others their turn", async () => {
  const opening = concatBytes([PREFACE, SETTINGS]);
  const pings = concatBytes(Array.from({ length: 100 }, () => Uint8Array.from(PONG)));
  let [reads, hadTurn] = [0, 0];
  const talker: StreamEnd = {
    read(into) {
      into.set(reads === 0 ? opening : pings);
      if (reads === 1) setImmediate(() => hadTurn = reads);
      const isOver = ++reads > 1000;
      return Promise.resolve(isOver ? null : reads === 1 ? opening.length : pings.length);
    },
    writeAll: () => Promise.resolve(),
    closeWrite: () => {},
    reset: () => {},
    close: () => {},
  };
  await new Http2Connection(talker, NOBODY, undefined, 0).serve();
  assert.ok(hadTurn > 0 && hadTurn < 100, `after ${hadTurn || reads} reads`);
});
