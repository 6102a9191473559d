/** Streams whose body decides whom they are for, between scripted sides. */
import assert from "node:assert/strict";
import { ScriptedConnection, type ScriptedOptions, type ScriptedPeer } from "../../../../tests/support/http2_wire.ts";
import { concatBytes, fromUtf8, utf8 } from "../../../base/bytes.ts";
import { ByteQueue } from "./byte_queue.ts";
import { CODE } from "./faults.ts";
import { STREAM_WINDOW } from "./flow.ts";
import { FRAME, SETTING } from "./frames.ts";
import { MOST_HELD_BYTES } from "./undecided.ts";

const GET = [":method: GET", ":scheme: http", ":authority: x", ":path: /"];
const POST = [":method: POST", ...GET.slice(1), "wait: body"];
const MINE = `{"to": "mine"}`;
const LIMITS = { bodyBytes: 100, bodyMs: 60_000 };
const CONNECTION_WINDOW = 8 << 20;

function test(name: string, body: (wire: ScriptedConnection) => Promise<void>, options: ScriptedOptions = {}): void {
  Deno.test(name, async () => {
    await using wire = new ScriptedConnection({ bodyLimits: LIMITS, ...options });
    await wire.client.begin([], { isClient: true });
    await (await wire.program()).begin();
    await body(wire);
  });
}

/** A client that keeps to the windows it was given. */
class Sender {
  readonly #client: ScriptedPeer;
  sentBytes = 0;

  constructor(client: ScriptedPeer) {
    this.#client = client;
  }

  async body(stream: number, bytes: Uint8Array, { isEnd = true, pieceBytes = 16384 } = {}): Promise<void> {
    const given = (of: number) => this.#client.windows.get(of) ?? 0;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      this.sentBytes += piece.length;
      await this.#client.until(() =>
        this.sentBytes <= 65535 + given(0) && at + piece.length <= STREAM_WINDOW + given(stream)
      );
      await this.#client.data(stream, piece, { isEnd: isEnd && at + pieceBytes >= bytes.length });
    }
  }
}

