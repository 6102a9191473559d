/** A connection of HTTP/2 between scripted sides: who answers which stream, and what becomes of what ends early. */
import assert from "node:assert/strict";
import { ScriptedConnection, type ScriptedPeer } from "../../../../tests/support/http2_wire.ts";
import { CODE } from "./faults.ts";
import { STREAM_WINDOW } from "./flow.ts";
import { FRAME, SETTING } from "./frames.ts";

const GET = [":method: GET", ":scheme: http", ":authority: x", ":path: /"];
const GRPC = [":method: POST", ":scheme: http", ":path: /a.B/C", "content-type: application/grpc", "te: trailers"];
const MINE = "to: mine";

function test(name: string, body: (wire: ScriptedConnection) => Promise<void>, options = {}): void {
  Deno.test(name, async () => {
    await using wire = new ScriptedConnection(options);
    await wire.client.begin([], { isClient: true });
    await body(wire);
  });
}

async function answer(peer: ScriptedPeer, stream: number, text: string): Promise<void> {
  await peer.headers(stream, [":status: 200"]);
  await peer.data(stream, text, { isEnd: true });
}

test("streams go to the target and to a program, under numbers of their own, and come back under the client's", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET, { isEnd: true });
  await client.headers(3, [...GET, MINE], { isEnd: true });
  await client.headers(5, [...GET, MINE]);
  await client.data(5, "hello", { isEnd: true });
  const target = await wire.program();
  const mine = await wire.program("mine");
  await target.begin();
  await mine.begin();
  assert.equal(await target.next(), "headers 1 end :method: GET, :scheme: http, :authority: x, :path: /");
  assert.equal(await mine.next(), "headers 1 end :method: GET, :scheme: http, :authority: x, :path: /, to: mine");
  assert.match(await mine.next(), /^headers 3 :method: GET/);
  assert.equal(await mine.next(), "data 3 end 5");
  await answer(mine, 3, "second");
  assert.deepEqual([await client.next(), await client.next()], ["headers 5 :status: 200", "data 5 end 6"]);
  await answer(target, 1, "first");
  assert.deepEqual([await client.next(), await client.next()], ["headers 1 :status: 200", "data 1 end 5"]);
  await answer(mine, 1, "");
  assert.deepEqual([await client.next(), await client.next()], ["headers 3 :status: 200", "data 3 end 0"]);
});

test("interim answers and trailers of both sides are passed on in their order", async (wire) => {
  const { client } = wire;
  await client.headers(1, GRPC);
  const target = await wire.program();
  await target.begin();
  await target.headers(1, [":status: 100"]);
  await target.headers(1, [":status: 200", "content-type: application/grpc"]);
  assert.deepEqual([await client.next(), await client.next()], [
    "headers 1 :status: 100",
    "headers 1 :status: 200, content-type: application/grpc",
  ]);
  await client.data(1, "ask");
  await client.headers(1, ["x-sum: 1"], { isEnd: true });
  await target.find(/^data 1 3$/);
  assert.equal(await target.next(), "headers 1 end x-sum: 1");
  await target.data(1, "told");
  await target.headers(1, ["grpc-status: 0"], { isEnd: true });
  assert.deepEqual([await client.next(), await client.next()], ["data 1 4", "headers 1 end grpc-status: 0"]);
});

test(
  "answers say which way they came when they are to: not interim ones, not trailers, and not our own words",
  async (wire) => {
    const { client } = wire;
    for (const stream of [1, 3]) await client.headers(stream, [...GET, MINE], { isEnd: true });
    await client.headers(5, GET, { isEnd: true });
    const mine = await wire.program("mine");
    const target = await wire.program();
    await mine.begin();
    await target.begin();
    for (const stream of [1, 3]) {
      await mine.headers(stream, [":status: 103"]);
      await mine.headers(stream, [":status: 200", "x: 1"]);
      await mine.headers(stream, ["x-last: 1"], { isEnd: true });
      assert.deepEqual([await client.next(), await client.next(), await client.next()], [
        `headers ${stream} :status: 103`,
        `headers ${stream} :status: 200, x: 1, mirrord-agent: theirs`,
        `headers ${stream} end x-last: 1`,
      ]);
    }
    await target.headers(1, [":status: 304"], { isEnd: true });
    assert.equal(await client.next(), "headers 5 end :status: 304, mirrord-agent: target's");
    await client.headers(7, [...GET, MINE], { isEnd: true });
    await mine.find(/^headers 5/);
    await mine.close();
    assert.equal(await client.next(), "headers 7 :status: 502, content-type: text/plain, content-length: 79");
  },
  { isMarking: true },
);

test("what either side breaks off is broken off at the other, with its code", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET);
  await client.headers(3, GET);
  const target = await wire.program();
  await target.begin();
  await target.find(/^headers 3/);
  await client.numbers(FRAME.rstStream, 1, CODE.cancel);
  assert.equal(await target.next(), "rstStream 1 8");
  await target.numbers(FRAME.rstStream, 3, CODE.enhanceYourCalm);
  assert.equal(await client.next(), "rstStream 3 11");
  // Frames that were under way.
  await client.data(3, "late", { isEnd: true });
  await target.headers(1, [":status: 200"], { isEnd: true });
  await client.headers(5, GET, { isEnd: true });
  assert.match(await target.next(), /^headers 5 end/);
});

