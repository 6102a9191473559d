/** What the filters of a port say of heads of requests: for native code, which runs them, and for rules of the kernel. */
import type { HttpFilter } from "../../proto/http_filter.ts";
import { PassageFilters } from "../../sys/passage.ts";
import { neededTexts, programOf } from "./http/program.ts";
import type { Subscription } from "./wishes.ts";

export class HeadFilters {
  readonly #subscriptionsOf: (port: number) => readonly Subscription[];
  #all: PassageFilters | undefined;
  readonly #made = new Map<number, PassageFilters>();

  constructor(subscriptionsOf: (port: number) => readonly Subscription[]) {
    this.#subscriptionsOf = subscriptionsOf;
  }

  /** For native code; they are ours. */
  of(port: number): PassageFilters {
    const made = this.#made.get(port) ?? PassageFilters.of(programOf(this.#filtersOf(port)));
    this.#made.set(port, made);
    return made;
  }

  /** For native code, of a port that nobody subscribes any more: all is for TypeScript, which sees the clients off. */
  ofDeserted(): PassageFilters {
    return this.#all ??= PassageFilters.of(programOf([undefined]));
  }

  /** See RedirectRule. */
  needs(port: number): readonly string[] | undefined {
    return neededTexts(this.#filtersOf(port));
  }

  /** Subscriptions are others now. */
  forget(): void {
    for (const filters of this.#made.values()) filters[Symbol.dispose]();
    this.#made.clear();
    this.#all?.[Symbol.dispose]();
    this.#all = undefined;
  }

  /** Answers that are marked are for TypeScript, all of them. */
  #filtersOf(port: number): (HttpFilter | undefined)[] {
    return this.#subscriptionsOf(port).map(({ settings }) => settings?.marksAnswers ? undefined : settings?.filter);
  }
}
