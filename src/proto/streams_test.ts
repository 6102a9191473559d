import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { duplexPair } from "../base/duplex_pair.ts";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { WireError } from "../base/errors.ts";
import { SocketEnd, type StreamEnd } from "../base/socket_end.ts";
import { AGENT_LIMITS, type AgentFrame } from "./agent.ts";
import { AgentLink } from "./agent_link.ts";
import { type StreamMessage, Streams } from "./streams.ts";
import { eventually } from "../../tests/support/eventually.ts";

const WINDOW = AGENT_LIMITS.streamWindowBytes;

/** Two links joined in memory, with streams at both ends. */
class Pair implements AsyncDisposable {
  readonly near: Streams;
  readonly far: Streams;
  readonly #links: AgentLink[];
  readonly #reading: Promise<void>[];
  /** What broke a link, as its reader found it. */
  readonly failures: unknown[] = [];

  constructor() {
    this.#links = duplexPair().map((duplex) => new AgentLink(duplex));
    const [near, far] = this.#links.map((link) => new Streams(link)) as [Streams, Streams];
    this.near = near;
    this.far = far;
    this.#reading = [this.#read(0, near), this.#read(1, far)];
  }

  /** Stream `number` between two TCP connections; the ends that the test holds. */
  async stream(number: number): Promise<[Deno.TcpConn, Deno.TcpConn]> {
    const [a, near] = await loopback();
    const [b, far] = await loopback();
    this.near.add(number, near);
    this.far.add(number, far);
    return [a, b];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) link.close();
    this.near.resetAll();
    this.far.resetAll();
    await Promise.all([...this.#reading, this.near.settled(), this.far.settled()]);
    await Promise.all(this.#links.map((link) => link.flushed()));
  }

  async #read(which: number, streams: Streams): Promise<void> {
    try {
      for await (const message of this.#links[which]!.messages(() => AGENT_LIMITS.frameBytes)) {
        streams.onMessage(message as StreamMessage);
      }
    } catch (error) {
      this.failures.push(error);
    }
  }
}

/** A TCP connection: one end for the test, the other as the end of a stream. */
async function loopback(): Promise<[Deno.TcpConn, StreamEnd]> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, resolve);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  assert.ok(address && typeof address === "object");
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: address.port });
  const end = new SocketEnd(await promise);
  server.close();
  return [conn, end];
}

async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  return new Uint8Array(await new Response(conn.readable).arrayBuffer());
}

async function readSome(conn: Deno.Conn): Promise<string> {
  const into = new Uint8Array(1 << 16);
  return fromUtf8(into.subarray(0, await conn.read(into) ?? 0));
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

Deno.test("bytes go through a stream both ways at once, unchanged, far beyond the window", async () => {
  await using pair = new Pair();
  const [a, b] = await pair.stream(1);
  const bytes = new Uint8Array(3 * WINDOW + 12345).map((_, at) => (at * 31) >> 3);
  const send = async (conn: Deno.TcpConn) => {
    await writeAll(conn, bytes);
    await conn.closeWrite();
  };
  const [, , gotA, gotB] = await Promise.all([send(a), send(b), readAll(a), readAll(b)]);
  assert.equal(gotA.toHex() === bytes.toHex() && gotB.toHex() === bytes.toHex(), true);
  await eventually(() => pair.near.size + pair.far.size === 0);
});

Deno.test("the end of one direction leaves the other open, until it ends too", async () => {
  await using pair = new Pair();
  const [a, b] = await pair.stream(1);
  await writeAll(a, utf8("question"));
  await a.closeWrite();
  assert.equal(fromUtf8(await readAllOf(b, 8)), "question");
  assert.equal(await b.read(new Uint8Array(1)), null);
  assert.equal(pair.near.size, 1);
  await writeAll(b, utf8("answer"));
  assert.equal(await readSome(a), "answer");
  b.close();
  assert.equal(await a.read(new Uint8Array(1)), null);
  await eventually(() => pair.near.size + pair.far.size === 0);
  a.close();
});

async function readAllOf(conn: Deno.Conn, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  for (let got = 0; got < length;) {
    const count = await conn.read(into.subarray(got));
    if (count === null) break;
    got += count;
  }
  return into;
}

Deno.test("a reset travels as a reset", async () => {
  await using pair = new Pair();
  const [b, far] = await loopback();
  const client = await socketPair();
  pair.near.add(1, client.end);
  pair.far.add(1, far);
  client.peer.write("x");
  assert.equal(await readSome(b), "x");
  client.peer.resetAndDestroy();
  await assert.rejects(b.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  b.close();
  await eventually(() => pair.near.size + pair.far.size === 0);
});

/** As loopback, with a test's end that can reset. */
async function socketPair(): Promise<{ peer: Socket; end: StreamEnd }> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, resolve);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const peer = connect((server.address() as { port: number }).port, "127.0.0.1");
  const end = new SocketEnd(await promise);
  server.close();
  return { peer, end };
}

