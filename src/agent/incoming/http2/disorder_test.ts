/**
 * A client and programs that keep to the rules and to nothing else: streams of all sizes, answered early or never, broken off, with
 * windows that change, by programs that leave or go. In the end every stream of the client's is over, and all windows are given back.
 */
import assert from "node:assert/strict";
import { concatBytes, fromUtf8, utf8 } from "../../../base/bytes.ts";
import type { StreamEnd } from "../../../base/socket_end.ts";
import { streamPair } from "../http/pair.ts";
import { Http2Connection } from "./connection.ts";
import { FieldDecoder } from "./field_decoder.ts";
import { FieldEncoder } from "./field_encoder.ts";
import { FrameReader } from "./frame_reader.ts";
import { DEFAULT_WINDOW, FLAG, FRAME, type Frame, FrameBuffer, MOST_WINDOW, PREFACE, readUint32 } from "./frames.ts";
import { SETTING } from "./frames.ts";
import { blockOf } from "./header_block.ts";
import type { Route } from "./routes.ts";
import { PATIENCE_MS } from "../../../../tests/support/eventually.ts";

const SIZES = [0, 1, 100, 16384, 65535, 65536, 200_000, 262_144, 600_000];
const WINDOWS = [0, 1000, 65535, 1 << 20];
const CALM = [[SETTING.initialWindowSize, 1 << 20], [SETTING.maxConcurrentStreams, 100]] as const;
const CODES = [0, 2, 7, 8, 11];
const CONNECTION_WINDOW = 8 << 20;

/** The same numbers for the same seed. */
class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 0x9e3779b9;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(values: readonly T[]): T {
    return values[Math.floor(this.next() * values.length)]!;
  }
}

/** One stream as one side sees it. */
interface Half {
  readonly id: number;
  /** Of the body; it is zeros, or a text in JSON. */
  leftBytes: number;
  isText: boolean;
  hasTrailers: boolean;
  hasBegun: boolean;
  isSaid: boolean;
  isHeard: boolean;
  /** It does not wait for what the other side says. */
  isHasty: boolean;
  window: number;
  uncredited: number;
}

/** One end of a connection that minds its windows, and those of the other. */
class Side {
  readonly streams = new Map<number, Half>();
  readonly reading: Promise<void>;
  readonly chance: Chance;
  isGone = false;
  heardBytes = 0;
  /** What may be sent on the connection, as it was given and as it was used. */
  givenBytes = DEFAULT_WINDOW;
  sentBytes = 0;
  readonly goodbyes: string[] = [];
  readonly #end: StreamEnd;
  readonly #isClient: boolean;
  readonly #encoder = new FieldEncoder();
  readonly #decoder = new FieldDecoder();
  readonly #block: Uint8Array[] = [];
  readonly #output: Uint8Array[] = [];
  #writing: Promise<void> | undefined;
  #isLastBlock = false;
  #initialWindow = DEFAULT_WINDOW;
  #uncredited = 0;
  #allowed = DEFAULT_WINDOW;

  constructor(end: StreamEnd, chance: Chance, isClient: boolean) {
    this.#end = end;
    this.chance = chance;
    this.#isClient = isClient;
    if (isClient) this.say((it) => it.raw(PREFACE));
    this.say((it) => it.settings([[SETTING.initialWindowSize, chance.of(WINDOWS)]]));
    this.reading = this.#read().finally(() => this.isGone = true);
  }

  say(write: (frames: FrameBuffer) => void): void {
    if (this.isGone) return;
    const frames = new FrameBuffer();
    write(frames);
    this.#output.push(frames.bytes.slice(0, frames.length));
    this.#writing ??= this.#write();
  }