test("a stream waits for its body and goes where that leads, in its order, and the others do not wait", async (wire) => {
  const { client } = wire;
  for (const stream of [1, 3, 5]) await client.headers(stream, POST);
  await client.data(1, MINE.slice(0, 5));
  await client.data(3, "no JSON");
  await client.headers(7, GET, { isEnd: true });
  const target = await wire.program();
  assert.match(await target.next(), /^headers 1 end :method: GET/);
  await client.data(1, MINE.slice(5), { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  assert.match(await mine.next(), /^headers 1 :method: POST/);
  await client.data(5, MINE, { isEnd: true });
  await mine.find(/^data 3 end/);
  assert.deepEqual([mine.texts.get(1), mine.texts.get(3)], [MINE, MINE]);
  assert.deepEqual(mine.heard.filter((it) => it.startsWith("data")), ["data 1 5", "data 1 end 9", "data 3 end 14"]);
  await client.data(3, " at all", { isEnd: true });
  assert.match(await target.next(), /^headers 3 :method: POST/);
  await target.find(/^data 3 end/);
  assert.equal(target.texts.get(3), "no JSON at all");
});

test("trailers end a body, and follow it", async (wire) => {
  const { client } = wire;
  await client.headers(1, POST);
  await client.data(1, MINE);
  await client.headers(1, ["x-last: 1"], { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  assert.match(await mine.next(), /^headers 1 /);
  assert.deepEqual([await mine.next(), await mine.next()], ["data 1 14", "headers 1 end x-last: 1"]);
});

const LONG = MINE + " ".repeat(100);
for (
  const [what, lines, body] of [
    ["longer than is waited for", POST, LONG],
    ["said to be longer than is waited for", [...POST, "content-length: 114"], undefined],
    ["a gRPC call's", [...POST, "content-type: application/grpc"], undefined],
    ["none, but bytes after CONNECT", [":method: CONNECT", ":authority: x:1", "wait: body"], undefined],
  ] as const
) {
  test(`a body that is ${what} decides nothing`, async (wire) => {
    const { client } = wire;
    const target = await wire.program();
    await client.headers(1, lines);
    if (body !== undefined) await client.data(1, body.slice(0, 90));
    if (body !== undefined) await client.data(1, body.slice(90));
    assert.match(await target.next(), /^headers 1 :method/);
    if (body === undefined) return;
    await target.until(() => target.bodies.get(1) === body.length);
    assert.equal(target.texts.get(1), body);
    await client.data(1, "", { isEnd: true });
    await target.find(/^data 1 end 0/);
  });
}

test("who waits for 100 before a body that decides is told so, once", async (wire) => {
  const { client } = wire;
  await client.headers(1, [...POST, "expect: 100-continue"]);
  assert.match(await client.find(/^headers 1/), /^headers 1 :status: 100$/);
  await client.data(1, MINE, { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  assert.match(await mine.next(), /^headers 1 :method: POST/);
  await mine.headers(1, [":status: 100"]);
  await mine.headers(1, [":status: 103"]);
  await mine.headers(1, [":status: 200"], { isEnd: true });
  await client.find(/^headers 1 end/);
  const heads = client.heard.filter((it) => it.startsWith("headers 1"));
  assert.deepEqual(heads, ["headers 1 :status: 100", "headers 1 :status: 103", "headers 1 end :status: 200"]);
});

test("a body that comes too late decides nothing", async (wire) => {
  await wire.client.headers(1, POST);
  await wire.client.data(1, MINE);
  const target = await wire.program();
  assert.match(await target.next(), /^headers 1 /);
  assert.equal(await target.next(), "data 1 14");
}, { bodyLimits: { bodyBytes: 100, bodyMs: 20 } });

test("a request without a body is not waited for, nor one that is broken off", async (wire) => {
  const { client } = wire;
  const target = await wire.program();
  await client.headers(1, POST);
  await client.data(1, MINE);
  await client.numbers(FRAME.rstStream, 1, CODE.cancel);
  await client.headers(3, POST, { isEnd: true });
  assert.match(await target.next(), /^headers 1 end /);
  await client.headers(5, POST);
  await client.headers(7, GET, { isEnd: true });
  assert.match(await target.next(), /^headers 3 end /);
});

test("what the client lets us send meanwhile counts when the answer comes", async (wire) => {
  const { client } = wire;
  const target = await wire.program();
  await client.begin([[SETTING.initialWindowSize, 1]]);
  await client.headers(1, POST);
  await client.numbers(FRAME.windowUpdate, 1, 4);
  await client.begin([[SETTING.initialWindowSize, 3]]);
  await client.data(1, "no JSON", { isEnd: true });
  await target.find(/^data 1 end/);
  await target.headers(1, [":status: 200"]);
  await target.data(1, "0123456789");
  assert.equal(await client.find(/^data 1/), "data 1 7");
  await client.headers(3, POST);
  await client.numbers(FRAME.windowUpdate, 3, 0x7fff_ffff);
  assert.equal(await client.find(/^rstStream/), `rstStream 3 ${CODE.flowControlError}`);
});

test(
  "bodies of more than a window are waited for, and give back every byte of their windows, and no more",
  async (wire) => {
    const { client } = wire;
    const sender = new Sender(client);
    const size = 600_000;
    const body = utf8(JSON.stringify({ to: "mine", more: "x".repeat(size) }));
    let mine: ScriptedPeer | undefined;
    for (let stream = 1; stream < 60; stream += 2) {
      await client.headers(stream, POST);
      await sender.body(stream, body);
      if (!mine) await (mine = await wire.program("mine")).begin();
      await mine.until(() => mine!.heard.some((it) => it.startsWith(`headers ${stream} `)));
      await mine.numbers(FRAME.windowUpdate, 0, body.length);
      await mine.numbers(FRAME.windowUpdate, stream, body.length);
      await mine.until(() => mine!.bodies.get(stream) === body.length);
    }
    const given = 65535 + client.windows.get(0)! - sender.sentBytes;
    assert.ok(given <= CONNECTION_WINDOW && given > CONNECTION_WINDOW / 2, `${given} bytes are left`);
  },
  { bodyLimits: { bodyBytes: 1 << 20, bodyMs: 60_000 } },
);

test("streams that wait together hold no more than a bound, and not the connection's window", async (wire) => {
  const { client } = wire;
  const sender = new Sender(client);
  const target = await wire.program();
  const piece = new Uint8Array(100_000);
  const fitting = Math.floor(MOST_HELD_BYTES / piece.length);
  let stream = -1;
  for (let at = 0; at < fitting; at++) {
    await client.headers(stream += 2, POST);
    await sender.body(stream, piece, { isEnd: false });
  }
  await client.headers(stream += 2, POST);
  await sender.body(stream, piece, { isEnd: false });
  // It is one too many: it goes to the target, and so does whatever does not wait, through a whole window and more.
  assert.match(await target.next(), /^headers 1 /);
  await target.numbers(FRAME.windowUpdate, 0, 100 << 20);
  await target.numbers(FRAME.windowUpdate, 1, 100 << 20);
  const rest = new Uint8Array(CONNECTION_WINDOW * 2);
  const before = sender.sentBytes;
  for (let at = 0; at < rest.length; at += STREAM_WINDOW) {
    const own = stream += 2;
    await client.headers(own, [":method: POST", ...GET.slice(1)]);
    await sender.body(own, rest.subarray(at, at + STREAM_WINDOW));
    const number = 3 + 2 * (at / STREAM_WINDOW);
    await target.numbers(FRAME.windowUpdate, number, STREAM_WINDOW);
    await target.until(() => target.bodies.get(number) === STREAM_WINDOW);
  }
  assert.equal(sender.sentBytes - before, rest.length);
  // Those that are broken off make room.
  for (let own = 1; own < 2 * fitting; own += 2) await client.numbers(FRAME.rstStream, own, CODE.cancel);
  await client.headers(stream += 2, POST);
  await client.data(stream, MINE, { isEnd: true });
  assert.match(await (await wire.program("mine")).next(), /^headers 1 /);
}, { bodyLimits: { bodyBytes: 200_000, bodyMs: 60_000 } });

test("a mirror gets the body that was waited for, however long", async (wire) => {
  const { client } = wire;
  const sender = new Sender(client);
  const target = await wire.program();
  const mirror = async () => await wire.program("mirror");
  await client.headers(1, POST);
  await sender.body(1, utf8("x".repeat(3 << 20)));
  for (const program of [target, await mirror()]) {
    if (program !== target) await program.begin();
    assert.match(await program.next(), /^headers 1 /);
    await program.numbers(FRAME.windowUpdate, 0, 4 << 20);
    await program.numbers(FRAME.windowUpdate, 1, 4 << 20);
    await program.until(() => program.bodies.get(1) === 3 << 20);
  }
  assert.deepEqual(wire.warnings, []);
}, { bodyLimits: { bodyBytes: 4 << 20, bodyMs: 60_000 }, mirrors: ["mirror"] });

Deno.test("bytes that wait are taken in the order in which they came, whatever the pieces", () => {
  const queue = new ByteQueue();
  let at = 0;
  const taken: Uint8Array[] = [];
  for (let round = 0; round < 500; round++) {
    queue.push(Uint8Array.from({ length: round % 7 === 0 ? 5000 : round % 5 }, () => at++));
    if (round % 3 > 0 && queue.length > 0) {
      taken.push(queue.take(Math.min(queue.firstLength, round % 4000 + 1)).slice());
    }
  }
  taken.push(...queue.chunks.map((it) => it.slice()));
  assert.equal(taken.reduce((sum, it) => sum + it.length, 0), at);
  assert.ok(concatBytes(taken).every((it, index) => it === index % 256));
});

Deno.test("bytes that come one by one share their memory", () => {
  const queue = new ByteQueue();
  for (let count = 0; count < 20_000; count++) queue.push(utf8("x"));
  assert.ok(queue.chunks.length < 10);
  assert.equal(fromUtf8(concatBytes(queue.chunks)), "x".repeat(20_000));
});