Deno.test("who writes to a peer that has gone is reset", async () => {
  await using pair = new Pair();
  const [a, b] = await pair.stream(1);
  b.close();
  assert.equal(await a.read(new Uint8Array(1)), null);
  const bytes = new Uint8Array(1 << 20);
  await assert.rejects(async () => {
    while (true) await writeAll(a, bytes);
  });
  a.close();
  await eventually(() => pair.near.size + pair.far.size === 0);
});

Deno.test("a socket that is not read holds its own stream at the window, and no other", async () => {
  await using pair = new Pair();
  const [a, b] = await pair.stream(1);
  const [c, d] = await pair.stream(2);
  const flood = (async () => {
    let sent = 0;
    const bytes = new Uint8Array(1 << 16);
    try {
      while (true) sent += await a.write(bytes);
    } catch {
      return sent;
    }
  })();
  let moved = -1;
  await eventually(() => {
    const isStill = moved === pair.near.movedBytes && moved > 0;
    moved = pair.near.movedBytes;
    return isStill;
  });
  for (let round = 0; round < 50; round++) {
    await writeAll(c, utf8("ping"));
    assert.equal(await readSome(d), "ping");
  }
  b.close();
  a.close();
  const sent = await flood;
  // The window, and what the kernel holds at both sockets.
  assert.ok(sent < WINDOW + (24 << 20), `${sent} bytes were taken`);
  c.close();
  d.close();
});

