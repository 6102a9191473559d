/** The routes of one HTTP connection: by the filters of those who have subscribed its port, the oldest first. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import { Http2Connection } from "../http2/connection.ts";
import type { AnswerField, BodyLimits } from "../http2/routes.ts";
import { LiveRoutes, type LiveRoutesOptions, type RoutedSubscription } from "../live_routes.ts";
import { MirrorEnd } from "../mirror_end.ts";
import type { Tap } from "../passage.ts";
import type { Routes } from "./exchange.ts";
import type { RequestHead } from "./message.ts";
import type { ProgramEnd } from "./pair.ts";

export interface RoutesOptions extends LiveRoutesOptions {
  /** Requests of the connection cannot be told apart from here on. */
  onUnclear(): void;
}

export class FilteredRoutes implements Routes {
  readonly #options: RoutesOptions;
  readonly #live: LiveRoutes;
  #http2: Http2Connection | undefined;
  readonly #copies = new Map<RoutedSubscription, MirrorEnd | undefined>();

  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#live = new LiveRoutes(options);
  }

  choose(request: RequestHead): RoutedSubscription | undefined {
    return this.#live.choose(request);
  }

  open(subscription: RoutedSubscription | undefined): Promise<ProgramEnd | undefined> {
    return this.#live.open(subscription);
  }

  hasLeft(subscription: RoutedSubscription | undefined): boolean {
    return this.#live.hasLeft(subscription);
  }

  isDeserted(): boolean {
    return this.#live.isDeserted();
  }

  judged(request: RequestHead): RequestHead["jq"] | Promise<RequestHead["jq"]> {
    return this.#live.judged(request);
  }

  bodyLimits(request: RequestHead): BodyLimits | undefined {
    return this.#live.bodyLimits(request);
  }

  fields(subscription: RoutedSubscription | undefined): readonly AnswerField[] {
    return this.#live.fields(subscription);
  }

  chooseUnclear(): RoutedSubscription | undefined {
    return this.#live.chooseUnclear();
  }

  onUnclear(): void {
    this.#options.onUnclear();
  }

  taps(request: RequestHead | undefined): readonly Tap[] {
    return this.#live.copies(request).map((it) => this.#copyFor(it)).filter((it) => it !== undefined);
  }

  async serveHttp2(peer: StreamEnd, bytes: Uint8Array): Promise<void> {
    this.#http2 = new Http2Connection(peer, this.#live, bytes);
    await this.#http2.serve();
  }

  /** The client shall come anew when its streams are over. */
  retire(): void {
    this.#http2?.retire();
  }

  /** The connection is over: so are the copies. */
  finish(): void {
    for (const copy of this.#copies.values()) copy?.finish();
  }

  #copyFor(subscription: RoutedSubscription): MirrorEnd | undefined {
    if (!this.#copies.has(subscription)) this.#copies.set(subscription, this.#newCopy(subscription));
    return this.#copies.get(subscription);
  }

  #newCopy({ client }: RoutedSubscription): MirrorEnd | undefined {
    const { delivery } = this.#options;
    const copy = new MirrorEnd(() =>
      client.warn(`A mirrored connection to port ${delivery.port} was cut off: the program does not keep up with it`)
    );
    return client.deliver({ ...delivery, isMirror: true }, copy) ? copy : undefined;
  }
}
