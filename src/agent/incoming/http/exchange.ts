/**
 * One redirected connection that carries HTTP/1: each request goes whole to the run whose filter it matches, or to the target's
 * own program, and the answer comes back from there. Bytes are passed on as they came. Requests that nobody wants are for
 * native/sys/passage_http.c, which hands a connection over when it sees one that somebody may want, and gets it back.
 *
 * State       event                                           action > next
 * DETECT      no HTTP, or nothing said for detectionMs        all to the target > TUNNEL
 * DETECT      preface of HTTP/2                               stream by stream, elsewhere (../http2)
 * IDLE        head of a request that nobody wants             give it back, unless it is the one that was handed over
 * IDLE        head of a request                               choose, pass it on > BUSY
 * IDLE        peer's end; who answered last has closed        close all
 * BUSY        answer and request are complete                 > IDLE, or close all when either said it was the last
 * BUSY        101, or 2xx to CONNECT                          > TUNNEL with who answered
 * IDLE        what two could read differently (RFC 9112 6.3)  no later request is told apart: all to the target > TUNNEL
 * BUSY        chunks that are none, said to the target        the same
 * BUSY        chunks that are none, said to a run             400, close all
 * BUSY        a run that was to answer breaks off before that 502, close all
 * BUSY        a run that was to answer has left before that   choose anew, if that may be (#another) > BUSY; else as above
 * IDLE        who answered last was a run, and has left       > IDLE
 * any         nobody wants anything of the port any more      the next answer is the connection's last
 * BUSY        the target does, or an answer ends early        close all
 * TUNNEL      both directions ended                           close all
 */
import { concatBytes, fromUtf8, utf8 } from "../../../base/bytes.ts";
import { whenLate } from "../../../base/late.ts";
import type { StreamEnd } from "../../../base/socket_end.ts";
import { type Answered, passAnswer } from "./answer.ts";
import { withoutHttp2Offer } from "./http2_offer.ts";
import type { AnswerField, BodyLimits } from "../http2/routes.ts";
import { isIdempotent } from "../may_say_again.ts";
import { pass, type Tap } from "../passage.ts";
import { parseRequest, passBody, type Passed, peekBody, readHead, type RequestHead } from "./message.ts";
import type { ProgramEnd } from "./pair.ts";
import { detectProtocol } from "./protocol.ts";
import { ByteReader, ReadEnd } from "./reader.ts";
import { SaidRequest } from "./said_request.ts";

/** Where requests go. */
export interface Routes {
  /** Who gets this request: a key, the same for the same run; undefined: the target's own program. */
  choose(request: RequestHead): object | undefined;
  /** A connection to whom `choose` named. Undefined when it cannot be had. */
  open(key: object | undefined): Promise<ProgramEnd | undefined>;
  /** Who was chosen does not want this port any more. */
  hasLeft(key: object | undefined): boolean;
  /** Nobody wants anything of this port any more: its clients shall come anew. */
  isDeserted(): boolean;
  /** What jq says of its headers, as `jq` of what is asked next. */
  judged(request: RequestHead): RequestHead["jq"] | Promise<RequestHead["jq"]>;
  /** How much of its body decides who wants it, and how long that may take; undefined: its head does. */
  bodyLimits(request: RequestHead): BodyLimits | undefined;
  /** What every answer says, whatever else it said there. */
  fields(key: object | undefined): readonly AnswerField[];
  /** Who gets a copy of this request; undefined: of what nobody can tell requests in. */
  taps(request: RequestHead | undefined): readonly Tap[];
  /** Who gets what nobody can tell requests in. */
  chooseUnclear(): object | undefined;
  /** Something is unclear. */
  onUnclear(): void;
  /** Takes over a connection that begins with the preface of HTTP/2, and whose first `bytes` were read; resolves when it is over. */
  serveHttp2(peer: StreamEnd, bytes: Uint8Array): Promise<void>;
}

/** How long after the end of its connections it may take to be known that a run has left. */
const LEAVING_MS = 300;
const CONTINUE = utf8("HTTP/1.1 100 Continue\r\n\r\n");

interface Upstream {
  readonly key: object | undefined;
  readonly end: ProgramEnd;
  readonly reader: ByteReader;
  hasAnswered: boolean;
}