test("an answer that is complete before its request is told whole, and then that no more is wanted", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET);
  const target = await wire.program();
  await target.begin();
  await target.find(/^headers 1/);
  await answer(target, 1, "no");
  await target.numbers(FRAME.rstStream, 1, CODE.noError);
  assert.deepEqual([await client.next(), await client.next(), await client.next()], [
    "headers 1 :status: 200",
    "data 1 end 2",
    "rstStream 1 0",
  ]);
});

test("a program that is gone is answered for: in words, to gRPC by its status, in the midst by a reset", async (wire) => {
  const { client } = wire;
  await client.headers(1, [...GET, MINE], { isEnd: true });
  await client.headers(3, [...GRPC, MINE]);
  await client.headers(5, [...GET, MINE], { isEnd: true });
  await client.headers(7, [":method: HEAD", ...GET.slice(1), MINE], { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 7/);
  await mine.headers(5, [":status: 200"]);
  await client.find(/^headers 5 :status: 200/);
  await mine.close();
  const text = "mirrord: the program that should answer ended the connection without an answer";
  await client.find(/^headers 7 end :status: 502/);
  await client.until(() => client.texts.has(1));
  assert.equal(client.texts.get(1), `${text}\n`);
  assert.ok(client.heard.includes(`headers 1 :status: 502, content-type: text/plain, content-length: 79`));
  assert.ok(client.heard.includes("rstStream 5 2"));
  const grpc = `:status: 200, content-type: application/grpc, grpc-status: 14, grpc-message: ${text}`;
  assert.ok(client.heard.includes(`headers 3 end ${grpc}`));
  // Its request has not ended; nobody minds.
  await client.headers(3, ["x-last: 1"], { isEnd: true });
  // The next one connects anew; the target has not noticed.
  await client.headers(9, [...GET, MINE], { isEnd: true });
  assert.match(await (await wire.program("mine", 1)).next(), /^headers 1 end/);
  await client.headers(11, GET, { isEnd: true });
  assert.match(await (await wire.program()).next(), /^headers 1 end/);
});

test("who is answered early, for a program that is gone, may say its request to the end, and hears of no reset", async (wire) => {
  const { client } = wire;
  for (const stream of [1, 3]) {
    await client.headers(stream, [...GET, MINE]);
    for (let at = 0; at < 12; at++) await client.data(stream, new Uint8Array(16384));
  }
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.until(() => mine.bodies.get(1) === 65535);
  await mine.close();
  await client.until(() => client.texts.has(1) && client.texts.has(3));
  // What lay here has gone nowhere, and its windows are given back; so it goes on for more than a window.
  for (const stream of [1, 3]) {
    for (let sent = 12 * 16384; sent < 2 * STREAM_WINDOW; sent += 16384) {
      await client.until(() => sent + 16384 <= STREAM_WINDOW + (client.windows.get(stream) ?? 0));
      await client.data(stream, new Uint8Array(16384));
    }
  }
  await client.data(1, "", { isEnd: true });
  await client.headers(3, ["x-last: 1"], { isEnd: true });
  await client.headers(5, [...GET, MINE], { isEnd: true });
  assert.match(await (await wire.program("mine", 1)).next(), /^headers 1 end/);
  assert.deepEqual(client.heard.filter((it) => it.startsWith("rstStream")), []);
});

test("a request that does not end is told, after a while, that nobody wants it", async (wire) => {
  const { client } = wire;
  await client.headers(1, [...GET, MINE]);
  await (await wire.program("mine")).close();
  await client.until(() => client.texts.has(1));
  const piece = new Uint8Array(16384);
  for (let sent = 0; sent <= 16 << 20; sent += piece.length) await client.data(1, piece);
  assert.equal(await client.find(/^rstStream/), "rstStream 1 0");
});

for (
  const [what, says, words] of [
    ["answers in HTTP/1", "HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak HTTP/2"],
    ["ends at once", undefined, "ended the connection without an answer"],
  ] as const
) {
  test(`a program that ${what} is said to be so, and the target goes on`, async (wire) => {
    const { client } = wire;
    await client.headers(1, [...GET, MINE], { isEnd: true });
    const mine = await wire.program("mine");
    if (says) await mine.raw(new TextEncoder().encode(says));
    else await mine.close();
    assert.match(await client.next(), /^headers 1 :status: 502/);
    await client.until(() => client.texts.has(1));
    assert.equal(client.texts.get(1), `mirrord: the program that should answer ${words}\n`);
    await client.headers(3, GET, { isEnd: true });
    assert.match(await (await wire.program()).next(), /^headers 1 end/);
  });
}

test("who cannot be reached is said to be so", async (wire) => {
  await wire.client.headers(1, GET, { isEnd: true });
  await wire.client.until(() => wire.client.texts.has(1));
  assert.equal(wire.client.texts.get(1), "mirrord: the target's own program cannot be reached\n");
}, { unreachable: ["target"] });

test("streams that a leaving program has not seen are refused, the others are answered, later ones go to a new connection", async (wire) => {
  const { client } = wire;
  for (const stream of [1, 3]) await client.headers(stream, [...GET, MINE], { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 3/);
  await mine.numbers(FRAME.goAway, 0, 1, 0);
  assert.equal(await client.next(), `rstStream 3 ${CODE.refusedStream}`);
  await client.headers(5, [...GET, MINE], { isEnd: true });
  const second = await wire.program("mine", 1);
  await second.begin();
  assert.match(await second.next(), /^headers 1 end/);
  await answer(mine, 1, "last");
  assert.deepEqual([await client.next(), await client.next()], ["headers 1 :status: 200", "data 1 end 4"]);
  await mine.ended();
});

test("when the target's program leaves, the client is told, and the connection ends with its last stream", async (wire) => {
  const { client } = wire;
  await client.headers(1, [...GET, MINE], { isEnd: true });
  const target = await wire.program();
  await target.begin();
  await target.numbers(FRAME.goAway, 0, 0, 0);
  assert.equal(await client.next(), "goAway 2147483647 0");
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 1/);
  await answer(mine, 1, "done");
  await client.find(/^data 1 end 4/);
  assert.equal(await client.next(), "goAway 1 0");
  await client.ended();
});

test("when the client has gone, every stream is cancelled and every connection closed", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET);
  await client.headers(3, [...GET, MINE], { isEnd: true });
  for (const program of [await wire.program(), await wire.program("mine")]) {
    await program.begin();
    await program.find(/^headers/);
  }
  await client.close();
  for (const program of [await wire.program(), await wire.program("mine")]) {
    assert.equal(await program.next(), "rstStream 1 8");
    assert.match(await program.next(), /^goAway/);
    await program.ended();
  }
});

