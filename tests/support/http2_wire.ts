/** HTTP/2 by hand: both sides of a connection of the agent as scripts, frame by frame, over ends in memory. */
import assert from "node:assert/strict";
import { streamPair } from "../../src/agent/incoming/http/pair.ts";
import type { IncomingClient } from "../../src/agent/incoming/wishes.ts";
import { Http2Connection } from "../../src/agent/incoming/http2/connection.ts";
import { FieldDecoder } from "../../src/agent/incoming/http2/field_decoder.ts";
import { FieldEncoder } from "../../src/agent/incoming/http2/field_encoder.ts";
import { FrameReader } from "../../src/agent/incoming/http2/frame_reader.ts";
import { FLAG, FRAME, FrameBuffer, PREFACE, readUint32 } from "../../src/agent/incoming/http2/frames.ts";
import { HeaderBlock } from "../../src/agent/incoming/http2/header_block.ts";
import type { BodyLimits, Route, StreamRoutes } from "../../src/agent/incoming/http2/routes.ts";
import { concatBytes, fromUtf8, utf8 } from "../../src/base/bytes.ts";
import type { StreamEnd } from "../../src/base/socket_end.ts";
import { PATIENCE_MS } from "./eventually.ts";

const NAMES = Object.fromEntries(Object.entries(FRAME).map(([name, type]) => [type, name]));

/** A frame in words: "headers 1 end :status: 200, a: b", "data 1 5", "rstStream 1 8". */
export type Words = string;

export class ScriptedPeer {
  readonly #end: StreamEnd;
  readonly #encoder = new FieldEncoder();
  readonly #decoder = new FieldDecoder();
  readonly #reading: Promise<void>;
  readonly heard: Words[] = [];
  /** Bytes of bodies by stream. */
  readonly bodies = new Map<number, number>();
  readonly texts = new Map<number, string>();
  /** What the other side has given of windows. */
  readonly windows = new Map<number, number>();
  #seen = 0;
  #isEnded = false;
  #wake: (() => void)[] = [];
  #pause: Promise<void> | undefined;

