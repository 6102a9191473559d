/**
 * Where the requests of one HTTP connection go, of whatever version: by the filters of those who subscribe its port at that moment,
 * the oldest first.
 */
import type { StreamEnd } from "../../base/socket_end.ts";
import type { ReadFilter, RequestFacts, RequestTest } from "../../proto/http_filter.ts";
import { type ProgramEnd, streamPair } from "./http/pair.ts";
import type { AnswerField, BodyLimits, Route, StreamRoutes } from "./http2/routes.ts";
import type { Delivery, IncomingClient } from "./wishes.ts";
import type { JudgeShare } from "./judges.ts";

export interface RoutedSubscription {
  readonly client: IncomingClient;
  readonly isSteal: boolean;
  /** Undefined: every request. */
  readonly test: RequestTest | undefined;
  readonly settings?: ReadFilter | undefined;
  /** Of its programs of jq, when it has any. */
  readonly judge?: JudgeShare | undefined;
}

export interface LiveRoutesOptions {
  /** Connections live long: who subscribes may have changed since the last stream. */
  subscriptions(): readonly RoutedSubscription[];
  readonly delivery: Omit<Delivery, "isMirror">;
  dialTarget(): Promise<StreamEnd | undefined>;
}

const UNCACHED: AnswerField = ["Cache-Control", "no-cache, no-store, must-revalidate"];
const FORWARDED: AnswerField = ["Mirrord-Agent", "forwarded-to-client"];
const PASSED_THROUGH: AnswerField = ["Mirrord-Agent", "passed-through"];

export class LiveRoutes implements StreamRoutes {
  readonly #options: LiveRoutesOptions;

  constructor(options: LiveRoutesOptions) {
    this.#options = options;
  }

  judged(request: RequestFacts): RequestFacts["jq"] | Promise<RequestFacts["jq"]> {
    const asked = this.#options.subscriptions().filter(({ judge, test }) =>
      // It depends on jq: without a match there it is not theirs, with one it may be.
      judge && test && !test(request) && test({ ...request, body: "any", jq: "any" })
    );
    if (asked.length === 0) return undefined;
    const verdicts = asked.map(({ judge }) => judge!.judge(request.headers));
    const union = (all: readonly ReadonlyMap<string, boolean>[]) => new Map(all.flatMap((it) => [...it]));
    if (verdicts.every((it) => it instanceof Map)) return union(verdicts);
    return Promise.all(verdicts).then(union);
  }

  bodyLimits(request: RequestFacts): BodyLimits | undefined {
    const asking = this.#options.subscriptions().flatMap(({ settings }) =>
      settings?.hasBody && settings.test({ ...request, body: "any" }) ? [settings] : []
    );
    if (asking.length === 0) return undefined;
    const most = (limits: readonly number[]) => Math.max(...limits);
    return { bodyBytes: most(asking.map((it) => it.bodyBytes)), bodyMs: most(asking.map((it) => it.bodyMs)) };
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

  /** What no filter can be asked about. */
  chooseUnclear(): Route {
    return this.#options.subscriptions().find((it) => it.isSteal && it.test === undefined);
  }

  copies(request: RequestFacts | undefined): readonly RoutedSubscription[] {
    return this.#options.subscriptions().filter((it) =>
      !it.isSteal && (it.test === undefined || (request !== undefined && it.test(request)))
    );
  }

  fields(route: Route): readonly AnswerField[] {
    const isMarked = this.#options.subscriptions().some(({ settings }) => settings?.marksAnswers);
    if (!isMarked) return route?.settings?.forbidsCaching ? [UNCACHED] : [];
    if (!route) return [PASSED_THROUGH];
    return route.settings?.forbidsCaching ? [UNCACHED, FORWARDED] : [FORWARDED];
  }

  /** Whose connections end now has ended itself. */
  hasLeft(route: Route): boolean {
    return route !== undefined && !this.#options.subscriptions().includes(route);
  }

  isDeserted(): boolean {
    return this.#options.subscriptions().length === 0;
  }

  async open(route: Route): Promise<ProgramEnd | undefined> {
    if (!route) return await this.#options.dialTarget();
    const [theirs, ours] = streamPair();
    // A copy too is a whole connection: its program has to be heard, for it says how much it can take.
    return route.client.deliver({ ...this.#options.delivery, isMirror: false }, theirs) ? ours : undefined;
  }
}
