import assert from "node:assert/strict";
import { concatBytes, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { WireError } from "../base/errors.ts";
import { HandshakeError } from "./http_upgrade.ts";
import { openWebSocket, WebSocketStream } from "./websocket.ts";

/** A connection whose other end is the test: it reads what is fed, and keeps what is written. */
class ScriptedDuplex implements Duplex {
  readonly #fed: Uint8Array[];
  #at = 0;
  readonly #written: Uint8Array[] = [];
  /** Called with all that was written so far; what it answers is fed. */
  onWrite: (text: string) => Uint8Array | undefined = () => undefined;

  constructor(fed: Uint8Array[] = []) {
    this.#fed = fed;
  }

  get written(): Uint8Array {
    return concatBytes(this.#written);
  }

  read(into: Uint8Array): Promise<number | null> {
    const next = this.#fed[this.#at];
    if (!next) return Promise.resolve(null);
    const count = Math.min(next.length, into.length);
    into.set(next.subarray(0, count));
    if (count < next.length) this.#fed[this.#at] = next.subarray(count);
    else this.#at++;
    return Promise.resolve(count);
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    this.#written.push(bytes.slice());
    const answer = this.onWrite(new TextDecoder().decode(bytes));
    if (answer) this.#fed.push(answer);
    return Promise.resolve();
  }

  close(): void {}
  [Symbol.dispose](): void {}
}

/** A frame as a server sends it. */
function frame(opcode: number, payload: Uint8Array, isFinal = true): Uint8Array {
  const { length } = payload;
  const size = length < 126
    ? [length]
    : length < 65536
    ? [126, length >> 8, length & 0xff]
    : [127, 0, 0, 0, 0, length >>> 24, length >> 16 & 0xff, length >> 8 & 0xff, length & 0xff];
  return Uint8Array.from([(isFinal ? 0x80 : 0) | opcode, ...size, ...payload]);
}

async function readAll(stream: WebSocketStream, pieceBytes: number): Promise<{ text: string; firsts: boolean[] }> {
  const bytes: number[] = [];
  const firsts: boolean[] = [];
  const into = new Uint8Array(pieceBytes);
  for (let next; (next = await stream.nextFrame()) !== null;) {
    firsts.push(next.isFirst);
    for (let count; (count = await stream.read(into));) bytes.push(...into.subarray(0, count));
  }
  return { text: new TextDecoder().decode(Uint8Array.from(bytes)), firsts };
}

const HANDSHAKE = { path: "/p?x=1", host: "example:6443", protocol: "proto", headers: { authorization: "Bearer t" } };

async function acceptFor(request: string): Promise<string> {
  const key = /Sec-WebSocket-Key: (\S+)/.exec(request)![1]!;
  const digest = await crypto.subtle.digest("SHA-1", utf8(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
  return new Uint8Array(digest).toBase64();
}

/** Answers the handshake with `respond(accept)`, whose answer is fed piece by piece. */
async function handshakeWith(respond: (accept: string) => string, pieces = 1): Promise<WebSocketStream> {
  const request = Promise.withResolvers<string>();
  const answer = request.promise.then(acceptFor).then(respond);
  let fed: Uint8Array[] | undefined;
  const duplex = new ScriptedDuplex();
  duplex.onWrite = (text) => void request.resolve(text);
  duplex.read = async (into) => {
    const bytes = utf8(await answer);
    const size = Math.ceil(bytes.length / pieces);
    fed ??= Array.from({ length: pieces }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
    const next = fed.shift();
    if (!next) return null;
    const count = Math.min(next.length, into.length);
    into.set(next.subarray(0, count));
    if (count < next.length) fed.unshift(next.subarray(count));
    return count;
  };
  const stream = await openWebSocket(duplex, HANDSHAKE);
  assert.match(
    await request.promise,
    /^GET \/p\?x=1 HTTP\/1\.1\r\nHost: example:6443\r\n[^]*authorization: Bearer t\r\n/,
  );
  return stream;
}

const SWITCH = (accept: string, more = "Sec-WebSocket-Protocol: proto\r\n") =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n${more}\r\n`;

Deno.test("openWebSocket() takes frames that came together with the handshake's answer", async () => {
  const extra = new TextDecoder().decode(frame(2, utf8("hello")).subarray(1));
  for (const pieces of [1, 7]) {
    // The frame's first byte is no ASCII: so a text frame's is used here.
    const stream = await handshakeWith((accept) => SWITCH(accept) + "\x01" + extra, pieces);
    assert.equal((await readAll(stream, 100)).text, "hello");
  }
});

Deno.test("openWebSocket() hands a refusal on with its body", async () => {
  const body = '{"message":"no"}';
  const respond = () => `HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  for (const pieces of [1, 3]) {
    await assert.rejects(handshakeWith(respond, pieces), (error) => {
      assert.ok(error instanceof HandshakeError);
      assert.deepEqual([error.status, error.body], [403, body]);
      return true;
    });
  }
});

Deno.test("openWebSocket() refuses answers that are none", async (test) => {
  const cases: [string, (accept: string) => string, RegExp][] = [
    ["not HTTP", () => "SSH-2.0-OpenSSH\r\n\r\n", /does not speak HTTP/],
    ["hangs up", () => "HTTP/1.1 101 Sw", /hung up/],
    ["another's key", () => SWITCH("bm90IG91cnM="), /does not belong/],
    ["no protocol", (accept) => SWITCH(accept, ""), /does not speak proto/],
    ["endless header", () => `HTTP/1.1 101 X\r\n${"a: b\r\n".repeat(20000)}`, /too long/],
  ];
  for (const [name, respond, message] of cases) {
    await test.step(name, () =>
      assert.rejects(handshakeWith(respond, 40), (error) => {
        assert.ok(error instanceof WireError, String(error));
        assert.match(error.message, message);
        return true;
      }));
  }
});

Deno.test("WebSocketStream reads frames however they are cut", async () => {
  const big = "x".repeat(70000);
  const bytes = concatBytes([
    frame(2, utf8("one")),
    frame(2, new Uint8Array()),
    frame(2, utf8("two-"), false),
    frame(9, utf8("ping")),
    frame(0, utf8("three")),
    frame(2, utf8("m".repeat(300))),
    frame(2, utf8(big)),
    frame(8, Uint8Array.of(3, 232)),
    frame(2, utf8("after the end")),
  ]);
  for (const cut of [1, 2, 3, 1000, 65536, bytes.length]) {
    for (const piece of [1, 1000, 100_000]) {
      if (cut * piece < 1000) continue;
      const fed = Array.from(
        { length: Math.ceil(bytes.length / cut) },
        (_, at) => bytes.slice(at * cut, (at + 1) * cut),
      );
      const duplex = new ScriptedDuplex(fed);
      const { text, firsts } = await readAll(new WebSocketStream(duplex, new Uint8Array()), piece);
      assert.equal(text, `onetwo-three${"m".repeat(300)}${big}`);
      assert.deepEqual(firsts, [true, true, false, true, true]);
      assert.deepEqual(duplex.written, Uint8Array.of(0x8a, 0x84, 0, 0, 0, 0, ...utf8("ping")));
    }
  }
});

Deno.test("WebSocketStream skips what nobody reads of a frame", async () => {
  const duplex = new ScriptedDuplex([frame(2, utf8("a".repeat(100_000))), frame(2, utf8("b"))]);
  const stream = new WebSocketStream(duplex, new Uint8Array());
  await stream.nextFrame();
  assert.equal(await stream.read(new Uint8Array(1)), 1);
  assert.deepEqual(await stream.nextFrame(), { isFirst: true });
  const into = new Uint8Array(10);
  assert.equal(await stream.read(into), 1);
  assert.equal(into[0], "b".charCodeAt(0));
});

Deno.test("WebSocketStream ends with the connection, also inside a frame", async () => {
  const whole = frame(2, utf8("abcdef"));
  for (let length = 0; length < whole.length; length++) {
    const stream = new WebSocketStream(new ScriptedDuplex([whole.slice(0, length)]), new Uint8Array());
    const next = await stream.nextFrame();
    if (next === null) continue;
    const into = new Uint8Array(10);
    for (let left = length - 2; left > 0;) left -= (await stream.read(into))!;
    assert.equal(await stream.read(into), null);
  }
});

Deno.test("WebSocketStream refuses frames that break the rules", async () => {
  const cases: Uint8Array[] = [
    Uint8Array.of(0x82, 0x81, 0, 0, 0, 0, 1), // masked
    Uint8Array.of(0xc2, 1, 1), // compressed
    frame(9, new Uint8Array(126)), // a control frame too long
    Uint8Array.of(0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255), // longer than anything
  ];
  for (const bytes of cases) {
    const stream = new WebSocketStream(new ScriptedDuplex([bytes]), new Uint8Array());
    await assert.rejects(stream.nextFrame(), WireError);
  }
});

Deno.test("WebSocketStream sends each part behind its first byte, in frames of at most 256 KiB", async () => {
  for (const length of [1, 124, 125, 126, 65534, 65535, 65536, 262143, 262144, 600_000]) {
    const duplex = new ScriptedDuplex();
    const bytes = Uint8Array.from({ length }, (_, at) => at * 31);
    await new WebSocketStream(duplex, new Uint8Array()).send(7, bytes);
    const parts: number[] = [];
    const view = new DataView(duplex.written.slice().buffer);
    for (let at = 0; at < view.byteLength;) {
      assert.equal(view.getUint8(at), 0x82);
      const short = view.getUint8(at + 1) - 0x80;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      const size = short < 126 ? short : short === 126 ? view.getUint16(at + 2) : Number(view.getBigUint64(at + 2));
      assert.ok(size <= 256 << 10);
      assert.equal(view.getUint32(at + header), 0); // the mask
      assert.equal(view.getUint8(at + header + 4), 7);
      for (let i = 1; i < size; i++) parts.push(view.getUint8(at + header + 4 + i));
      at += header + 4 + size;
    }
    assert.deepEqual(Uint8Array.from(parts), bytes);
  }
});
