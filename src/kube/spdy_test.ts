import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";
import { Buffer } from "node:buffer";
import { concatBytes, fromUtf8, utf8 } from "../base/bytes.ts";
import { duplexOf } from "../base/duplex.ts";
import { WireError } from "../base/errors.ts";
import { HandshakeError } from "./http_upgrade.ts";
import { openSpdyForward, type SpdyForward } from "./spdy.ts";

const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";

interface Frame {
  /** Type of a control frame, or undefined for data. */
  type: number | undefined;
  stream: number;
  flags: number;
  payload: Uint8Array;
}

/** The server's end, read and written frame by frame. */
class Peer {
  #received: Uint8Array = new Uint8Array();
  constructor(readonly conn: Deno.Conn) {}

  async takeRequest(): Promise<string> {
    while (!fromUtf8(this.#received).includes("\r\n\r\n")) await this.#more();
    const text = fromUtf8(this.#received);
    const end = text.indexOf("\r\n\r\n") + 4;
    this.#received = this.#received.subarray(end);
    return text.slice(0, end);
  }

  async takeFrame(): Promise<Frame> {
    while (this.#received.length < 8) await this.#more();
    const view = new DataView(this.#received.buffer, this.#received.byteOffset, 8);
    const [first, second] = [view.getUint32(0), view.getUint32(4)];
    const length = second & 0xffffff;
    while (this.#received.length < 8 + length) await this.#more();
    const payload = this.#received.slice(8, 8 + length);
    this.#received = this.#received.subarray(8 + length);
    const type = first >>> 31 ? first & 0xffff : undefined;
    const stream = type === undefined ? first : new DataView(payload.buffer).getUint32(0);
    return { type, stream, flags: second >>> 24, payload };
  }

  async say(...parts: Uint8Array[]): Promise<void> {
    const bytes = concatBytes(parts);
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  async #more(): Promise<void> {
    const into = new Uint8Array(65536);
    const count = await this.conn.read(into);
    if (count === null) throw new Error("the client hung up");
    this.#received = concatBytes([this.#received, into.subarray(0, count)]);
  }
}

function data(stream: number, text: string | Uint8Array, flags = 0): Uint8Array {
  const payload = typeof text === "string" ? utf8(text) : text;
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, stream);
  new DataView(head.buffer).setUint32(4, flags << 24 | payload.length);
  return concatBytes([head, payload]);
}

function control(type: number, payload: number[], version = 3): Uint8Array {
  return new Uint8Array([0x80, version, 0, type, 0, 0, 0, payload.length, ...payload]);
}

/** Runs `meet` at the server's end of a forward that was opened, `use` at the client's. */
async function joined(meet: (peer: Peer) => Promise<void>, use: (forward: SpdyForward) => Promise<void>) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    const peer = new Peer(conn);
    await peer.takeRequest();
    await peer.say(utf8(SWITCH));
    for (let streams = 0; streams < 3; streams++) await peer.takeFrame();
    await meet(peer);
  })();
  const duplex = duplexOf(await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port }));
  const forward = await openSpdyForward(
    duplex,
    { path: "/pf", host: "h", headers: {} },
    80,
    (words) => new Error(words),
  );
  try {
    await use(forward);
  } finally {
    forward.close();
    await serving;
  }
}

async function readText(forward: SpdyForward, length: number): Promise<string> {
  let text = "";
  while (text.length < length) {
    const into = new Uint8Array(length - text.length);
    const count = await forward.read(into);
    if (count === null) break;
    text += fromUtf8(into.subarray(0, count));
  }
  return text;
}

