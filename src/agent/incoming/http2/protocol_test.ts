/** The rules of RFC 9113 between scripted sides: windows, header blocks, what is a fault, and what nobody may do for long. */
import assert from "node:assert/strict";
import {
  begun,
  ScriptedConnection,
  type ScriptedOptions,
  type ScriptedPeer,
} from "../../../../tests/support/http2_wire.ts";
import { utf8 } from "../../../base/bytes.ts";
import { CODE } from "./faults.ts";
import { STREAM_WINDOW } from "./flow.ts";
import { FLAG, FRAME, PREFACE, SETTING } from "./frames.ts";

const GET = [":method: GET", ":scheme: http", ":authority: x", ":path: /"];
const MINE = [...GET, "to: mine"];
const FULL = new Uint8Array(16384);

function test(name: string, body: (wire: ScriptedConnection) => Promise<void>, options: ScriptedOptions = {}): void {
  Deno.test(name, async () => {
    await using wire = new ScriptedConnection(options);
    await body(wire);
  });
}

test("a stream whose reader is slow is given credit no more, and the others go on, in both directions", async (wire) => {
  const { client, target } = await begun(wire);
  await client.headers(1, GET);
  await target.find(/^headers 1/);
  // The target lets 65535 bytes through: what is more waits here, but never more than a window.
  for (let sent = 0; sent < STREAM_WINDOW; sent += FULL.length) await client.data(1, FULL);
  await target.until(() => target.bodies.get(1) === 65535);
  await client.frame(FRAME.ping, 0, 0, "12345678");
  await client.find(/^ping ack/);
  const credit = client.heard.filter((it) => it.startsWith("windowUpdate 1 "));
  assert.deepEqual(credit, []);
  await target.numbers(FRAME.windowUpdate, 0, 1 << 20);
  await client.headers(3, [...MINE.slice(0, 4)], { isEnd: true });
  await target.find(/^headers 3/);
  await target.headers(3, [":status: 200"]);
  // The client reads nothing of stream 3 beyond its window; stream 1 is answered nevertheless.
  for (let sent = 0; sent < STREAM_WINDOW; sent += FULL.length) await target.data(3, FULL);
  await client.numbers(FRAME.windowUpdate, 0, 1 << 20);
  await client.until(() => client.bodies.get(3) === 65535);
  await target.headers(1, [":status: 200"]);
  await target.data(1, FULL);
  await client.until(() => client.bodies.get(1) === FULL.length);
  // And now everybody reads.
  await target.numbers(FRAME.windowUpdate, 1, 1 << 20);
  await client.numbers(FRAME.windowUpdate, 3, 1 << 20);
  await target.until(() => target.bodies.get(1) === STREAM_WINDOW);
  await client.until(() => client.bodies.get(3) === STREAM_WINDOW);
  await client.find(/^windowUpdate 1 /);
  await target.find(/^windowUpdate 3 /);
});

test("a program that reads nothing for a while gets all that was asked of it later, and the target does not wait", async (wire) => {
  const { client, target } = await begun(wire);
  await client.headers(1, MINE, { isEnd: true });
  const mine = await wire.program("mine");
  await mine.begin();
  await mine.find(/^headers 1/);
  const resume = mine.pause();
  const big = Array.from({ length: 30 }, (_, at) => [...MINE, `big: ${at}${"x".repeat(60_000)}`]);
  let stream = 3;
  for (const lines of big) {
    await client.headers(stream, lines, { isEnd: true });
    stream += 2;
  }
  await client.headers(stream, GET, { isEnd: true });
  await target.find(/^headers 1 end/);
  resume();
  await mine.until(() => mine.heard.filter((it) => /^(headers|continuation) .*big: /.test(it)).length === big.length);
});

test("who sends more than a stream's window has that stream reset", async (wire) => {
  const { client, target } = await begun(wire);
  await client.headers(1, GET);
  await client.headers(3, GET);
  for (let sent = 0; sent <= STREAM_WINDOW; sent += FULL.length) await client.data(1, FULL);
  assert.equal(await client.next(), `rstStream 1 ${CODE.flowControlError}`);
  await target.numbers(FRAME.windowUpdate, 0, 65535);
  await client.data(3, "on", { isEnd: true });
  await target.find(/^data 3 end 2/);
});