test("a program that takes few streams at once gets the others as these end", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET, { isEnd: true });
  const target = await wire.program();
  await target.begin([[SETTING.maxConcurrentStreams, 1]]);
  await target.find(/^settings ack/);
  await client.headers(3, GET);
  await client.data(3, "body", { isEnd: true });
  await client.headers(5, GET, { isEnd: true });
  await client.numbers(FRAME.rstStream, 5, CODE.cancel);
  await client.frame(FRAME.ping, 0, 0, "12345678");
  await client.find(/^ping ack/);
  assert.deepEqual(target.heard.filter((it) => it.startsWith("headers 3")), []);
  await answer(target, 1, "");
  assert.match(await target.find(/^headers 3/), /^headers 3 :method/);
  assert.equal(await target.next(), "data 3 end 4");
  await answer(target, 3, "x");
  await client.find(/^data 3 end 1/);
});

test("nobody may push, and the client may not be pushed to", async (wire) => {
  const { client } = wire;
  await client.headers(1, GET, { isEnd: true });
  const target = await wire.program();
  await target.begin();
  assert.ok((await target.find(/^settings/)).includes("000200000000"), "ENABLE_PUSH is 0");
  await target.frame(FRAME.pushPromise, 4, 1, new Uint8Array(4));
  assert.match(await target.find(/^goAway/), /^goAway 0 1$/);
  await client.find(/^headers 1 :status: 502/);
});

test("a mirror gets a copy of each stream, and what it answers goes nowhere", async (wire) => {
  const { client } = wire;
  await client.headers(1, GRPC);
  await client.data(1, "body");
  await client.headers(1, ["x-last: 1"], { isEnd: true });
  const target = await wire.program();
  const mirror = await wire.program("mirror");
  await mirror.begin();
  await target.begin();
  for (const program of [target, mirror]) {
    assert.match(await program.next(), /^headers 1 :method: POST/);
    assert.equal(await program.next(), "data 1 4");
    assert.equal(await program.next(), "headers 1 end x-last: 1");
  }
  await answer(mirror, 1, "nobody hears this");
  await answer(target, 1, "told");
  assert.deepEqual([await client.next(), await client.next()], ["headers 1 :status: 200", "data 1 end 4"]);
}, { mirrors: ["mirror"] });

test(
  "a mirror that does not read loses its copy, and the client is told the target's answer all the same",
  async (wire) => {
    const { client } = wire;
    await client.headers(1, GET);
    const target = await wire.program();
    await target.begin();
    const mirror = await wire.program("mirror");
    await mirror.begin();
    await target.numbers(FRAME.windowUpdate, 0, 4 << 20);
    await target.numbers(FRAME.windowUpdate, 1, 4 << 20);
    for (let sent = 0; sent < 2 << 20; sent += 16384) {
      await client.data(1, new Uint8Array(16384));
      await target.until(() => (target.bodies.get(1) ?? 0) >= sent);
    }
    assert.equal(wire.warnings.length, 1);
    assert.equal(await mirror.find(/^rstStream/), "rstStream 1 8");
    await client.data(1, "", { isEnd: true });
    await target.find(/^data 1 end/);
    await answer(target, 1, "told");
    await client.find(/^data 1 end 4/);
  },
  { mirrors: ["mirror"] },
);