  headers(id: number, fields: readonly (readonly [string, string])[], isEnd: boolean): void {
    this.say((it) => it.headers(id, this.#encoder.encode(blockOf(...fields)), isEnd));
  }

  open(id: number): Half {
    const { chance } = this;
    const [leftBytes, isText, hasTrailers] = [chance.of(SIZES), chance.is(0.3), chance.is(0.2)];
    const rest = { hasBegun: false, isSaid: false, isHeard: false, isHasty: chance.is(0.5), uncredited: 0 };
    const half = { id, leftBytes, isText, hasTrailers, ...rest, window: this.#initialWindow };
    this.streams.set(id, half);
    return half;
  }

  /** A piece of what a stream has to say. False: it may not, or has said all. */
  goOn(half: Half, mostBytes = 16384): boolean {
    const room = Math.max(0, Math.min(half.window, this.givenBytes - this.sentBytes));
    const count = Math.min(half.leftBytes, mostBytes, room);
    if (half.isSaid || (count === 0 && half.leftBytes > 0)) return false;
    half.leftBytes -= count;
    half.window -= count;
    this.sentBytes += count;
    half.isSaid = half.leftBytes === 0;
    const isEnd = half.isSaid && !half.hasTrailers;
    const payload = half.isText ? utf8("1".repeat(count)) : new Uint8Array(count);
    this.say((it) => it.frame(FRAME.data, isEnd ? FLAG.endStream : 0, half.id, payload));
    if (half.isSaid && half.hasTrailers) this.headers(half.id, [["x-last", "1"]], true);
    this.#forget(half);
    return true;
  }

  reset(half: Half, code: number): void {
    this.say((it) => it.rstStream(half.id, code));
    this.streams.delete(half.id);
  }

  credit(): void {
    const bytes = this.#uncredited;
    this.#uncredited = 0;
    this.#allowed += bytes;
    if (bytes > 0) this.say((it) => it.windowUpdate(0, bytes));
    for (const half of this.streams.values()) {
      const { id, uncredited } = half;
      half.uncredited = 0;
      if (uncredited > 0 && !half.isHeard) this.say((it) => it.windowUpdate(id, uncredited));
    }
  }

  async close(): Promise<void> {
    this.#end.close();
    await this.reading;
    await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      for (let next = this.#output.shift(); next; next = this.#output.shift()) await this.#end.writeAll(next);
    } catch {
      this.isGone = true;
    }
    this.#writing = undefined;
  }

  async #read(): Promise<void> {
    const reader = new FrameReader();
    try {
      while (!this.#isClient && reader.held.length < PREFACE.length) if (!await reader.fill(this.#end)) return;
      if (!this.#isClient) reader.take(PREFACE.length);
      do for (let frame = reader.next(); frame; frame = reader.next()) this.#hear(frame); while (
        await reader.fill(this.#end)
      );
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    }
  }

  #hear({ type, flags, stream, payload }: Frame): void {
    const half = this.streams.get(stream);
    switch (type) {
      case FRAME.settings:
        return flags & FLAG.ack ? undefined : this.#hearSettings(payload);
      case FRAME.windowUpdate:
        if (stream === 0) this.givenBytes += readUint32(payload, 0);
        else if (half) half.window += readUint32(payload, 0);
        return;
      case FRAME.data:
        this.heardBytes += payload.length;
        this.#uncredited += payload.length;
        assert.ok(this.heardBytes <= this.#allowed, "The connection's window is ignored");
        if (half) half.uncredited += payload.length;
        return half && flags & FLAG.endStream ? this.#hearEnd(half) : undefined;
      case FRAME.rstStream:
        return void this.streams.delete(stream);
      case FRAME.goAway:
        return void this.goodbyes.push(`${readUint32(payload, 4)} ${fromUtf8(payload.subarray(8))}`.trim());
      case FRAME.headers:
      case FRAME.continuation:
        return this.#hearHeaders(stream, type, flags, payload);
    }
  }

  #hearSettings(payload: Uint8Array): void {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload[at + 1] !== SETTING.initialWindowSize) continue;
      const window = readUint32(payload, at + 2);
      for (const half of this.streams.values()) half.window += window - this.#initialWindow;
      this.#initialWindow = window;
    }
    this.say((it) => it.frame(FRAME.settings, FLAG.ack, 0, new Uint8Array(0)));
  }

  #hearHeaders(stream: number, type: number, flags: number, payload: Uint8Array): void {
    this.#block.push(payload.slice());
    if (type === FRAME.headers) this.#isLastBlock = (flags & FLAG.endStream) !== 0;
    if (!(flags & FLAG.endHeaders)) return;
    const { fields } = this.#decoder.decode(concatBytes(this.#block.splice(0)));
    const isRequest = fields.some(({ name }) => name === ":method");
    const half = this.streams.get(stream) ?? (isRequest ? this.open(stream) : undefined);
    if (half && this.#isLastBlock) this.#hearEnd(half);
  }

  #hearEnd(half: Half): void {
    half.isHeard = true;
    this.#forget(half);
  }

  #forget(half: Half): void {
    if (half.isSaid && half.isHeard) this.streams.delete(half.id);
  }
}