test("a window that shrinks by SETTINGS is paid back before more is sent", async (wire) => {
  const { client, target } = await begun(wire);
  await client.headers(1, GET, { isEnd: true });
  await target.find(/^headers 1/);
  await target.headers(1, [":status: 200"]);
  for (let at = 0; at < 4; at++) await target.data(1, FULL);
  await client.until(() => client.bodies.get(1) === 65535);
  await client.numbers(FRAME.windowUpdate, 0, 1 << 20);
  const settings = new Uint8Array([0, SETTING.initialWindowSize, 0, 0, 0, 100]);
  await client.frame(FRAME.settings, 0, 0, settings);
  await client.find(/^settings ack/);
  await client.numbers(FRAME.windowUpdate, 1, 65535 - 100);
  await client.frame(FRAME.ping, 0, 0, "12345678");
  await client.find(/^ping ack/);
  assert.equal(client.bodies.get(1), 65535);
  await client.numbers(FRAME.windowUpdate, 1, 1);
  await client.until(() => client.bodies.get(1) === 65536);
});

test("100 MB go through one stream, by credit", async (wire) => {
  const { client, target } = await begun(wire);
  await client.headers(1, GET);
  await target.find(/^headers 1/);
  await target.numbers(FRAME.windowUpdate, 0, 0x7fff0000);
  await target.numbers(FRAME.windowUpdate, 1, 0x7fff0000);
  const total = 100 << 20;
  const allowed = () =>
    client.heard.filter((it) => it.startsWith("windowUpdate 1 ")).reduce(
      (sum, it) => sum + Number(it.split(" ")[2]),
      0,
    );
  for (let sent = 0; sent < total; sent += FULL.length) {
    if (sent % STREAM_WINDOW === 0) await client.until(() => allowed() + STREAM_WINDOW >= sent + STREAM_WINDOW);
    await client.data(1, FULL, { isEnd: sent + FULL.length === total });
  }
  await target.until(() => target.bodies.get(1) === total);
});

test("padding, priority, unknown frames and pings in the midst change nothing", async (wire) => {
  const { client, target } = await begun(wire);
  const block = client.encode(GET);
  const head = new Uint8Array([3, 0, 0, 0, 9, 200, ...block, 0, 0, 0]);
  await client.frame(FRAME.headers, FLAG.endHeaders | FLAG.padded | FLAG.priority, 1, head);
  await client.frame(FRAME.priority, 0, 1, new Uint8Array(5));
  await client.frame(0xbe, 0xff, 1, "what is this");
  await client.frame(FRAME.ping, 0, 0, "12345678");
  await client.frame(FRAME.data, FLAG.padded, 1, new Uint8Array([200, 0x61, ...new Uint8Array(200)]));
  await client.frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, new Uint8Array([0]));
  assert.match(await target.next(), /^headers 1 :method: GET/);
  assert.deepEqual([await target.next(), await target.next()], ["data 1 1", "data 1 end 0"]);
  assert.equal(await client.find(/^ping/), "ping ack");
});

test("a header block of 64 kB in pieces goes through in pieces, both ways", async (wire) => {
  const { client, target } = await begun(wire);
  const big = `big: ${"x".repeat(64_000)}`;
  const block = client.encode([...GET, big]);
  await client.frame(FRAME.headers, FLAG.endStream, 1, block.subarray(0, 1));
  for (let at = 1; at < block.length; at += 5000) {
    const isLast = at + 5000 >= block.length;
    await client.frame(FRAME.continuation, isLast ? FLAG.endHeaders : 0, 1, block.subarray(at, at + 5000));
  }
  await target.find(/^continuation 1 \S/);
  await target.find(/^continuation 1 \S/);
  assert.match(await target.find(/^continuation 1 :/), /, big: x{64000}$/);
  await target.headers(1, [":status: 200", big], { isEnd: true });
  assert.match(await client.find(/^continuation 1 :/), /, big: x{64000}$/);
});

