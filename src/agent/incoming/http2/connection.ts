/**
 * One redirected connection that carries HTTP/2: each stream goes to the run whose filter its request matches, or to the
 * target's own program. A connection to each of them is opened when it is needed; ids, windows and tables are their own.
 *
 * Event                                  action
 * request of a stream                    choose, pass it on; or wait for jq (unjudged.ts), or its body (undecided.ts) first
 * end of the client's connection         cancel every stream, close all
 * the target's program ends or leaves    tell the client (GOAWAY), close when no stream is left: as without us
 * somebody else's program ends           what it had not answered yet is answered here (exchange.ts)
 *
 * Bounded here: streams at once and the fields of their requests, and how many may be broken off in a row (RFC 9113 10.5).
 */
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { RequestFacts } from "../../../proto/http_filter.ts";
import { Copy } from "./copy.ts";
import { type Asked, type ClientStream, Exchange } from "./exchange.ts";
import { CODE, ConnectionFault, isBug, StreamFault } from "./faults.ts";
import { STREAM_WINDOW } from "./flow.ts";
import { FrameReader } from "./frame_reader.ts";
import { MOST_WINDOW, PREFACE, SETTING } from "./frames.ts";
import { blockOf, type HeaderBlock, type StreamRequest } from "./header_block.ts";
import { Link, type LinkOwner } from "./link.ts";
import type { BodyLimits, Route, StreamRoutes } from "./routes.ts";
import { Undecided } from "./undecided.ts";
import { Unjudged } from "./unjudged.ts";
import { Upstream, type UpstreamOwner } from "./upstream.ts";

export const MOST_STREAMS = 1024;
/** The fields of all requests that are not over. They take a few times as much memory. */
const MOST_FIELD_BYTES = 8 << 20;
/** Streams broken off by the client, or for a fault of its own: so many at once, and so many a second. */
const MOST_BROKEN_OFF = 1000;
const BROKEN_OFF_A_SECOND = 100;
/** Streams that were reset here, whose frames may still be under way. */
const MOST_REMEMBERED = MOST_STREAMS;
/** How long the target's program may take to say its settings before the client is told ours. */
const SETTINGS_MS = 50;
/** How long it may take to be known that a run has left whose connection has ended. */
const LEAVING_MS = 256;
/** How long the last word may take. */
const GRACE_MS = 1000;

const SETTINGS = [[SETTING.maxConcurrentStreams, MOST_STREAMS], [SETTING.initialWindowSize, STREAM_WINDOW]] as const;
const CONNECT_PROTOCOL = [SETTING.enableConnectProtocol, 1] as const;

export class Http2Connection implements LinkOwner, UpstreamOwner {
  readonly #peer: StreamEnd;
  readonly #routes: StreamRoutes;
  readonly #settingsMs: number;
  readonly #client: Link;
  readonly #reader: FrameReader;
  readonly #streams = new Map<number, ClientStream>();
  /** Of streams that wait for their body. */
  readonly #held = { bytes: 0 };
  readonly #judging = new Set<Promise<void>>();
  readonly #upstreams = new Map<Route, Upstream>();
  /** Those that take no new calls too. */
  readonly #all = new Set<Upstream>();
  readonly #slow = new Set<Route>();
  readonly #resets = new Set<number>();
  #fieldBytes = 0;
  #lastStream = 0;
  #brokenOff = 0;
  #brokenOffAt = 0;
  #isRetiring = false;
  #hasConnectProtocol = false;
  #hasBegun = false;
  #bug: unknown;
  #leaving: Promise<void> | undefined;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;

  /** `peer` is owned; it begins with the preface of HTTP/2, of which `bytes` were read already. */
  constructor(peer: StreamEnd, routes: StreamRoutes, bytes?: Uint8Array, settingsMs = SETTINGS_MS) {
    this.#peer = peer;
    this.#settingsMs = settingsMs;
    this.#reader = new FrameReader(bytes);
    this.#routes = routes;
    this.#client = new Link(this, this.#reader);
  }

