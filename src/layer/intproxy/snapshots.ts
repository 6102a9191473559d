/**
 * What the target's directories were a moment ago: a listing and the lstat of its entries serve the burst of questions
 * that follows it (`ls -l`, a module searched for in a path) without asking again. See docs/decisions/0009.
 *
 * Where the agent tells of changes (watching.ts), it is passed on until then. Elsewhere nothing is that is older than
 * FACTS_MS since its answer or ANSWER_MS since it was asked for, nor anything from before the program last heard from the
 * target over a connection: what it was told there may be newer. An answer of the agent that contradicts a snapshot ends
 * it. Symbolic links are never followed here.
 */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import { FRAME_HEAD_BYTES } from "../../proto/codec.ts";
import type { Stat } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import {
  blockOf,
  ctimeIn,
  errnoIn,
  inodeIn,
  isCoveredIn,
  isLinkIn,
  keyOf,
  Listing,
  RECORD_BYTES,
  type Validity,
} from "./listing.ts";
import { layerCodec } from "./shim_connection.ts";
import { type Watch, WATCHED_MS, type Watching } from "./watching.ts";

/** Five times what 1 000 lstats take here; less than a person or a `kubectl exec` needs to change something. */
const FACTS_MS = 200;
const ANSWER_MS = 1000;
/** How long names say what may be asked for together, which is no claim about the target. */
const NAMES_MS = 30_000;
/** So many listings without a question about an entry, and the next one comes without stats. */
const UNUSED_LISTINGS = 8;
const MOST_LISTINGS = 256;
const MOST_BYTES = 32 << 20;
/** NAME_MAX: a longer name is ENAMETOOLONG, by the agent's word. */
const NAME_BYTES = 255;
const AT_SYMLINK_NOFOLLOW = 0x100;
const SLASH = 0x2f;
const DOT = 0x2e;

/** When something is asked for. An era ends with whatever may have made known things untrue. */
export interface Moment {
  readonly at: number;
  readonly era: number;
}

export interface Listed {
  stat: Stat;
  isAll: boolean;
  isWhole: boolean;
  entryBytes: number;
  data: Uint8Array;
}

export interface Found {
  readonly key: string;
  readonly name: string;
  readonly listing: Listing;
  /** undefined: no entry has this name. */
  readonly ordinal: number | undefined;
}

export class Snapshots {
  readonly #agent: Pick<AgentClient, "heardFromStreams" | "isLost" | "request">;
  readonly #now: () => number;
  readonly #watching: Watching | undefined;
  /** By the directory's path without slashes at its end; the oldest first. */
  readonly #listings = new Map<string, Listing>();
  #unusedListings = 0;
  #changes = 0;
  /** False when this agent knows nothing of listings. */
  canAsk = true;

  constructor(
    agent: Pick<AgentClient, "heardFromStreams" | "isLost" | "request">,
    now: () => number,
    watching?: Watching,
  ) {
    this.#agent = agent;
    this.#now = now;
    this.#watching = watching;
  }

