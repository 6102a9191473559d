/**
 * Listing the target's directories: what a program asks for, and what it will (adoption.ts). With watches, where the agent has
 * them; an agent from before them is asked by List, one from before that by Open.
 */
import { AGENT_LIMITS } from "../../proto/agent.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { Adoption } from "./adoption.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Listing } from "./listing.ts";
import { directoryKey, type Snapshots } from "./snapshots.ts";
import type { Watching } from "./watching.ts";

/** Of a directory that nobody asked to be listed: some thousand names, the stats of those in front. */
const UNASKED_BYTES = 128 << 10;
const UNASKED_STATS = 512;
const O_DIRECTORY = 0o200000;
const SLASH = 0x2f;

export interface ListWish {
  /** Must stay as it is. */
  path: Uint8Array;
  flags: number;
  inlineBytes: number;
  statEntries: number;
}
type OnListed = (answer: ListAnswer | undefined, listing: Listing | undefined) => void;
export type ListAnswer = MessageNamed<typeof AGENT, "ListReply" | "WalkReply">;

export class Directories {
  readonly #agent: AgentClient;
  readonly #snapshots: Snapshots;
  readonly #watching: Watching;
  readonly #adoption: Adoption;
  readonly #coming = new Set<string>();
  #canWalk = true;

  constructor(agent: AgentClient, snapshots: Snapshots, watching: Watching, now: () => number) {
    this.#agent = agent;
    this.#snapshots = snapshots;
    this.#watching = watching;
    this.#adoption = new Adoption(now);
  }

  /** `listing` is where more entries are noted. No answer: the agent is lost, or knows nothing of listings. */
  list(wish: ListWish, onAnswer: OnListed, isUnasked = false): void {
    const asked = this.#snapshots.moment();
    const { path } = wish;
    const key = directoryKey(path);
    if (!this.#canWalk) {
      return this.#agent.request({ type: "List", ...wish }, (answer) => {
        onAnswer(answer, answer?.errno === 0 ? this.#snapshots.add(key, answer, asked) : undefined);
      });
    }
    const watch = this.#watching.begin();
    this.#agent.request({ type: "Walk", ...wish, watch: watch.number }, (answer) => {
      if (!answer) {
        this.#watching.end(watch, false);
        this.#canWalk = false;
        return isUnasked ? onAnswer(undefined, undefined) : this.list(wish, onAnswer);
      }
      const isWatched = answer.errno === 0 && answer.isWatched && watch.isAlive;
      if (!isWatched) this.#watching.end(watch, answer.isWatched);
      onAnswer(answer, answer.errno === 0 ? this.#snapshots.add(key, answer, asked, watch) : undefined);
    });
  }

  /** A question about this path had to go to the agent: perhaps the next about its neighbours need not. */
  missed(path: Uint8Array): void {
    const slash = path.lastIndexOf(SLASH);
    if (slash < 0 || slash === path.length - 1) return;
    this.#adopt(path.subarray(0, Math.max(1, slash)), 1);
  }

  /** A directory was opened, but not to be listed: that is what is done with directories. */
  opened(path: Uint8Array): void {
    this.#adopt(path, 2);
  }

  #adopt(path: Uint8Array, questions: number): void {
    if (!this.#canWalk) return;
    const key = directoryKey(path);
    const known = this.#snapshots.listingOf(key);
    if (this.#coming.has(key) || (known && this.#snapshots.isValid(known.validity))) return;
    if (!this.#adoption.isWanted(key, known?.uses ?? 0, questions)) return;
    const statEntries = Math.min(this.#snapshots.wish, UNASKED_STATS, AGENT_LIMITS.statEntries);
    this.#coming.add(key);
    const wish = { path: path.slice(), flags: O_DIRECTORY, inlineBytes: UNASKED_BYTES, statEntries };
    const onAnswer: OnListed = (answer, listing) => {
      this.#coming.delete(key);
      if (answer && !answer.isWhole) this.#agent.tell({ type: "CloseHandle", handle: answer.handle });
      if (!answer?.isWhole || !listing?.watch) this.#adoption.inVain(key);
    };
    this.list(wish, onAnswer, true);
  }
}
