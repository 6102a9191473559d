/**
 * Listing the target's directories: what a program asks for, and what it will (adoption.ts). With watches, where the agent has
 * them; an agent from before them is asked by List, one from before that by Open.
 */
import { concatBytes } from "../../base/bytes.ts";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { Adoption } from "./adoption.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Listing } from "./listing.ts";
import { Order } from "./order.ts";
import { directoryKey, type Snapshots } from "./snapshots.ts";
import type { Watching } from "./watching.ts";

/** Of a directory that nobody asked to be listed: some thousand names, the stats of those in front. */
const UNASKED_BYTES = 128 << 10;
const UNASKED_STATS = 512;
/** Directories that are listed before a walk comes to them, and of which none has been of use yet. */
const FIRST_AHEAD = 4;
const MOST_AHEAD = 64;
const AHEAD_MS = 2000;
const O_DIRECTORY = 0o200000;
const SLASH = 0x2f;
const SLASHES = Uint8Array.of(SLASH);

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
  readonly #coming = new Map<string, (() => void)[]>();
  /** By the directory's path: until when it is waited for that somebody wants it. */
  readonly #ahead = new Map<string, number>();
  readonly #now: () => number;
  #mostAhead = FIRST_AHEAD;
  readonly #orders = new WeakMap<Listing, Order>();
  #canWalk = true;

  constructor(agent: AgentClient, snapshots: Snapshots, watching: Watching, now: () => number) {
    this.#agent = agent;
    this.#snapshots = snapshots;
    this.#watching = watching;
    this.#adoption = new Adoption(now);
    this.#now = now;
  }

  /**
   * A program lists this directory: calls back, now or later, with it if it is known, or is on its way; with nothing if the
   * agent has to be asked. Who lists what is in a directory after the directory itself will list more of that.
   */
  find(path: Uint8Array, onFound: (listing: Listing | undefined) => void): void {
    if (!this.#canWalk) return onFound(undefined);
    const key = directoryKey(path);
    const isForeseen = this.#ahead.delete(key);
    if (isForeseen) this.#mostAhead = Math.min(2 * this.#mostAhead, MOST_AHEAD);
    const among = this.#snapshots.find(path);
    if (among?.ordinal !== undefined && among.listing.uses > 0) this.#walked(path, among.listing, among.ordinal);
    const known = () => {
      const listing = this.#snapshots.watched(key);
      if (!listing?.isWhole) return undefined;
      listing.uses++;
      if (isForeseen) this.#lookAhead(path, listing, 0);
      return listing;
    };
    const waiting = this.#coming.get(key);
    if (waiting) waiting.push(() => onFound(known()));
    else onFound(known());
  }

  isKnown(path: Uint8Array): boolean {
    return this.#snapshots.watched(directoryKey(path)) !== undefined;
  }

  /** The directory at `path`, an entry of this listing, is looked into: those beside it will be. */
  #walked(path: Uint8Array, listing: Listing, ordinal: number): void {
    const order = this.#orders.get(listing) ?? new Order(listing);
    this.#orders.set(listing, order);
    const position = order.follow(ordinal) ?? ordinal;
    listing.walked++;
    this.#lookAhead(path.subarray(0, path.lastIndexOf(SLASH)), listing, position + 1, order);
  }

  /** Lists directories that are in this one, from this entry on. */
  #lookAhead(path: Uint8Array, listing: Listing, from: number, order?: Order): void {
    for (const [key, until] of this.#ahead) {
      const isOfUse = (this.#snapshots.listingOf(key)?.uses ?? 0) > 0;
      if (!isOfUse && until > this.#now()) continue;
      this.#ahead.delete(key);
      this.#mostAhead = isOfUse ? Math.min(2 * this.#mostAhead, MOST_AHEAD) : FIRST_AHEAD;
    }
    if (!listing.watch?.isAlive || path.at(-1) === SLASH) return;
    for (let position = from; position < listing.count && this.#ahead.size < this.#mostAhead; position++) {
      const ordinal = order?.at(position) ?? position;
      if (!listing.isDirectory(ordinal)) continue;
      const below = concatBytes([path, SLASHES, listing.nameOf(ordinal)]);
      const key = directoryKey(below);
      if (this.#coming.has(key) || this.#snapshots.watched(key)) continue;
      this.#ahead.set(key, this.#now() + AHEAD_MS);
      this.#listUnasked(key, below, () => {});
    }
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
    if (this.#coming.has(key) || known?.isWhole === false) return;
    if (known && this.#snapshots.isValid(known.validity)) return;
    // One after the other of the directories in one is looked into.
    const among = this.#snapshots.find(path);
    const isInTree = among?.ordinal !== undefined && among.listing.walked > 0;
    if (!this.#adoption.isWanted(key, known?.uses ?? 0, isInTree ? 2 : questions)) return;
    if (isInTree) this.#walked(path, among!.listing, among!.ordinal!);
    else if (among) among.listing.walked++;
    else this.missed(path);
    this.#listUnasked(key, path.slice(), (isOfUse) => {
      if (!isOfUse) this.#adoption.inVain(key);
    });
  }

  #listUnasked(key: string, path: Uint8Array, onDone: (isOfUse: boolean) => void): void {
    const statEntries = Math.min(this.#snapshots.wish, UNASKED_STATS, AGENT_LIMITS.statEntries);
    this.#coming.set(key, []);
    const wish = { path, flags: O_DIRECTORY, inlineBytes: UNASKED_BYTES, statEntries };
    const onAnswer: OnListed = (answer, listing) => {
      const waiting = this.#coming.get(key) ?? [];
      this.#coming.delete(key);
      if (answer && !answer.isWhole) this.#agent.tell({ type: "CloseHandle", handle: answer.handle });
      onDone(answer?.isWhole === true && listing?.watch !== undefined);
      for (const next of waiting) next();
    };
    this.list(wish, onAnswer, true);
  }
}
