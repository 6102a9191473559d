/** What an HTTP/2 connection asks about the ways that its streams can go. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { RequestFacts } from "../../../proto/http_filter.ts";
import type { RoutedSubscription } from "../live_routes.ts";

/** Whose program it is; undefined: the target's own. */
export type Route = RoutedSubscription | undefined;

export interface StreamRoutes {
  choose(request: RequestFacts): Route;
  /** Who gets a copy of this request. */
  copies(request: RequestFacts): readonly RoutedSubscription[];
  /** What answers say in a field of their own about the way they came; undefined: nothing. */
  mark(route: Route): string | undefined;
  /** A connection. Undefined when it cannot be had. */
  open(route: Route): Promise<StreamEnd | undefined>;
}
