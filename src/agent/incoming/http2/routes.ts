/** What an HTTP/2 connection asks about the ways that its streams can go. */
import type { RequestFacts } from "../../../proto/http_filter.ts";
import type { ProgramEnd } from "../http/pair.ts";
import type { RoutedSubscription } from "../live_routes.ts";

/** Whose program it is; undefined: the target's own. */
export type Route = RoutedSubscription | undefined;

/** A name and its value. */
export type AnswerField = readonly [name: string, value: string];

/** How much of its body decides whom a request is for, and how long that may take. */
export interface BodyLimits {
  readonly bodyBytes: number;
  readonly bodyMs: number;
}

export interface StreamRoutes {
  /** What jq says of its headers, as `jq` of what is asked next; a promise when that is not known yet. */
  judged(request: RequestFacts): RequestFacts["jq"] | Promise<RequestFacts["jq"]>;
  /** Undefined: the head of this request decides. */
  bodyLimits(request: RequestFacts): BodyLimits | undefined;
  choose(request: RequestFacts): Route;
  /** Who gets a copy of this request. */
  copies(request: RequestFacts): readonly RoutedSubscription[];
  /** What answers say, whatever else they said there. */
  fields(route: Route): readonly AnswerField[];
  /** A connection. Undefined when it cannot be had. */
  open(route: Route): Promise<ProgramEnd | undefined>;
  /** Whose program it is does not want this port any more. */
  hasLeft(route: Route): boolean;
  /** Nobody wants anything of this port any more. */
  isDeserted(): boolean;
}