  /** Resolves when the connection is over and all its ends are closed; rejects for a bug of ours alone. */
  async serve(): Promise<void> {
    try {
      await this.#skipPreface();
      await this.#hearTarget();
      this.#hasBegun = true;
      this.#client.begin(new Uint8Array(0), this.#hasConnectProtocol ? [...SETTINGS, CONNECT_PROTOCOL] : SETTINGS);
      if (this.#isRetiring) this.#sayRetiring();
      await this.#client.run(this.#peer);
      this.#cancelAll();
      await this.#leave(CODE.noError, "");
    } catch (error) {
      this.#cancelAll();
      if (error instanceof ConnectionFault) {
        await this.#leave(error.code, error.message);
        await this.#hearOut();
      } else {
        this.#peer.reset();
        if (isBug(error)) this.#bug ??= error;
      }
    }
    clearTimeout(this.#graceTimer);
    this.#client.breakOff();
    this.#peer.close();
    await Promise.all([...this.#judging, ...[...this.#all].map((it) => it.over)]);
    if (this.#bug) throw this.#bug;
  }

  onHeaders(stream: number, block: HeaderBlock, isEnd: boolean): void {
    // What the last word did not name is not answered.
    if (this.#leaving) return;
    const known = this.#streams.get(stream);
    if (known) return known.onRequestTrailers(block, isEnd);
    if (stream % 2 === 0) throw new ConnectionFault(CODE.protocolError, "A client has streams of odd numbers");
    if (stream <= this.#lastStream) {
      if (this.#resets.has(stream)) return;
      throw new ConnectionFault(CODE.streamClosed, "A stream that was closed begins again");
    }
    this.#lastStream = stream;
    if (this.#streams.size >= MOST_STREAMS || this.#fieldBytes + block.listBytes > MOST_FIELD_BYTES) {
      throw new StreamFault(stream, CODE.refusedStream, "There are too many streams at once");
    }
    this.#ask(stream, block, isEnd);
  }

  onData(stream: number, bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const known = this.#streams.get(stream);
    if (known) return known.onRequestData(bytes, overhead, isEnd);
    this.#client.credit(bytes.length + overhead);
    this.#mustHaveBegun(stream);
    if (!this.#resets.has(stream)) throw new StreamFault(stream, CODE.streamClosed, "A stream goes on after its end");
  }

  onReset(stream: number, code: number): void {
    this.#mustHaveBegun(stream);
    const known = this.#streams.get(stream);
    if (!known) return;
    if (!known.isAnswered) this.#countBrokenOff();
    known.cancel(code);
    // It knows.
    this.#resets.delete(stream);
  }

  onStreamWindow(stream: number, bytes: number): void {
    this.#mustHaveBegun(stream);
    this.#streams.get(stream)?.onWindow(bytes);
  }

  onInitialWindow(bytes: number): void {
    for (const it of this.#streams.values()) it.onWindow(bytes);
  }

  /** Of the client, or of the one who answers. */
  onSettings(upstream?: Upstream): void {
    const isTarget = upstream !== undefined && upstream === this.#upstreams.get(undefined);
    if (!isTarget || !upstream.link.peer.allowsConnectProtocol || this.#hasConnectProtocol) return;
    this.#hasConnectProtocol = true;
    if (this.#hasBegun) this.#client.saySettings([CONNECT_PROTOCOL]);
  }

  onGoAway(): void {
    // It opens no more streams, and closes when it has what it wants.
  }

  onStreamFault({ stream, code }: StreamFault): void {
    this.#countBrokenOff();
    this.#client.sendReset(stream, code);
    this.#remember(stream);
    this.#streams.get(stream)?.cancel(CODE.cancel);
  }

  onTurn(): void {
    this.#client.flush();
    for (const upstream of this.#all) upstream.link.flush();
  }

  onRoom(): boolean {
    return false;
  }

  onLeaving(upstream: Upstream): void {
    for (const [route, it] of this.#upstreams) {
      if (it !== upstream) continue;
      this.#upstreams.delete(route);
      if (route === undefined ? upstream.link.hasSettings : this.#routes.isDeserted()) this.retire();
    }
    // Of a bug there the end of this connection tells.
    upstream.over.then(() => this.#all.delete(upstream), () => {});
  }

  async settled(upstream: Upstream): Promise<void> {
    const [route] = [...this.#upstreams].find(([, it]) => it === upstream) ?? [];
    for (let ms = 1; route && ms < LEAVING_MS && !this.#routes.hasLeft(route) && !this.#leaving; ms *= 2) {
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  #ask(stream: number, block: HeaderBlock, isEnd: boolean): void {
    const { request } = block;
    if (typeof request === "string") throw new StreamFault(stream, CODE.protocolError, `No request: ${request}`);
    if (isEnd && (request.length ?? 0) > 0) throw new StreamFault(stream, CODE.protocolError, "A body is missing");
    if (block.isTooLarge) {
      this.#client.sendHeaders(stream, blockOf([":status", "431"], ["content-length", "0"]), true);
      if (isEnd) return;
      throw new StreamFault(stream, CODE.noError, "Its fields are too large");
    }
    const asked = { stream, request, block, isEnd };
    const jq = this.#routes.judged(request);
    if (jq instanceof Promise) this.#awaitJudgement(asked, jq);
    else this.#decide(jq === undefined ? asked : { ...asked, request: { ...request, jq } });
  }

  #awaitJudgement(asked: Asked, jq: Promise<RequestFacts["jq"]>): void {
    const { stream, request } = asked;
    const unjudged = new Unjudged(asked, { client: this.#client, onOver: () => this.#onOver(asked, true) });
    this.#add(asked, unjudged);
    const judging = jq.then((known) => {
      if (unjudged.isOver) return;
      try {
        this.#decide({ ...asked, request: { ...request, jq: known } });
        unjudged.tell(() => this.#streams.get(stream));
      } catch (error) {
        if (!(error instanceof StreamFault)) throw error;
        this.onStreamFault(error);
      }
      this.onTurn();
    }).catch((error) => {
      this.#bug ??= isBug(error) ? error : undefined;
      this.#peer.reset();
    }).finally(() => this.#judging.delete(judging));
    this.#judging.add(judging);
  }

  #decide(asked: Asked): void {
    const limits = this.#bodyLimits(asked);
    if (!limits) return void this.#begin(asked, undefined, 0);
    const undecided = new Undecided(asked, {
      client: this.#client,
      limits,
      held: this.#held,
      begin: (...known) => this.#begin(...known),
      onOver: () => this.#onOver(asked, true),
      onTurn: () => this.onTurn(),
    });
    this.#add(asked, undecided);
  }

  /** Undefined: nothing that is still to come of this request decides whom it is for. */
  #bodyLimits({ request, isEnd }: Asked): BodyLimits | undefined {
    if (isEnd || request.isGrpc || request.isConnect) return undefined;
    const limits = this.#routes.bodyLimits(request);
    return limits && (request.length ?? 0) <= limits.bodyBytes ? limits : undefined;
  }

  #begin(asked: Asked, body: RequestFacts["body"], heldBytes: number): Exchange {
    const request: StreamRequest = body === undefined ? asked.request : { ...asked.request, body };
    const copies = this.#routes.copies(request).map((it) => this.#copy(it, { ...asked, heldBytes }));
    return this.#answered(asked, request, copies.filter((it) => it !== undefined));
  }

  /** By who wants it now. */
  #answered(asked: Asked, request: StreamRequest, copies: readonly Copy[]): Exchange {
    const route = this.#routes.choose(request);
    const exchange = new Exchange(asked, {
      client: this.#client,
      held: this.#held,
      another: route && (() => this.#routes.hasLeft(route) ? this.#answered(asked, request, []) : undefined),
      upstream: this.#upstream(route),
      who: route ? "the program that should answer" : "the target's own program",
      fields: this.#routes.fields(route),
      copies,
      onOver: (isAbrupt) => this.#onOver(asked, isAbrupt),
    });
    this.#add(asked, exchange);
    exchange.begin();
    return exchange;
  }

  #copy(route: NonNullable<Route>, asked: Asked & { heldBytes: number }): Copy | undefined {
    if (this.#slow.has(route)) return undefined;
    return new Copy(this.#upstream(route), asked, () => {
      this.#slow.add(route);
      route.client.warn("A mirrored HTTP/2 connection is copied no more: the program does not keep up with it");
    });
  }

  #upstream(route: Route): Upstream {
    const known = this.#upstreams.get(route);
    if (known?.isOpen) return known;
    const upstream = new Upstream(this, () => this.#routes.open(route));
    this.#upstreams.set(route, upstream);
    this.#all.add(upstream);
    return upstream;
  }

  #add({ stream, block }: Asked, it: ClientStream): void {
    if (!this.#streams.has(stream)) this.#fieldBytes += block.listBytes;
    this.#streams.set(stream, it);
  }

  #onOver({ stream, block }: Asked, isAbrupt: boolean): void {
    if (this.#streams.delete(stream)) this.#fieldBytes -= block.listBytes;
    if (isAbrupt) this.#remember(stream);
    if (this.#isRetiring) this.#closeIfIdle();
  }

  /** The client may not know yet that this stream has ended. */
  #remember(stream: number): void {
    this.#resets.add(stream);
    if (this.#resets.size > MOST_REMEMBERED) this.#resets.delete(this.#resets.values().next().value!);
  }

  /** RFC 9113 5.1: nothing but HEADERS may come on a stream that is idle. */
  #mustHaveBegun(stream: number): void {
    const hasBegun = stream % 2 === 1 && stream <= this.#lastStream;
    if (!hasBegun && !this.#leaving) throw new ConnectionFault(CODE.protocolError, `Stream ${stream} was not opened`);
  }

  #countBrokenOff(): void {
    const now = performance.now();
    const recovered = (now - this.#brokenOffAt) / 1000 * BROKEN_OFF_A_SECOND;
    this.#brokenOff = Math.max(0, this.#brokenOff - recovered) + 1;
    this.#brokenOffAt = now;
    if (this.#brokenOff > MOST_BROKEN_OFF) {
      throw new ConnectionFault(CODE.enhanceYourCalm, "Too many streams are broken off");
    }
  }

  /** The client shall come anew, perhaps elsewhere; its streams come to their end. */
  retire(): void {
    if (this.#isRetiring) return;
    this.#isRetiring = true;
    if (this.#hasBegun) this.#sayRetiring();
  }

  #sayRetiring(): void {
    this.#client.sayGoingAway(MOST_WINDOW, CODE.noError);
    this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    if (this.#streams.size === 0) this.#leave(CODE.noError, "");
  }

  /** What the target allows (RFC 8441) the client has to know, from the first: many look at the first SETTINGS alone. */
  async #hearTarget(): Promise<void> {
    const target = this.#upstream(undefined);
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#settingsMs);
    await Promise.race([target.begun, late.promise]);
    clearTimeout(timer);
  }

  async #skipPreface(): Promise<void> {
    while (this.#reader.held.length < PREFACE.length) {
      if (!await this.#reader.fill(this.#peer)) throw new Error("The connection ended within its preface");
    }
    this.#reader.take(PREFACE.length);
  }

  /** Says no more; resolves when all that was said has left, or never will. */
  #leave(code: number, text: string): Promise<void> {
    return this.#leaving ??= this.#sayGoodbye(code, text);
  }

  async #sayGoodbye(code: number, text: string): Promise<void> {
    this.#graceTimer = setTimeout(() => this.#peer.reset(), GRACE_MS);
    try {
      await this.#client.finish(this.#lastStream, code, text);
      await this.#peer.closeWrite();
    } catch {
      // It has gone first.
    }
  }

  /** What a client still says would make the kernel answer with RST, and our last word be lost. */
  async #hearOut(): Promise<void> {
    const ignored = new Uint8Array(4 << 10);
    try {
      while (await this.#peer.read(ignored) !== null);
    } catch {
      // It has gone.
    }
  }

  #cancelAll(): void {
    for (const it of [...this.#streams.values()]) it.cancel(CODE.cancel);
    for (const upstream of this.#all) upstream.close();
  }
}