Deno.test("a link that is lost resets the sockets", async () => {
  const pair = new Pair();
  const [a, b] = await pair.stream(1);
  await pair[Symbol.asyncDispose]();
  await assert.rejects(a.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  await assert.rejects(b.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  a.close();
  b.close();
});

// --- Against a peer that plays by itself --------------------------------------------------------------------------

/** An end that takes writes only when it is let, and reads what the test gives it. */
class ScriptedEnd implements StreamEnd {
  readonly written: string[] = [];
  readonly events: string[] = [];
  #gate = Promise.withResolvers<void>();
  readonly #toRead: (Uint8Array | null)[] = [];
  #readable = Promise.withResolvers<void>();

  give(bytes: Uint8Array | null): void {
    this.#toRead.push(bytes);
    this.#readable.resolve();
  }

  openGate(): void {
    this.#gate.resolve();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#toRead.length === 0) {
      await this.#readable.promise;
      if (this.events.length > 0) return null;
      this.#readable = Promise.withResolvers();
    }
    const first = this.#toRead[0]!;
    if (first === null) return null;
    const count = Math.min(into.length, first.length);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#toRead.shift();
    else this.#toRead[0] = first.subarray(count);
    return count;
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    await this.#gate.promise;
    this.written.push(fromUtf8(bytes));
  }

  closeWrite(): void {
    this.events.push("closeWrite");
  }

  reset(): void {
    this.events.push("reset");
    this.#readable.resolve();
    this.#gate.resolve();
  }

  close(): void {
    this.events.push("close");
    this.#readable.resolve();
    this.#gate.resolve();
  }
}

/** Streams whose peer is the test: what they send is in `frames`. */
class Alone implements AsyncDisposable {
  readonly streams: Streams;
  readonly frames: AgentFrame[] = [];
  readonly #links: AgentLink[];
  readonly #reading: Promise<void>;

  constructor() {
    this.#links = duplexPair().map((duplex) => new AgentLink(duplex));
    this.streams = new Streams(this.#links[0]!);
    this.#reading = this.#read();
  }

  sentBytes(): number {
    return this.frames.reduce((sum, frame) => sum + (frame.type === "Data" ? frame.data.length : 0), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.streams.resetAll();
    for (const link of this.#links) link.close();
    await Promise.all([this.#reading, this.streams.settled(), ...this.#links.map((link) => link.flushed())]);
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.#links[1]!.messages(() => AGENT_LIMITS.frameBytes)) {
        this.frames.push({ ...message });
      }
    } catch {
      // Closed.
    }
  }
}

Deno.test("no more than the window is sent before the peer gives credit, and then as much as it gave", async () => {
  await using alone = new Alone();
  const end = new ScriptedEnd();
  alone.streams.add(1, end);
  end.give(new Uint8Array(WINDOW + 100_000));
  await eventually(() => alone.sentBytes() === WINDOW);
  alone.streams.onMessage({ type: "Credit", stream: 1, bytes: 1000 });
  await eventually(() => alone.sentBytes() === WINDOW + 1000);
});

Deno.test("credit is given when the socket has taken the bytes, in pieces of an eighth of the window or more", async () => {
  await using alone = new Alone();
  const end = new ScriptedEnd();
  alone.streams.add(1, end);
  const piece = new Uint8Array(WINDOW / 16);
  for (let count = 0; count < 16; count++) alone.streams.onMessage({ type: "Data", stream: 1, data: piece });
  assert.equal(alone.frames.length, 0);
  end.openGate();
  await eventually(() => alone.frames.reduce((sum, it) => sum + (it.type === "Credit" ? it.bytes : 0), 0) === WINDOW);
  assert.ok(alone.frames.every((frame) => frame.type === "Credit" && frame.bytes >= WINDOW / 8));
});

Deno.test("a peer that sends beyond the window breaks the wire", async () => {
  await using alone = new Alone();
  alone.streams.add(1, new ScriptedEnd());
  for (let sent = 0; sent < WINDOW; sent += 1 << 20) {
    alone.streams.onMessage({ type: "Data", stream: 1, data: new Uint8Array(1 << 20) });
  }
  assert.throws(() => alone.streams.onMessage({ type: "Data", stream: 1, data: new Uint8Array(1) }), WireError);
});

Deno.test("a peer that gives credit for nothing, or sends after its end, breaks the wire", async () => {
  await using alone = new Alone();
  alone.streams.add(1, new ScriptedEnd());
  assert.throws(() => alone.streams.onMessage({ type: "Credit", stream: 1, bytes: 1 }), WireError);
  alone.streams.onMessage({ type: "End", stream: 1 });
  assert.throws(() => alone.streams.onMessage({ type: "Data", stream: 1, data: new Uint8Array(1) }), WireError);
});

Deno.test("messages of a stream that is gone are dropped", async () => {
  await using alone = new Alone();
  alone.streams.onMessage({ type: "Data", stream: 9, data: new Uint8Array(1) });
  alone.streams.onMessage({ type: "End", stream: 9 });
  alone.streams.onMessage({ type: "Credit", stream: 9, bytes: 5 });
  alone.streams.onMessage({ type: "Reset", stream: 9 });
  assert.equal(alone.streams.size, 0);
});

Deno.test("what came before a reset or an end is written before it", async () => {
  await using alone = new Alone();
  for (const [type, event] of [["Reset", "reset"], ["End", "closeWrite"]] as const) {
    const end = new ScriptedEnd();
    alone.streams.add(1, end);
    alone.streams.onMessage({ type: "Data", stream: 1, data: utf8("last words") });
    alone.streams.onMessage({ type, stream: 1 });
    end.openGate();
    await eventually(() => end.events.length > 0);
    assert.deepEqual([end.written, end.events[0]], [["last words"], event]);
    alone.streams.resetAll();
  }
});

Deno.test("a socket that takes nothing does not keep a reset from it for long", async () => {
  await using alone = new Alone();
  const end = new ScriptedEnd();
  alone.streams.add(1, end);
  alone.streams.onMessage({ type: "Data", stream: 1, data: utf8("unread") });
  alone.streams.onMessage({ type: "Reset", stream: 1 });
  await eventually(() => end.events.includes("reset"));
  assert.equal(alone.streams.has(1), false);
});

Deno.test("a number that is in use cannot be added, and may be used again when it is gone", async () => {
  await using alone = new Alone();
  alone.streams.add(1, new ScriptedEnd());
  assert.throws(() => alone.streams.add(1, new ScriptedEnd()), WireError);
  alone.streams.reset(1);
  alone.streams.add(1, new ScriptedEnd());
  await eventually(() => alone.frames.some((frame) => frame.type === "Reset"));
});
