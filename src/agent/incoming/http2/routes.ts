/** Where the streams of one HTTP/2 connection go: by the filters of those who subscribe its port at that moment, the oldest first. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { RequestFacts } from "../../../proto/http_filter.ts";
import type { RoutedSubscription } from "../http/routes.ts";
import { streamPair } from "../http/pair.ts";
import type { Delivery } from "../incoming.ts";

/** Whose program it is; undefined: the target's own. */
export type Route = RoutedSubscription | undefined;

export interface StreamRoutes {
  choose(request: RequestFacts): Route;
  /** Who gets a copy of this request. */
  copies(request: RequestFacts): readonly RoutedSubscription[];
  /** A connection. Undefined when it cannot be had. */
  open(route: Route): Promise<StreamEnd | undefined>;
}

export interface LiveRoutesOptions {
  /** Connections live long: who subscribes may have changed since the last stream. */
  subscriptions(): readonly RoutedSubscription[];
  readonly delivery: Omit<Delivery, "isMirror">;
  dialTarget(): Promise<StreamEnd | undefined>;
}

export class LiveRoutes implements StreamRoutes {
  readonly #options: LiveRoutesOptions;

  constructor(options: LiveRoutesOptions) {
    this.#options = options;
  }

  choose(request: RequestFacts): Route {
    let rest: Route;
    for (const it of this.#options.subscriptions()) {
      if (!it.isSteal) continue;
      if (it.test?.(request)) return it;
      if (it.test === undefined) rest ??= it;
    }
    return rest;
  }

  copies(request: RequestFacts): readonly RoutedSubscription[] {
    return this.#options.subscriptions().filter((it) => !it.isSteal && (it.test?.(request) ?? true));
  }

  async open(route: Route): Promise<StreamEnd | undefined> {
    if (!route) return await this.#options.dialTarget();
    const [theirs, ours] = streamPair();
    // A copy too is a whole connection: its program has to be heard, for it says how much it can take.
    return route.client.deliver({ ...this.#options.delivery, isMirror: false }, theirs) ? ours : undefined;
  }
}