  /** For tests: what is kept. */
  get size(): { listings: number; bytes: number } {
    return { listings: this.#listings.size, bytes: this.#bytes() };
  }

  /** Of how many entries a listing should bring the stats. */
  get wish(): number {
    return this.#unusedListings < UNUSED_LISTINGS ? AGENT_LIMITS.statEntries : 0;
  }

  moment(): Moment {
    return { at: this.#now(), era: this.#era };
  }

  /**
   * The program changes something at the target: no fact is passed on any more but those whose change is told. Which,
   * nobody here can tell: links make one directory of many paths, and one file of many names.
   */
  outdate(): void {
    this.#changes++;
  }

  /** The directory was watched until something changed: listed again it would be. */
  hasLostWatch(path: Uint8Array): boolean {
    return this.find(path)?.listing.watch?.isAlive === false;
  }

  /** The program gives a file another name: of changes by that there would be no news. */
  distrust(): void {
    this.#watching?.distrust();
  }

  get #era(): number {
    return this.#agent.heardFromStreams + this.#changes;
  }

  /** A directory was listed, asked for at `asked`. Copies what it keeps. Returns what more entries may be added to. */
  add(key: string, { data, entryBytes, isAll, isWhole, stat }: Listed, asked: Moment, watch?: Watch): Listing {
    const entries = data.slice(0, entryBytes);
    const validity = this.validity(asked, watch);
    const listing = new Listing({ entries, isAll, isWhole, validity, stat });
    if (data.length - entryBytes >= RECORD_BYTES) {
      listing.add(0, data.slice(entryBytes), validity);
      this.#unusedListings++;
    }
    this.#remove(key);
    this.#listings.set(key, listing);
    this.#shrink();
    return listing;
  }

  /** The entry of which this is the lstat that is known, or the stat when `isFollowing`. */
  entry(path: Uint8Array, isFollowing: boolean): { listing: Listing; ordinal: number } | undefined {
    const record = this.recordOf(path, isFollowing ? 0 : AT_SYMLINK_NOFOLLOW);
    const found = record && this.find(path);
    return found?.ordinal === undefined ? undefined : { listing: found.listing, ordinal: found.ordinal };
  }

  /** This name, or one on the way to it, is known not to exist. */
  isMissing(path: Uint8Array): boolean {
    if (this.#listings.size === 0) return false;
    for (let end = path.length; end > 1; end = path.lastIndexOf(SLASH, end - 1)) {
      const found = this.find(path.subarray(0, end));
      if (!found || found.ordinal !== undefined || !found.listing.isAll) continue;
      if (!this.isValid(found.listing.validity)) continue;
      found.listing.uses++;
      return true;
    }
    return false;
  }

  /** The record that stat with these flags would give, if it is known. */
  recordOf(path: Uint8Array, flags: number): Uint8Array | undefined {
    const own = this.#ownRecord(path);
    if (own) return own;
    const found = this.find(path);
    const record = found && this.factOf(found);
    if (!record) return undefined;
    this.#unusedListings = 0;
    found.listing.uses++;
    return usable(record, flags);
  }

  /** The lstat of this entry, if it may be passed on. */
  factOf({ listing, ordinal, name }: Found): Uint8Array | undefined {
    if (ordinal === undefined) return undefined;
    return listing.recordOf(ordinal, (validity) => {
      const record = listing.peek(ordinal);
      const isCovered = validity.watch && record && isCoveredIn(record, listing.stat) &&
        !validity.watch.changing.has(name);
      return isCovered ? this.isValid(validity) : this.#isPlainlyValid(validity) && !validity.watch?.changing.has(name);
    });
  }

  /** The directory itself, if it is watched, and as it is: no link leads there. */
  watched(key: string): Listing | undefined {
    const listing = this.#listings.get(key);
    return listing?.watch?.isAlive && this.isValid(listing.validity) ? listing : undefined;
  }

  /** What stat and lstat say of it. */
  #ownRecord(path: Uint8Array): Uint8Array | undefined {
    const listing = this.#listings.size > 0 ? this.watched(directoryKey(path)) : undefined;
    if (!listing) return undefined;
    listing.uses++;
    return layerCodec.encode({ type: "StatReply", errno: 0, stat: listing.stat }, 0).subarray(FRAME_HEAD_BYTES);
  }

  /**
   * Asks for the stat of this entry together with its neighbours'. False: better asked for alone. `onRecord` is called
   * once, with nothing when the question has to be asked alone after all.
   */
  askTogether(path: Uint8Array, flags: number, onRecord: (record: Uint8Array | undefined) => void): boolean {
    const found = this.canAsk ? this.find(path) : undefined;
    if (found?.ordinal === undefined || found.listing.watch?.changing.has(found.name)) return false;
    const { listing, ordinal, key } = found;
    if (!(flags & AT_SYMLINK_NOFOLLOW) && listing.isLink(ordinal)) return false;
    // The path's bytes are another request's by then.
    const own = path.slice();
    const waiting = listing.waiting.get(blockOf(ordinal));
    if (waiting) {
      waiting.push(() => onRecord(this.recordOf(own, flags)));
      return true;
    }
    const block = listing.blockWith(ordinal);
    if (block.count === 1) return false;
    const others: (() => void)[] = [];
    listing.waiting.set(blockOf(ordinal), others);
    const asked = this.moment();
    const directory = own.subarray(0, Math.max(1, own.lastIndexOf(SLASH)));
    this.#agent.request({ type: "StatEntries", path: directory, names: block.names }, (answer) => {
      listing.waiting.delete(blockOf(ordinal));
      if (!answer && !this.#agent.isLost) this.canAsk = false;
      const records = answer?.errno === 0 ? answer.data.slice() : new Uint8Array(0);
      if (records.length === block.count * RECORD_BYTES) {
        listing.add(block.first, records, this.validity(asked, listing.watch));
        this.#unusedListings = 0;
        this.#shrink();
      }
      // Who asked gets its answer, however soon that must not be passed on to others.
      const record = records.subarray((ordinal - block.first) * RECORD_BYTES).subarray(0, RECORD_BYTES);
      this.factOf(found);
      onRecord(record.length === RECORD_BYTES ? usable(record, flags) : undefined);
      for (const next of others) next();
      if (answer?.errno !== 0) this.#forget(key, listing);
    });
    return true;
  }