Deno.test("a forward begins with an upgrade, an error stream that we end, and a data stream", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    const peer = new Peer(conn);
    const request = await peer.takeRequest();
    await peer.say(utf8(SWITCH));
    return { request, frames: [await peer.takeFrame(), await peer.takeFrame(), await peer.takeFrame()] };
  })();
  const duplex = duplexOf(await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port }));
  const upgrade = { path: "/api/x", host: "api.test", headers: { Authorization: "Bearer t" } };
  using _forward = await openSpdyForward(duplex, upgrade, 6123, (words) => new Error(words));
  const { request, frames } = await serving;
  assert.match(request, /^POST \/api\/x HTTP\/1\.1\r\nHost: api\.test\r\n/);
  for (const header of ["Upgrade: SPDY/3.1", "Connection: Upgrade", "Authorization: Bearer t"]) {
    assert.ok(request.includes(`${header}\r\n`), header);
  }
  assert.deepEqual(frames.map(({ type, stream, flags }) => [type, stream, flags]), [[1, 1, 0], [undefined, 1, 1], [
    1,
    3,
    0,
  ]]);
  // Both header blocks are one zlib stream, as any inflater reads it; it is never finished, only flushed.
  const blocks = Buffer.from(concatBytes([frames[0]!.payload.subarray(10), frames[2]!.payload.subarray(10)]));
  const text = fromUtf8(inflateSync(blocks, { finishFlush: 2 /* Z_SYNC_FLUSH */ })).replaceAll(/[^a-z0-9]+/g, " ");
  assert.equal(text.trim(), "streamtype error port 6123 requestid 0 streamtype data port 6123 requestid 0");
});

Deno.test("bytes pass both ways, whatever frames come in between, and a ping is answered", () =>
  joined(async (peer) => {
    await peer.say(control(2, [0, 0, 0, 3]), data(3, "he"), control(6, [0, 0, 0, 2]), data(3, ""), data(3, "llo"));
    const answers = [await peer.takeFrame(), await peer.takeFrame()];
    const ping = answers.find((it) => it.type === 6)!;
    assert.deepEqual([...ping.payload], [0, 0, 0, 2]);
    assert.equal(fromUtf8(answers.find((it) => it.type === undefined)!.payload), "hi");
    await peer.say(data(3, "", 1), data(1, "", 1));
  }, async (forward) => {
    assert.equal(await readText(forward, 5), "hello");
    await forward.writeAll(utf8("hi"));
    assert.equal(await forward.read(new Uint8Array(1)), null);
    assert.equal(await forward.read(new Uint8Array(1)), null);
  }));

Deno.test("a big write leaves in several frames, in order", () => {
  const bytes = new Uint8Array(1_200_000).map((_, at) => at % 251);
  return joined(async (peer) => {
    let received: Uint8Array = new Uint8Array();
    while (received.length < bytes.length) received = concatBytes([received, (await peer.takeFrame()).payload]);
    assert.deepEqual(received, bytes);
    await peer.say(data(3, "!"));
  }, async (forward) => {
    await forward.writeAll(bytes);
    assert.equal(await readText(forward, 1), "!");
  });
});

Deno.test("why a port cannot be reached is told whether it comes before or after the end of the data", async () => {
  for (const order of [[data(3, "", 1), data(1, "refused"), data(1, "", 1)], [data(1, "refused", 1), data(3, "", 1)]]) {
    await joined((peer) => peer.say(...order), async (forward) => {
      await assert.rejects(forward.read(new Uint8Array(1)), /^Error: refused$/);
    });
  }
});

Deno.test("the end of the connection, GOAWAY and RST_STREAM of both streams are an end, not an error", async () => {
  const reset = (stream: number) => control(3, [0, 0, 0, stream, 0, 0, 0, 5]);
  for (const last of [[], [control(7, [0, 0, 0, 0, 0, 0, 0, 0])], [reset(3), reset(1)]]) {
    await joined((peer) => peer.say(...last), async (forward) => {
      assert.equal(await forward.read(new Uint8Array(1)), null);
    });
  }
});

Deno.test("what is no SPDY, and a stream that nobody opened, break the wire", async () => {
  for (const nonsense of [control(1, [0, 0, 0, 1], 2), data(5, "x"), control(6, Array(255).fill(0)).fill(0xff, 5, 8)]) {
    await joined((peer) => peer.say(nonsense), async (forward) => {
      await assert.rejects(forward.read(new Uint8Array(1)), WireError);
    });
  }
});

Deno.test("an answer other than 101 is a HandshakeError with status and body", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    const peer = new Peer(conn);
    await peer.takeRequest();
    await peer.say(utf8("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nsorry"));
  })();
  using duplex = duplexOf(await Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port }));
  const opening = openSpdyForward(duplex, { path: "/", host: "h", headers: {} }, 1, (words) => new Error(words));
  await assert.rejects(opening, (error) => {
    assert.ok(error instanceof HandshakeError);
    assert.deepEqual([error.status, error.body], [400, "sorry"]);
    return true;
  });
  await serving;
});