/** A connection whose next requests are for the target. */
export interface GivenBack {
  /** What the peer has said, from the head of a request on. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** To the target's own program, when there is one. */
  readonly target: StreamEnd | undefined;
}

export class HttpConnection {
  #peer!: StreamEnd;
  #reader!: ByteReader;
  readonly #routes: Routes;
  readonly #detectionMs: number;
  readonly #upstreams = new Map<object | undefined, Upstream>();
  #last: Upstream | undefined;
  /** Since the connection was handed over. */
  #exchanges = 0;
  #back: GivenBack | undefined;
  #isBroken = false;
  #isIdle = false;
  /** To the request that is just answered, for its body was to decide whose it is. */
  #hasSaidContinue = false;

  constructor(routes: Routes, detectionMs: number) {
    this.#routes = routes;
    this.#detectionMs = detectionMs;
  }

  /**
   * Goes on with a connection whose peer has said these bytes; `target` leads to the target's own program. Resolves when it
   * is over and all its ends are closed, or when it may go on without us: then its ends are as they were. Never rejects.
   */
  async resume(
    peer: StreamEnd,
    bytes: Uint8Array<ArrayBuffer>,
    target: StreamEnd | undefined,
  ): Promise<GivenBack | undefined> {
    this.#peer = peer;
    this.#reader = new ByteReader(peer, bytes);
    this.#upstreams.get(undefined)?.end.close();
    this.#upstreams.delete(undefined);
    this.#last = undefined;
    this.#exchanges = 0;
    if (target) {
      this.#upstreams.set(undefined, {
        key: undefined,
        end: target,
        reader: new ByteReader(target),
        hasAnswered: true,
      });
    }
    await this.#serve();
    const back = this.#back;
    this.#back = undefined;
    return back;
  }

  async #serve(): Promise<void> {
    try {
      const protocol = await detectProtocol(this.#reader, this.#detectionMs);
      if (protocol === "HTTP/2") await this.#routes.serveHttp2(this.#peer, this.#reader.take());
      else if (protocol === "another") await this.#tunnel(await this.#upstream(undefined));
      else {
        while (await this.#exchange());
        if (this.#back) return;
        await this.#peer.closeWrite();
      }
    } catch {
      this.#peer.reset();
      for (const { end } of this.#upstreams.values()) end.reset();
    }
    this.close();
  }

  /** Between two requests anybody may end a connection (RFC 9112 9.5). */
  endIfIdle(): void {
    if (this.#isIdle) this.#peer.close();
  }

  /** Closes all ends. */
  close(): void {
    this.#peer.close();
    for (const { end } of this.#upstreams.values()) end.close();
  }

  /** One request and its answer. False: there are no more. */
  async #exchange(): Promise<boolean> {
    this.#isIdle = true;
    const isMore = await this.#nextRequest();
    this.#isIdle = false;
    if (!isMore) return false;
    const bytes = await readHead(this.#reader);
    if (bytes === "end") return false;
    const head = bytes === "no HTTP" ? undefined : parseRequest(withoutHttp2Offer(bytes));
    if (!head) {
      if (bytes !== "no HTTP") this.#reader.putBack(bytes);
      await this.#passUnclear();
      return false;
    }
    this.#hasSaidContinue = false;
    const request = { ...head, jq: await this.#routes.judged(head) };
    const body = await this.#body(request);
    const facts = body === undefined ? request : { ...request, body };
    const key = this.#routes.choose(facts);
    const taps = this.#routes.taps(facts);
    if (key === undefined && taps.length === 0 && this.#giveBack(request.bytes)) return false;
    this.#exchanges++;
    const upstream = await this.#reach(facts, key);
    if (!upstream) {
      await this.#refuse("502 Bad Gateway", "mirrord: the program that should answer cannot be reached\n");
      return false;
    }
    this.#last = upstream;
    return await this.#passOn(request, facts, upstream, taps);
  }

  /** Who is to answer this request. */
  async #reach(facts: RequestHead, key = this.#routes.choose(facts)): Promise<Upstream | undefined> {
    const upstream = await this.#upstream(key);
    return upstream || !this.#routes.hasLeft(key) ? upstream : await this.#reach(facts);
  }

  /** Where a request ends here is not where it ends for everybody: to one of them, with all that follows. */
  async #passUnclear(): Promise<void> {
    this.#routes.onUnclear();
    const key = this.#routes.chooseUnclear();
    const upstream = await this.#upstream(key);
    for (const [of, { end }] of this.#upstreams) if (of !== key) end.close();
    await this.#tunnel(upstream, this.#routes.taps(undefined));
  }

  /** What the body says, if that decides who gets the request. */
  async #body(request: RequestHead): Promise<{ json: unknown } | undefined> {
    const { framing, awaitsContinue } = request;
    const limits = this.#routes.bodyLimits(request);
    if (!limits) return undefined;
    this.#hasSaidContinue = awaitsContinue && (framing === "chunked" || Number(framing) <= limits.bodyBytes);
    if (this.#hasSaidContinue) await this.#peer.writeAll(CONTINUE);
    const bytes = await peekBody(this.#reader, framing, limits.bodyBytes, limits.bodyMs);
    try {
      return bytes && { json: JSON.parse(fromUtf8(bytes)) };
    } catch {
      return undefined;
    }
  }

  /** Nobody wants this request. False when it has to be passed on here. */
  #giveBack(head: Uint8Array): boolean {
    const target = this.#upstreams.get(undefined);
    const isMarked = this.#routes.fields(undefined).length > 0;
    if (this.#exchanges === 0 || this.#hasSaidContinue || isMarked || this.#routes.isDeserted()) return false;
    if (target && (target.reader.isEnded || target.reader.held.length > 0)) return false;
    this.#upstreams.delete(undefined);
    this.#back = { bytes: concatBytes([head, this.#reader.take()]), target: target?.end };
    return true;
  }

  /** Waits for bytes of the peer; false when it ends, or who answered last does not want any more. */
  async #nextRequest(): Promise<boolean> {
    if (this.#reader.held.length > 0) return true;
    const filling = this.#reader.fill();
    if (!this.#last) return await filling;
    filling.catch(() => {});
    const { key, reader } = this.#last;
    const gone = reader.fill().catch(() => false);
    const first = await Promise.race([filling.then((is) => ({ is })), gone.then(() => "upstream" as const)]);
    if (first !== "upstream") return first.is;
    this.#last = undefined;
    // A run's end is not for its clients to see.
    if (key && reader.held.length === 0 && await this.#outlives(key, filling)) return await filling;
    // What it says unasked (408, say) is its last word.
    await this.#peer.writeAll(reader.take());
    return false;
  }

  /** Who answered last has ended the connection. Does the client say more, or has it left for good? */
  async #outlives(key: object, filling: Promise<boolean>): Promise<boolean> {
    const late = Promise.withResolvers<boolean>();
    const inTime = whenLate(LEAVING_MS, () => late.resolve(this.#routes.hasLeft(key)));
    const isMore = await Promise.race([filling, late.promise]);
    inTime();
    return isMore;
  }

  async #passOn(request: RequestHead, facts: RequestHead, first: Upstream, taps: readonly Tap[]): Promise<boolean> {
    let upstream = first;
    // Of what nobody can tell requests in, the rest goes to whom all of it would.
    const isTheirRest = first.key === this.#routes.chooseUnclear();
    const said = new SaidRequest(first.end, taps);
    const write = (bytes: Uint8Array) => said.write(bytes);
    let passed: Passed | undefined;
    let isUpgraded = false;
    const sending = (async () => {
      await write(request.bytes);
      return passed = isUpgraded ? "whole" : await passBody(this.#reader, request.framing, write);
    })();
    let isAnswered = false;
    sending.then(async (how) => {
      if (how !== "broken") await this.#heedPeer(said, () => isAnswered);
      else if (isTheirRest) await this.#passRest(said);
      else said.end.reset();
    }).catch(() => {
      // Who does not hear a request to its end may have answered it.
      if (!this.#reader.isBroken) return;
      this.#isBroken = true;
      if (!isAnswered) said.end.reset();
    });
    let answer = await this.#answer(request, upstream);
    while (answer === "nothing" && !this.#isBroken && passed !== "broken") {
      const next = await this.#another(facts, upstream, said);
      if (!next) break;
      upstream = next;
      answer = await this.#answer(request, upstream);
    }
    isAnswered = true;
    said.settle();
    if (answer === "nothing") {
      if (this.#isBroken || (passed === "broken" && isTheirRest)) return false;
      if (passed === "broken") {
        await this.#refuse("400 Bad Request", "mirrord: the body of this request is not in chunks, as it says it is\n");
        return false;
      }
      // What the target does not answer has no answer.
      if (upstream.key) {
        await this.#refuse("502 Bad Gateway", "mirrord: the program ended the connection without an answer\n");
      }
      return false;
    }
    upstream.hasAnswered = true;
    isUpgraded = answer === "upgrade";
    if (!isUpgraded && (answer === "last" || request.isLast)) return false;
    if (await sending === "broken") {
      if (isTheirRest) await passBody(upstream.reader, "to the end", (it) => this.#peer.writeAll(it));
      return false;
    }
    if (isUpgraded) await this.#tunnel(upstream, taps);
    return !isUpgraded;
  }

  #answer(request: RequestHead, { key, reader }: Upstream): Promise<Answered> {
    return passAnswer(request, reader, this.#peer, {
      fields: this.#routes.fields(key),
      isContinued: this.#hasSaidContinue,
      isLast: () => this.#routes.isDeserted(),
      isHeldBack: key !== undefined,
      hasLeft: () => this.#routes.hasLeft(key),
    });
  }

  /** Who answers a request that was not answered, and has heard what was said of it; undefined: nobody. */
  async #another(facts: RequestHead, { key, end, hasAnswered }: Upstream, said: SaidRequest) {
    if (!said.isKept) return undefined;
    const isSafe = isIdempotent(facts);
    let next: Upstream | undefined;
    if (this.#routes.hasLeft(key)) {
      // It ended in the midst of its work, perhaps of this: only what was not begun is begun again.
      if (isSafe || end.isUntouched) next = await this.#reach(facts);
    } else if (hasAnswered && isSafe && facts.framing === 0) {
      // It was closed while we thought that it stands open: nobody has seen the request.
      next = await this.#reopen(key);
    }
    if (!next) return undefined;
    end.reset();
    this.#last = next;
    // One who does not listen does not answer either.
    await said.turnTo(next.end).catch(() => {});
    return next;
  }

  /** What is no request's body, and all that follows. */
  async #passRest(said: SaidRequest): Promise<void> {
    this.#routes.onUnclear();
    await passBody(this.#reader, "to the end", (bytes) => said.write(bytes));
    await said.closeWrite();
  }

  /** A peer that leaves before it is answered: who answers is told, as it would be without us. */
  async #heedPeer(said: SaidRequest, isAnswered: () => boolean): Promise<void> {
    if (this.#reader.held.length > 0) return;
    if (!await this.#reader.fill() && !isAnswered()) await said.closeWrite();
  }

  /** From here on bytes both ways, whatever they are. */
  async #tunnel(upstream: Upstream | undefined, taps: readonly Tap[] = []): Promise<void> {
    if (!upstream) return this.#peer.reset();
    await pass(new ReadEnd(this.#peer, this.#reader), new ReadEnd(upstream.end, upstream.reader), taps);
  }

  async #upstream(key: object | undefined): Promise<Upstream | undefined> {
    const known = this.#upstreams.get(key);
    if (known && !known.reader.isEnded && !known.reader.isBroken) return known;
    known?.end.close();
    this.#upstreams.delete(key);
    const end = await this.#routes.open(key);
    if (!end) return undefined;
    const upstream = { key, end, reader: new ByteReader(end), hasAnswered: false };
    this.#upstreams.set(key, upstream);
    return upstream;
  }

  async #reopen(key: object | undefined): Promise<Upstream | undefined> {
    this.#upstreams.get(key)?.end.close();
    this.#upstreams.delete(key);
    return await this.#upstream(key);
  }

  async #refuse(status: string, text: string): Promise<void> {
    const head =
      `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n`;
    await this.#peer.writeAll(utf8(head + text));
  }
}