test("fields of more than 256 kB are answered with 431", async (wire) => {
  const { client } = await begun(wire);
  const huge = `big: ${"x".repeat(2000)}`;
  await client.headers(1, [...GET, huge], { isEnd: true });
  await client.headers(3, [...GET, ...Array.from({ length: 200 }, () => huge)], { isEnd: true });
  assert.match(await client.next(), /^headers 3 end :status: 431/);
});

const HEADERS = FLAG.endHeaders | FLAG.endStream;
const bytes = (...values: number[]) => new Uint8Array(values);

/** What is sent, and the code that the connection ends with. */
const FATAL: readonly [string, number, (client: ScriptedPeer) => Promise<void>][] = [
  ["a first frame that is not SETTINGS", CODE.protocolError, (it) => it.raw(PREFACE).then(() => it.headers(1, GET))],
  ["a frame of more than 1 MiB", CODE.frameSizeError, (it) => it.raw(bytes(0x40, 0, 1, 0, 0, 0, 0, 0, 1))],
  ["DATA of no stream", CODE.protocolError, (it) => it.data(0, "x")],
  ["HEADERS of no stream", CODE.protocolError, (it) => it.headers(0, GET)],
  ["DATA of a stream that is idle", CODE.protocolError, (it) => it.data(5, "x")],
  ["RST_STREAM of a stream that is idle", CODE.protocolError, (it) => it.numbers(FRAME.rstStream, 5, 8)],
  ["WINDOW_UPDATE of a stream that is idle", CODE.protocolError, (it) => it.numbers(FRAME.windowUpdate, 5, 8)],
  ["HEADERS of a stream with an even number", CODE.protocolError, (it) => it.headers(2, GET)],
  ["HEADERS that are no HPACK", CODE.compressionError, (it) => it.frame(FRAME.headers, HEADERS, 1, bytes(0x80))],
  ["more padding than frame", CODE.protocolError, (it) => it.frame(FRAME.data, FLAG.padded, 1, bytes(2, 0))],
  ["RST_STREAM of a wrong size", CODE.frameSizeError, (it) => it.frame(FRAME.rstStream, 0, 1, bytes(0))],
  ["PING of a wrong size", CODE.frameSizeError, (it) => it.frame(FRAME.ping, 0, 0, "1234567")],
  ["PING of a stream", CODE.protocolError, (it) => it.frame(FRAME.ping, 0, 1, "12345678")],
  ["SETTINGS of a stream", CODE.protocolError, (it) => it.frame(FRAME.settings, 0, 1)],
  ["SETTINGS of a wrong size", CODE.frameSizeError, (it) => it.frame(FRAME.settings, 0, 0, "1234567")],
  ["an acknowledgment with settings", CODE.frameSizeError, (it) => it.frame(FRAME.settings, FLAG.ack, 0, "123456")],
  ["a window of 2 GB", CODE.flowControlError, (it) => it.begin([[SETTING.initialWindowSize, 0x8000_0000]])],
  ["frames of 1 byte", CODE.protocolError, (it) => it.begin([[SETTING.maxFrameSize, 1]])],
  ["ENABLE_PUSH of 2", CODE.protocolError, (it) => it.begin([[SETTING.enablePush, 2]])],
  ["credit of nothing", CODE.protocolError, (it) => it.numbers(FRAME.windowUpdate, 0, 0)],
  ["credit of too much", CODE.flowControlError, (it) => it.numbers(FRAME.windowUpdate, 0, 0x7fff_ffff)],
  ["WINDOW_UPDATE of a wrong size", CODE.frameSizeError, (it) => it.frame(FRAME.windowUpdate, 0, 0, "123")],
  ["GOAWAY of a wrong size", CODE.frameSizeError, (it) => it.frame(FRAME.goAway, 0, 0, "1234567")],
  ["a push of the client", CODE.protocolError, (it) => it.frame(FRAME.pushPromise, 4, 1, "1234")],
  ["CONTINUATION of nothing", CODE.protocolError, (it) => it.frame(FRAME.continuation, 4, 1)],
  ["a header block that is interrupted", CODE.protocolError, async (it) => {
    await it.frame(FRAME.headers, 0, 1, bytes(0x82));
    await it.frame(FRAME.ping, 0, 0, "12345678");
  }],
  ["a header block that does not end", CODE.enhanceYourCalm, async (it) => {
    await it.frame(FRAME.headers, 0, 1, bytes(0x82));
    for (let at = 0; at < 65; at++) await it.frame(FRAME.continuation, 0, 1).catch(() => {});
  }],
  ["a header block of 300 kB", CODE.enhanceYourCalm, async (it) => {
    await it.frame(FRAME.headers, 0, 1, bytes(0x82));
    for (let at = 0; at < 20; at++) await it.frame(FRAME.continuation, 0, 1, FULL).catch(() => {});
  }],
  ["a stream that is opened and broken off a thousand times", CODE.enhanceYourCalm, async (it) => {
    for (let stream = 1; stream < 2400 && !it.isEnded; stream += 2) {
      await it.headers(stream, GET, { isEnd: true }).catch(() => {});
      await it.numbers(FRAME.rstStream, stream, CODE.cancel).catch(() => {});
    }
  }],
  ["a thousand streams that are faulty", CODE.enhanceYourCalm, async (it) => {
    for (let stream = 1; stream < 2400 && !it.isEnded; stream += 2) {
      await it.headers(stream, GET.slice(1), { isEnd: true }).catch(() => {});
    }
  }],
];

