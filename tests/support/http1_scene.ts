/** One connection of HTTP/1 that is told apart into requests, between a client, a run and the target who are scripts. */
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import type { StreamEnd } from "../../src/base/socket_end.ts";
import { HttpConnection, type Routes } from "../../src/agent/incoming/http/exchange.ts";
import { streamPair } from "../../src/agent/incoming/http/pair.ts";
import type { AnswerField, BodyLimits } from "../../src/agent/incoming/http2/routes.ts";

export const RUN: object = { name: "run" };
export const OK: string = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
export const mine: string = "GET /mine HTTP/1.1\r\nHost: x\r\n\r\n";
export const other: string = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n";

/** Reads text from one end of a connection. */
export class Listener {
  readonly end: StreamEnd;
  #text = "";

  constructor(end: StreamEnd) {
    this.end = end;
  }

  say(text: string): Promise<void> {
    return this.end.writeAll(utf8(text));
  }

  /** What was said until there is `count` of it; less at the end of the connection, which "reset" may be. */
  async hear(count: number): Promise<string> {
    const chunk = new Uint8Array(1 << 16);
    try {
      for (let read; this.#text.length < count && (read = await this.end.read(chunk)) !== null;) {
        this.#text += fromUtf8(chunk.subarray(0, read));
      }
    } catch {
      this.#text += "reset";
    }
    const text = this.#text.slice(0, count);
    this.#text = this.#text.slice(count);
    return text;
  }
}

export interface SceneOptions {
  readonly fields?: AnswerField[];
  readonly unclearTo?: object;
  readonly bodyLimits?: BodyLimits;
}

/** A connection whose requests to /mine are a run's, and with `bodyLimits` those with a body in JSON. */
export class Scene implements AsyncDisposable {
  readonly client: Listener;
  readonly #opened: [object | undefined, Listener][] = [];
  #wake = () => {};
  readonly #over: Promise<unknown>;
  unclear = 0;
  /** The run wants no more. */
  hasLeft = false;

  constructor({ fields = [], unclearTo, bodyLimits }: SceneOptions = {}) {
    const routes: Routes = {
      choose: ({ target, body }) => !this.hasLeft && (body || fromUtf8(target) === "/mine") ? RUN : undefined,
      hasLeft: (key) => key === RUN && this.hasLeft,
      isDeserted: () => this.hasLeft,
      open: (key) => {
        const [theirs, ours] = streamPair();
        this.#opened.push([key, new Listener(theirs)]);
        this.#wake();
        return Promise.resolve(ours);
      },
      judged: () => undefined,
      bodyLimits: () => bodyLimits,
      fields: () => fields,
      taps: () => [],
      chooseUnclear: () => unclearTo,
      onUnclear: () => void this.unclear++,
      serveHttp2: () => Promise.reject(new Error("This is no HTTP/2")),
    };
    const [client, peer] = streamPair();
    this.client = new Listener(client);
    this.#over = new HttpConnection(routes, 60_000).resume(peer, new Uint8Array(), undefined);
  }

  /** The next connection that was opened, and for whom. */
  async opened(): Promise<["run" | "target", Listener]> {
    while (this.#opened.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    const [key, listener] = this.#opened.shift()!;
    return [key === RUN ? "run" : "target", listener];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.end.reset();
    for (const [, { end }] of this.#opened) end.reset();
    await this.#over;
  }
}
