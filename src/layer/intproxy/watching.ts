/**
 * Directories whose changes the agent tells. What it said of one is believed until then, and not longer than WATCHED_MS: for
 * changes of which the kernel does not tell (shared mappings, mounts).
 *
 * News precedes every later word of the agent, answers and bytes of connections alike: nobody who was told of a change,
 * and no change of the run's own, can meet what was true before it.
 */
import type { AgentClient } from "./agent_client.ts";
import { keyOf } from "./listing.ts";

export const WATCHED_MS = 2000;

export interface Watch {
  readonly number: number;
  isAlive: boolean;
  /** Entries that have changed since, and may change on and on without news. */
  readonly changing: Set<string>;
}

export class Watching {
  readonly #agent: Pick<AgentClient, "tell" | "onChanged">;
  readonly #watches = new Map<number, Watch>();
  #lastNumber = 0;

  constructor(agent: Pick<AgentClient, "tell" | "onChanged">) {
    this.#agent = agent;
    agent.onChanged = ({ watch: number, name }) => {
      const watch = this.#watches.get(number);
      if (!watch) return;
      if (name.length > 0) return void watch.changing.add(keyOf(name));
      watch.isAlive = false;
      this.#watches.delete(number);
    };
  }

  /** To be asked for with Walk. */
  begin(): Watch {
    const watch = { number: ++this.#lastNumber, isAlive: true, changing: new Set<string>() };
    this.#watches.set(watch.number, watch);
    return watch;
  }

  /** Something is changed of which no news will come: nothing that is known is believed any more. */
  distrust(): void {
    for (const watch of [...this.#watches.values()]) this.end(watch);
  }

  /** Nobody wants to know any more, or the agent does not watch it. */
  end(watch: Watch, isWatched = true): void {
    watch.isAlive = false;
    if (this.#watches.delete(watch.number) && isWatched) this.#agent.tell({ type: "Unwatch", watch: watch.number });
  }
}