for (const [what, code, send] of FATAL) {
  test(`${what} ends the connection with code ${code}`, async ({ client }) => {
    if (!what.startsWith("a first frame")) await client.begin([], { isClient: true });
    await send(client);
    const last = await client.find(/^goAway/);
    assert.equal(last.split(" ")[2], String(code), last);
    await client.ended();
  });
}

/** Requests that are none, and the code that their stream ends with; others go on. */
const FAULTY: readonly [string, number, readonly string[]][] = [
  ["no method", CODE.protocolError, GET.slice(1)],
  ["no path", CODE.protocolError, GET.slice(0, 3)],
  ["an empty path", CODE.protocolError, [...GET.slice(0, 3), ":path: "]],
  ["two methods", CODE.protocolError, [":method: GET", ...GET]],
  ["an unknown pseudo field", CODE.protocolError, [":what: 1", ...GET]],
  ["a pseudo field of an answer", CODE.protocolError, [...GET, ":status: 200"]],
  ["a pseudo field behind a field", CODE.protocolError, ["a: b", ...GET]],
  ["a name in upper case", CODE.protocolError, [...GET, "Name: x"]],
  ["a name with a space", CODE.protocolError, [...GET, "na me: x"]],
  ["a value of two lines", CODE.protocolError, [...GET, "name: x\r\ny: z"]],
  ["connection", CODE.protocolError, [...GET, "connection: close"]],
  ["transfer-encoding", CODE.protocolError, [...GET, "transfer-encoding: chunked"]],
  ["te", CODE.protocolError, [...GET, "te: gzip"]],
  ["a length that is none", CODE.protocolError, [...GET, "content-length: many"]],
  ["a body that is missing", CODE.protocolError, [...GET, "content-length: 5"]],
];

test("a request that is none is reset, and the others go on", async (wire) => {
  const { client, target } = await begun(wire);
  let stream = 1;
  for (const [what, code, lines] of FAULTY) {
    await client.headers(stream, lines, { isEnd: true });
    assert.equal(await client.next(), `rstStream ${stream} ${code}`, what);
    stream += 2;
  }
  await client.headers(stream, GET, { isEnd: true });
  assert.match(await target.next(), /^headers 1 end/);
});

