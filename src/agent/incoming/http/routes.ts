/** The routes of one HTTP connection: by the filters of those who have subscribed its port, the oldest first. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { ReadFilter, RequestTest } from "../../../proto/http_filter.ts";
import type { Delivery, IncomingClient } from "../incoming.ts";
import { Http2Connection } from "../http2/connection.ts";
import { LiveRoutes } from "../http2/routes.ts";
import { MirrorEnd } from "../mirror_end.ts";
import type { Tap } from "../passage.ts";
import type { Routes } from "./exchange.ts";
import type { RequestHead } from "./message.ts";
import { streamPair } from "./pair.ts";

export interface RoutedSubscription {
  readonly client: IncomingClient;
  readonly isSteal: boolean;
  /** Undefined: every request. */
  readonly test: RequestTest | undefined;
  readonly settings?: ReadFilter | undefined;
}

export interface RoutesOptions {
  /** Those of the port by now: the older ones first. Who has left is not among them. */
  subscriptions(): readonly RoutedSubscription[];
  readonly delivery: Omit<Delivery, "isMirror">;
  dialTarget(): Promise<StreamEnd | undefined>;
}

export class FilteredRoutes implements Routes {
  readonly #options: RoutesOptions;
  readonly #copies = new Map<RoutedSubscription, MirrorEnd | undefined>();

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  choose(request: RequestHead): RoutedSubscription | undefined {
    const subscriptions = this.#options.subscriptions();
    return subscriptions.find((it) => it.isSteal && (it.test?.(request) ?? false)) ??
      subscriptions.find((it) => it.isSteal && it.test === undefined);
  }

  async open(subscription: RoutedSubscription | undefined): Promise<StreamEnd | undefined> {
    if (subscription === undefined) return await this.#options.dialTarget();
    const [theirs, ours] = streamPair();
    return subscription.client.deliver({ ...this.#options.delivery, isMirror: false }, theirs) ? ours : undefined;
  }

  bodyLimits(request: RequestHead): { bodyBytes: number; bodyMs: number } | undefined {
    const asking = this.#options.subscriptions().flatMap(({ settings }) =>
      settings?.hasBody && settings.test({ ...request, body: "any" }) ? [settings] : []
    );
    if (asking.length === 0) return undefined;
    const most = (limits: readonly number[]) => Math.max(...limits);
    return { bodyBytes: most(asking.map((it) => it.bodyBytes)), bodyMs: most(asking.map((it) => it.bodyMs)) };
  }

  mark(subscription: RoutedSubscription | undefined): string | undefined {
    if (!this.#options.subscriptions().some(({ settings }) => settings?.marksAnswers)) return undefined;
    return `Mirrord-Agent: ${subscription ? "forwarded-to-client" : "passed-through"}`;
  }

  taps(request: RequestHead): readonly Tap[] {
    const mirrors = this.#options.subscriptions().filter((it) => !it.isSteal && (it.test?.(request) ?? true));
    return mirrors.map((it) => this.#copyFor(it)).filter((it) => it !== undefined);
  }

  async serveHttp2(peer: StreamEnd, bytes: Uint8Array): Promise<void> {
    await new Http2Connection(peer, new LiveRoutes(this.#options), bytes).serve();
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
