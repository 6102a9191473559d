/** The routes of one HTTP connection: by the filters of those who have subscribed its port, the oldest first. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { RequestTest } from "../../../proto/http_filter.ts";
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
}

export interface RoutesOptions {
  readonly subscriptions: readonly RoutedSubscription[];
  /** Who subscribes it by then. */
  subscriptionsNow(): readonly RoutedSubscription[];
  readonly delivery: Omit<Delivery, "isMirror">;
  dialTarget(): Promise<StreamEnd | undefined>;
}

export class FilteredRoutes implements Routes {
  readonly #options: RoutesOptions;
  readonly #copies = new Map<RoutedSubscription, MirrorEnd | undefined>();

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  /** The key is the place in the list. */
  choose(request: RequestHead): string | undefined {
    const { subscriptions } = this.#options;
    const isMeant = (it: RoutedSubscription) => it.isSteal && (it.test?.(request) ?? false);
    const at = subscriptions.findIndex(isMeant);
    const chosen = at >= 0 ? at : subscriptions.findIndex((it) => it.isSteal && it.test === undefined);
    return chosen >= 0 ? String(chosen) : undefined;
  }

  async open(key: string | undefined): Promise<StreamEnd | undefined> {
    if (key === undefined) return await this.#options.dialTarget();
    const { client } = this.#options.subscriptions[Number(key)]!;
    const [theirs, ours] = streamPair();
    return client.deliver({ ...this.#options.delivery, isMirror: false }, theirs) ? ours : undefined;
  }

  taps(request: RequestHead): readonly Tap[] {
    const mirrors = this.#options.subscriptions.filter((it) => !it.isSteal && (it.test?.(request) ?? true));
    return mirrors.map((it) => this.#copyFor(it)).filter((it) => it !== undefined);
  }

  async serveHttp2(peer: StreamEnd): Promise<void> {
    const { subscriptionsNow, delivery, dialTarget } = this.#options;
    await new Http2Connection(peer, new LiveRoutes({ subscriptions: subscriptionsNow, delivery, dialTarget })).serve();
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