test("what follows the end of a stream, or a body of another length, resets it", async (wire) => {
  const { client } = await begun(wire);
  await client.headers(1, GET, { isEnd: true });
  await client.data(1, "more");
  assert.equal(await client.next(), `rstStream 1 ${CODE.streamClosed}`);
  await client.headers(3, [...GET, "content-length: 3"]);
  await client.data(3, "four", { isEnd: true });
  assert.equal(await client.next(), `rstStream 3 ${CODE.protocolError}`);
  await client.headers(5, GET);
  await client.headers(5, ["x-trailer: but no end"]);
  assert.equal(await client.next(), `rstStream 5 ${CODE.protocolError}`);
  await client.headers(7, GET);
  await client.numbers(FRAME.windowUpdate, 7, 0);
  assert.equal(await client.next(), `rstStream 7 ${CODE.protocolError}`);
});

test("answers that are none are answered for, and their program goes on", async (wire) => {
  const { client, target } = await begun(wire);
  const answers: [string, (stream: number) => Promise<void>][] = [
    ["no status", (it) => target.headers(it, ["a: b"], { isEnd: true })],
    ["101", (it) => target.headers(it, [":status: 101"])],
    ["an interim answer that is the last", (it) => target.headers(it, [":status: 100"], { isEnd: true })],
    ["a body without a head", (it) => target.data(it, "x", { isEnd: true })],
  ];
  let stream = 1;
  for (const [what, send] of answers) {
    await client.headers(stream, GET, { isEnd: true });
    await target.find(/^headers/);
    await send(stream);
    assert.match(await client.find(/^headers/), new RegExp(`^headers ${stream} :status: 502`), what);
    assert.equal(await target.find(/^rstStream/), `rstStream ${stream} ${CODE.protocolError}`, what);
    stream += 2;
  }
});

test("more streams at once than are allowed are refused", async (wire) => {
  const { client } = await begun(wire);
  assert.ok(client.heard.some((it) => it.includes("000300000400")), "MAX_CONCURRENT_STREAMS is 1024");
  for (let stream = 1; stream <= 2049; stream += 2) await client.headers(stream, GET);
  assert.equal(await client.next(), `rstStream 2049 ${CODE.refusedStream}`);
});

test("bytes that come one by one are read as those that come at once", async (wire) => {
  const { client } = wire;
  const settings = bytes(0, 0, 0, FRAME.settings, 0, 0, 0, 0, 0);
  const block = client.encode(GET);
  const head = bytes(0, 0, block.length, FRAME.headers, HEADERS, 0, 0, 0, 1);
  for (const byte of [...PREFACE, ...settings, ...head, ...block]) await client.raw(bytes(byte));
  assert.match(await (await wire.program()).next(), /^headers 1 end :method: GET/);
});

test("a client is told of the target's extended CONNECT with the first settings", async (wire) => {
  const { client } = wire;
  await client.begin([], { isClient: true });
  await (await wire.program()).begin([[SETTING.enableConnectProtocol, 1]]);
  assert.match(await client.find(/^settings/), /000800000001$/);
}, { settingsMs: 60_000 });

test("a target that goes at once does not hold up what the client is told", async (wire) => {
  const { client } = wire;
  await client.begin([], { isClient: true });
  const target = await wire.program();
  await target.begin();
  await target.numbers(FRAME.goAway, 0, 0, 0);
  assert.match(await client.find(/./), /^settings/);
  await client.find(/^goAway 0 0/);
  await client.ended();
}, { settingsMs: 60_000 });

test("the target's extended CONNECT is allowed to the client too, and goes through", async (wire) => {
  const { client } = wire;
  await client.begin([], { isClient: true });
  await client.find(/^settings ack/);
  const target = await wire.program();
  await target.begin([[SETTING.enableConnectProtocol, 1]]);
  await client.find(/^settings 000800000001$/);
  await client.headers(1, [":method: CONNECT", ":protocol: websocket", ...GET.slice(1)]);
  assert.match(await target.next(), /^headers 1 :method: CONNECT, :protocol: websocket/);
  await target.headers(1, [":status: 200"]);
  await target.data(1, utf8("frame"));
  await client.find(/^data 1 5/);
});