  constructor(end: StreamEnd, { expectsPreface = false } = {}) {
    this.#end = end;
    this.#reading = this.#read(expectsPreface).catch(() => {}).finally(() => {
      this.#isEnded = true;
      this.#awaken();
    });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  async raw(bytes: Uint8Array): Promise<void> {
    await this.#end.writeAll(bytes);
  }

  async frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ""): Promise<void> {
    const frames = new FrameBuffer();
    frames.frame(type, flags, stream, typeof payload === "string" ? utf8(payload) : payload);
    await this.raw(frames.bytes.slice(0, frames.length));
  }

  /** Preface, where there is one, and SETTINGS. */
  async begin(settings: readonly (readonly [number, number])[] = [], { isClient = false } = {}): Promise<void> {
    const frames = new FrameBuffer();
    if (isClient) frames.raw(PREFACE);
    frames.settings(settings);
    await this.raw(frames.bytes.slice(0, frames.length));
  }

  async headers(stream: number, lines: readonly string[], { isEnd = false } = {}): Promise<void> {
    const frames = new FrameBuffer();
    frames.headers(stream, this.encode(lines), isEnd);
    await this.raw(frames.bytes.slice(0, frames.length));
  }

  encode(lines: readonly string[]): Uint8Array {
    const fields = lines.map((line) => {
      const colon = line.indexOf(": ", 1);
      return { name: line.slice(0, colon), value: line.slice(colon + 2), indexing: "yes" } as const;
    });
    return this.#encoder.encode(new HeaderBlock(fields)).slice();
  }

  async data(stream: number, text: string | Uint8Array, { isEnd = false } = {}): Promise<void> {
    await this.frame(FRAME.data, isEnd ? FLAG.endStream : 0, stream, text);
  }

  async numbers(type: number, stream: number, ...values: number[]): Promise<void> {
    const payload = new Uint8Array(values.length * 4);
    values.forEach((value, at) => new DataView(payload.buffer).setUint32(at * 4, value));
    await this.frame(type, 0, stream, payload);
  }

  /** The next frame that is not about settings, windows or pings. */
  async next(): Promise<Words> {
    return await this.find(/^(?!settings|windowUpdate|ping)/);
  }

  /** The next frame like that; those before it are passed over. */
  async find(pattern: RegExp): Promise<Words> {
    let found: Words | undefined;
    await this.until(() => {
      while (found === undefined && this.#seen < this.heard.length) {
        const words = this.heard[this.#seen++]!;
        if (pattern.test(words)) found = words;
      }
      return found !== undefined;
    }, String(pattern));
    return found!;
  }

  async until(holds: () => boolean, what = String(holds)): Promise<void> {
    const timer = setTimeout(() => this.#awaken(), PATIENCE_MS);
    const deadline = performance.now() + PATIENCE_MS - 1;
    try {
      while (!holds()) {
        if (this.#isEnded || performance.now() > deadline) {
          assert.fail(`Waited for ${what}, heard\n${this.heard.join("\n")}${this.#isEnded ? "\nand the end" : ""}`);
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake.push(resolve);
        await promise;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads no more, until what it answers is called. */
  pause(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pause = promise;
    return resolve;
  }

  /** Resolves when the other side has ended. */
  async ended(): Promise<void> {
    await this.#reading;
  }

  async close(): Promise<void> {
    this.#end.close();
    await this.#reading;
  }

  async #read(expectsPreface: boolean): Promise<void> {
    const reader = new FrameReader();
    if (expectsPreface) {
      while (reader.held.length < PREFACE.length) assert.ok(await reader.fill(this.#end));
      assert.equal(fromUtf8(reader.take(PREFACE.length)), fromUtf8(PREFACE));
    }
    do {
      for (let frame = reader.next(); frame; frame = reader.next()) {
        this.heard.push(this.#wordsOf(frame.type, frame.flags, frame.stream, frame.payload));
      }
      this.#awaken();
      await this.#pause;
    } while (await reader.fill(this.#end));
  }

  #block = new Uint8Array(0);

  #wordsOf(type: number, flags: number, stream: number, payload: Uint8Array): Words {
    const name = NAMES[type] ?? String(type);
    const end = flags & FLAG.endStream ? " end" : "";
    switch (type) {
      case FRAME.headers:
      case FRAME.continuation: {
        this.#block = concatBytes([this.#block, payload]);
        if (!(flags & FLAG.endHeaders)) return `${name} ${stream}${end} …`;
        const { fields } = this.#decoder.decode(this.#block);
        this.#block = new Uint8Array(0);
        return `${name} ${stream}${end} ${fields.map((it) => `${it.name}: ${it.value}`).join(", ")}`;
      }
      case FRAME.data:
        this.bodies.set(stream, (this.bodies.get(stream) ?? 0) + payload.length);
        if (payload.length < 1000) this.texts.set(stream, (this.texts.get(stream) ?? "") + fromUtf8(payload));
        return `${name} ${stream}${end} ${payload.length}`;
      case FRAME.windowUpdate:
        this.windows.set(stream, (this.windows.get(stream) ?? 0) + readUint32(payload, 0));
        return `${name} ${stream} ${readUint32(payload, 0)}`;
      case FRAME.rstStream:
        return `${name} ${stream} ${readUint32(payload, 0)}`;
      case FRAME.goAway:
        return `${name} ${readUint32(payload, 0)} ${readUint32(payload, 4)} ${fromUtf8(payload.subarray(8))}`.trimEnd();
      default:
        return flags & FLAG.ack ? `${name} ack` : `${name} ${payload.toHex()}`;
    }
  }

  #awaken(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

export interface ScriptedOptions {
  readonly unreachable?: readonly string[];
  readonly mirrors?: readonly string[];
  readonly isMarking?: boolean;
  /** How long the target's settings are waited for. */
  readonly settingsMs?: number;
  /** Requests with "wait: body" are for whom the member "to" of their body names. */
  readonly bodyLimits?: BodyLimits;
  /** Requests with "wait: jq" are for "mine" when this says that they are. */
  readonly judgement?: Promise<ReadonlyMap<string, boolean>>;
}

/** A connection of the agent between a scripted client and scripted programs: "to: NAME" says who is to answer a stream. */
export class ScriptedConnection implements AsyncDisposable {
  readonly client: ScriptedPeer;
  readonly warnings: string[] = [];
  /** All runs want no more. */
  hasLeft = false;
  readonly #serving: Promise<void>;
  readonly #routes = new Map<string, NonNullable<Route>>();
  readonly #opened = new Map<string, ScriptedPeer[]>();
  readonly #unreachable: ReadonlySet<string>;

  constructor(
    { unreachable = [], mirrors = [], isMarking = false, bodyLimits, judgement, settingsMs = 0 }: ScriptedOptions = {},
  ) {
    this.#unreachable = new Set(unreachable);
    const [theirs, ours] = streamPair();
    this.client = new ScriptedPeer(theirs);
    const routes: StreamRoutes = {
      hasLeft: (route) => route !== undefined && this.hasLeft,
      isDeserted: () => this.hasLeft,
      judged: ({ headers }) => headers.some((it) => fromUtf8(it) === "wait: jq") ? judgement : undefined,
      choose: ({ headers, body, jq }) => {
        if (this.hasLeft) return undefined;
        if (typeof jq === "object" && jq.get("mine")) return this.#route("mine");
        if (typeof body === "object") return this.#route((body.json as { to: string }).to);
        const line = headers.map((it) => fromUtf8(it)).find((it) => it.startsWith("to: "));
        return line === undefined ? undefined : this.#route(line.slice(4));
      },
      copies: () => mirrors.map((name) => this.#route(name)),
      bodyLimits: ({ headers }) => headers.some((it) => fromUtf8(it) === "wait: body") ? bodyLimits : undefined,
      fields: (route) => isMarking ? [["Mirrord-Agent", route ? "theirs" : "target's"]] : [],
      open: (route) => Promise.resolve(this.#open(route)),
    };
    this.#serving = new Http2Connection(ours, routes, undefined, settingsMs).serve();
  }

  /** The connection to a program (or the target), when it is opened: the first, or a later one. */
  async program(name = "target", at = 0): Promise<ScriptedPeer> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!this.#opened.get(name)?.[at]) {
      assert.ok(performance.now() < deadline, `Nobody has connected to ${name}`);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return this.#opened.get(name)![at]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.#serving;
    for (const peers of this.#opened.values()) await Promise.all(peers.map((it) => it.close()));
  }

  #route(name: string): NonNullable<Route> {
    if (!this.#routes.has(name)) {
      const warn = (text: string) => void this.warnings.push(text);
      const client: IncomingClient = { deliver: () => false, mirror: () => false, warn };
      this.#routes.set(name, { client, isSteal: true, test: undefined });
    }
    return this.#routes.get(name)!;
  }

  #open(route: Route): StreamEnd | undefined {
    const name = [...this.#routes].find(([, it]) => it === route)?.[0] ?? "target";
    if (this.#unreachable.has(name)) return undefined;
    const [theirs, ours] = streamPair();
    this.#opened.set(name, [...this.#opened.get(name) ?? [], new ScriptedPeer(theirs, { expectsPreface: true })]);
    return ours;
  }
}

/** Client and target have agreed on their settings. */
export async function begun(wire: ScriptedConnection): Promise<{ client: ScriptedPeer; target: ScriptedPeer }> {
  await wire.client.begin([], { isClient: true });
  await wire.client.find(/^settings ack/);
  const target = await wire.program();
  await target.begin();
  await target.find(/^settings ack/);
  return { client: wire.client, target };
}