  /** Whom to tell of the agent's answer about this path; undefined when nothing is known that it may contradict. */
  observer(path: Uint8Array): ((errno: number, stat: Stat | undefined) => void) | undefined {
    const ownKey = directoryKey(path);
    const own = this.#listings.get(ownKey);
    const found = this.find(path);
    if (!own && !found) return undefined;
    return (errno, stat) => {
      if (own && (errno !== 0 || (stat && !isSame(ctimeOf(own.stat), stat)))) this.#forget(ownKey, own);
      if (found && this.#isContradicted(found, errno, stat)) this.#forget(found.key, found.listing);
    };
  }

  #isContradicted({ listing, ordinal }: Found, errno: number, stat: Stat | undefined): boolean {
    if (ordinal === undefined) return errno === 0;
    if (errno === ERRNO.ENOENT) return !listing.isLink(ordinal);
    const record = listing.peek(ordinal);
    if (!record || !stat || errno !== 0 || errnoIn(record) !== 0 || isLinkIn(record)) return false;
    return inodeIn(record) !== stat.ino || !isSame(ctimeIn(record), stat);
  }

  #forget(key: string, listing: Listing): void {
    if (this.#listings.get(key) === listing) this.#remove(key);
  }

  #remove(key: string): void {
    const listing = this.#listings.get(key);
    this.#listings.delete(key);
    if (listing?.watch) this.#watching?.end(listing.watch);
  }

  /** What is known of the directory itself. */
  listingOf(key: string): Listing | undefined {
    return this.#listings.get(key);
  }

  find(path: Uint8Array): Found | undefined {
    if (this.#listings.size === 0) return undefined;
    const slash = path.lastIndexOf(SLASH);
    const name = path.subarray(slash + 1);
    if (name.length === 0 || name.length > NAME_BYTES) return undefined;
    if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) return undefined;
    const key = keyOf(path.subarray(0, slash));
    const listing = this.#listings.get(key);
    if (!listing) return undefined;
    if (this.#now() > listing.validity.until + NAMES_MS) {
      this.#remove(key);
      return undefined;
    }
    const text = keyOf(name);
    return { key, name: text, listing, ordinal: listing.ordinalOf(text) };
  }

  /** Of an answer that is there now; `watch`: changes are told since before it was asked for. */
  validity(asked: Moment, watch?: Watch): Validity {
    const until = Math.min(this.#now() + FACTS_MS, asked.at + ANSWER_MS);
    return { era: asked.era, until, ...(watch?.isAlive && { watch }), watchedUntil: asked.at + WATCHED_MS };
  }

  isValid(validity: Validity): boolean {
    const { watch, watchedUntil } = validity;
    return watch ? watch.isAlive && this.#now() < watchedUntil : this.#isPlainlyValid(validity);
  }

  #isPlainlyValid({ era, until, watch }: Validity): boolean {
    return era === this.#era && this.#now() < until && watch?.isAlive !== false;
  }

  #bytes(): number {
    return [...this.#listings.values()].reduce((sum, listing) => sum + listing.bytes, 0);
  }

  #shrink(): void {
    let bytes = this.#bytes();
    for (const [key, listing] of this.#listings) {
      if (this.#listings.size <= MOST_LISTINGS && bytes <= MOST_BYTES) return;
      bytes -= listing.bytes;
      this.#remove(key);
    }
  }
}

/** The directory's path without the slashes at its end: "" for the root. */
export function directoryKey(path: Uint8Array): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === SLASH) end--;
  return keyOf(path.subarray(0, end));
}

/** Where stat would follow a link, and where lstat failed, the agent has the word. */
function usable(record: Uint8Array, flags: number): Uint8Array | undefined {
  if (errnoIn(record) !== 0) return undefined;
  return (flags & AT_SYMLINK_NOFOLLOW) === 0 && isLinkIn(record) ? undefined : record;
}

function ctimeOf({ ctimeSec, ctimeNsec }: Stat): { sec: bigint; nsec: number } {
  return { sec: ctimeSec, nsec: ctimeNsec };
}

function isSame({ sec, nsec }: { sec: bigint; nsec: number }, stat: Stat): boolean {
  return sec === stat.ctimeSec && nsec === stat.ctimeNsec;
}