class Disorder {
  readonly #chance: Chance;
  readonly #client: Side;
  readonly #programs: Side[] = [];
  readonly #serving: Promise<void>;
  readonly #routes: Record<"mine" | "mirror", NonNullable<Route>>;
  #isCalm = false;
  #nextStream = 1;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    const route = () => ({
      client: { deliver: () => false, mirror: () => false, warn: () => {} },
      isSteal: true,
      test: undefined,
    });
    this.#routes = { mine: route(), mirror: route() };
    const limits = {
      bodyBytes: this.#chance.of([100, 65535, 262_144, 1 << 20]),
      bodyMs: this.#chance.of([2, 20, 500]),
    };
    const hasMirror = this.#chance.is(0.3);
    const says = (headers: readonly Uint8Array[], line: string) => headers.some((it) => fromUtf8(it) === line);
    const [theirs, ours] = streamPair();
    const routes = {
      hasLeft: () => false,
      isDeserted: () => false,
      judged: () => undefined,
      choose: ({ headers, body }: { headers: readonly Uint8Array[]; body?: unknown }) =>
        body !== undefined || says(headers, "to: mine") ? this.#routes.mine : undefined,
      copies: () => hasMirror ? [this.#routes.mirror] : [],
      bodyLimits: ({ headers }: { headers: readonly Uint8Array[] }) => says(headers, "wait: body") ? limits : undefined,
      fields: () => [],
      open: () => Promise.resolve(this.#program()),
    };
    this.#serving = new Http2Connection(ours, routes, undefined, 1).serve();
    this.#client = new Side(theirs, this.#chance, true);
  }

  /** Everything at once, and then everybody lets the others come to an end. */
  async run(): Promise<void> {
    for (let step = 0; step < 250 && !this.#client.isGone; step++) {
      for (let count = 0; count < 3; count++) this.#ask();
      for (const program of this.#programs) this.#answer(program);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    this.#isCalm = true;
    const sides = [this.#client, ...this.#programs];
    for (const it of sides) it.say((frames) => frames.settings(CALM));
    await this.#until(() => this.#client.isGone || this.#client.streams.size === 0);
    await this.#until(() => sides.every((it) => it.isGone || hasWindow(it)));
    assert.deepEqual(this.#client.goodbyes.filter((it) => it !== "0"), []);
    for (const it of [this.#client, ...this.#programs]) await it.close();
    await this.#serving;
  }

  #program(): StreamEnd | undefined {
    if (!this.#isCalm && this.#chance.is(0.02)) return undefined;
    const [theirs, ours] = streamPair();
    const program = new Side(theirs, this.#chance, false);
    const most = this.#chance.is(0.7) ? 100 : this.#chance.of([0, 1, 3, 10]);
    program.say((it) => it.settings(this.#isCalm ? CALM : [[SETTING.maxConcurrentStreams, most]]));
    this.#programs.push(program);
    return ours;
  }

  #ask(): void {
    const [client, chance] = [this.#client, this.#chance];
    const streams = [...client.streams.values()];
    const what = chance.next();
    if (what < 0.25 && streams.length < 60) this.#begin();
    else if (what < 0.75 && streams.length > 0) this.#push(client, chance.of(streams), chance.of([1, 1000, 16384]), 4);
    else if (what < 0.8 && streams.length > 0) client.reset(chance.of(streams), 8);
    else if (what < 0.82) client.say((it) => it.settings([[SETTING.initialWindowSize, chance.of(WINDOWS)]]));
    else if (what < 0.85) client.say((it) => it.frame(FRAME.ping, 0, 0, new Uint8Array(8)));
    else client.credit();
  }

  #begin(): void {
    const chance = this.#chance;
    const half = this.#client.open(this.#nextStream);
    this.#nextStream += 2;
    half.isSaid = chance.is(0.4);
    const fields: [string, string][] = [[":method", "POST"], [":scheme", "http"], [":path", "/"]];
    if (chance.is(0.5)) fields.push(["to", "mine"]);
    if (chance.is(0.4)) fields.push(["wait", "body"]);
    if (chance.is(0.05)) fields.push(["big", "x".repeat(40_000)]);
    this.#client.headers(half.id, fields, half.isSaid);
  }

  #answer(program: Side): void {
    const chance = this.#chance;
    for (let count = 0; count < 3 && program.streams.size > 0; count++) {
      const half = chance.of([...program.streams.values()]);
      if (!half.hasBegun) this.#head(program, half);
      else if (half.isSaid || chance.is(0.05)) { if (half.isHasty) program.reset(half, chance.of(CODES)); }
      else program.goOn(half, chance.of([1, 1000, 16384]));
    }
    const what = chance.next();
    if (what < 0.4) program.credit();
    else if (what < 0.42) program.say((it) => it.settings([[SETTING.initialWindowSize, chance.of(WINDOWS)]]));
    else if (what < 0.423) program.say((it) => it.goAway(chance.of([0, 1, MOST_WINDOW]), 0, new Uint8Array(0)));
    else if (what < 0.425) program.close();
  }

  #head(program: Side, half: Half): void {
    if (!half.isHeard && !half.isHasty) return;
    half.hasBegun = true;
    if (this.#chance.is(0.1)) program.headers(half.id, [[":status", "103"]], false);
    program.headers(half.id, [[":status", "200"]], false);
  }

  #push(side: Side, half: Half, mostBytes: number, frames: number): void {
    for (let count = 0; count < frames && side.goOn(half, mostBytes); count++);
  }

  /** All read, credit and go on meanwhile. Fails when nothing moves any more. */
  async #until(holds: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (performance.now() > deadline) assert.fail(`${[...this.#client.streams.keys()]} are not over`);
      for (const side of [this.#client, ...this.#programs]) {
        if (side.isGone) continue;
        side.credit();
        for (const half of [...side.streams.values()]) {
          if (side !== this.#client && !half.hasBegun) this.#head(side, half);
          if (side === this.#client || half.hasBegun) this.#push(side, half, 16384, 20);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
}

function hasWindow({ givenBytes, sentBytes }: Side): boolean {
  const left = givenBytes - sentBytes;
  assert.ok(left <= CONNECTION_WINDOW + DEFAULT_WINDOW, `A window has grown to ${left} bytes`);
  return left > CONNECTION_WINDOW * 3 / 4;
}

/** "FROM,COUNT": more of them. */
const [from = 1, count = 3] = (Deno.env.get("MIRRORD_TEST_SEEDS") ?? "").split(",").filter((it) => it !== "").map(
  Number,
);

for (let seed = from; seed < from + count; seed++) {
  Deno.test(`whatever comes in whatever order, every stream ends and every window is given back (${seed})`, async () => {
    await new Disorder(seed).run();
  });
}
