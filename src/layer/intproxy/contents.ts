/**
 * Small files of directories that the agent watches: what of them was read, and is as it was for all that is known; and which
 * will be read next, so that their contents come before they are asked for.
 *
 * Who opens two files of a directory is taken to read more. Of one with little in it, compared to how many were opened, all
 * comes at once; else those that follow in the order in which they are opened (order.ts), twice as many bytes each time. Only regular files
 * with one name, read with the target's rights; what the agent cannot read is asked for when it is opened.
 */
import { concatBytes } from "../../base/bytes.ts";
import { FRAME_HEAD_BYTES } from "../../proto/codec.ts";
import type { Stat } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import { errnoIn, fileSizeIn, isCoveredIn, keyOf, type Listing, RECORD_BYTES } from "./listing.ts";
import { Order } from "./order.ts";
import { layerCodec } from "./shim_connection.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Watch } from "./watching.ts";

/** A bigger file is worth a message of its own. */
const EACH_BYTES = 64 << 10;
/** Of a directory with less than this in it everything comes; or less than that for each file of it that was opened. */
const LITTLE_BYTES = 256 << 10;
const LITTLE_FOR_EACH_BYTES = 32 << 10;
const FIRST_WINDOW_BYTES = 64 << 10;
const WINDOW_BYTES = 896 << 10;
/** What is kept of all directories, and how much may have come in vain (beside half of what was of use). */
const MOST_BYTES = 16 << 20;
const IN_VAIN_BYTES = 8 << 20;
const HALVED_MS = 60_000;
/** Of a directory with so much in it everything comes at the first open, if that was of use in the last one. */
const EAGER_BYTES = 64 << 10;
const EAGER_VAIN_BYTES = 2 << 20;
/** Contents may change through a shared mapping, of which nobody tells: shorter than facts. */
const CONTENTS_MS = 1000;
/** Record and length. */
const HEAD_BYTES = RECORD_BYTES + 4;
/** Of one message; and what a file is taken to have whose stat is not known. */
const MOST_NAMES = 1024;
const UNKNOWN_BYTES = 8192;
const SLASH = 0x2f;
const NUL = Uint8Array.of(0);

export interface Kept {
  readonly record: Uint8Array;
  readonly data: Uint8Array;
}

interface Content extends Kept {
  readonly watch: Watch;
  readonly name: string;
  readonly until: number;
  isUsed: boolean;
}

/** How one directory is walked. */
interface Walk {
  readonly order: Order;
  opens: number;
  window: number;
  /** Up to which position all was asked for; and from which on more is. */
  until: number;
  askAt: number;
  isAllAsked: boolean;
  /** What the agent did not want to read, by the entries' numbers. */
  readonly refused: Set<number>;
  /** Of its small files. */
  readonly bytes: number;
}

interface Wanted {
  readonly key: string;
  readonly name: Uint8Array;
  readonly size: number;
  readonly ordinal: number;
}

export class Contents {
  readonly #agent: AgentClient;
  readonly #snapshots: Snapshots;
  readonly #now: () => number;
  /** By path; the oldest first. */
  readonly #contents = new Map<string, Content>();
  readonly #coming = new Map<string, (() => void)[]>();
  readonly #walks = new WeakMap<Listing, Walk>();
  #bytes = 0;
  /** What came and was not asked for, less half of what was of use. */
  #inVain = 0;
  #halvedAt: number;
  /** When what was foreseen was last of use. */
  #usedAt = -Infinity;

  constructor(agent: AgentClient, snapshots: Snapshots, now: () => number) {
    this.#agent = agent;
    this.#snapshots = snapshots;
    this.#now = now;
    this.#halvedAt = now();
  }

  /** For tests. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Calls back, now or later, with what an open of this path finds, or with nothing: the agent has to be asked. */
  find(path: Uint8Array, onFound: (kept: Kept | undefined) => void): void {
    const found = this.#snapshots.find(path);
    if (found?.ordinal === undefined || !found.listing.watch?.isAlive) return onFound(undefined);
    const key = keyOf(path);
    this.#walked(found.listing, found.ordinal, path, this.#coming.has(key) || this.#known(key) !== undefined);
    const waiting = this.#coming.get(key);
    if (waiting) waiting.push(() => onFound(this.#take(key)));
    else onFound(this.#take(key));
  }

  /** To be asked before a file is opened at the agent, for `opened`. */
  watchOf(path: Uint8Array): Watch | undefined {
    const watch = this.#snapshots.find(path)?.listing.watch;
    return watch?.isAlive ? watch : undefined;
  }

  /** A file was opened at the agent while `watch` was there already: the next one may have it as it was. */
  opened(path: Uint8Array, stat: Stat, data: Uint8Array, watch: Watch): void {
    const found = this.#snapshots.find(path);
    if (!watch.isAlive || found?.listing.watch !== watch || data.length > EACH_BYTES) return;
    // What a link leads to is not watched.
    if (found.ordinal === undefined || !found.listing.isFile(found.ordinal)) return;
    const record = layerCodec.encode({ type: "StatReply", errno: 0, stat }, 0).subarray(FRAME_HEAD_BYTES);
    if (!isCoveredIn(record, found.listing.stat) || fileSizeIn(record) !== data.length) return;
    const content = {
      record,
      data: data.slice(),
      watch,
      name: found.name,
      until: this.#now() + CONTENTS_MS,
      isUsed: true,
    };
    this.#keep(keyOf(path), content);
  }

  #known(key: string): Content | undefined {
    const content = this.#contents.get(key);
    if (!content) return undefined;
    const { watch, name, until } = content;
    if (watch.isAlive && !watch.changing.has(name) && this.#now() < until) return content;
    this.#drop(key, content);
    return undefined;
  }

  #take(key: string): Kept | undefined {
    const content = this.#known(key);
    if (!content?.isUsed && content) {
      this.#inVain -= content.data.length * 1.5;
      this.#usedAt = this.#now();
      content.isUsed = true;
    }
    return content;
  }

  /** May more come in vain? What did long ago is forgotten. */
  #isWorth(limit: number): boolean {
    const now = this.#now();
    for (; now - this.#halvedAt > HALVED_MS; this.#halvedAt += HALVED_MS) this.#inVain /= 2;
    return this.#inVain < limit;
  }

  /** `isHere`: it was foreseen. */
  #walked(listing: Listing, ordinal: number, path: Uint8Array, isHere: boolean): void {
    const walk = this.#walks.get(listing) ?? this.#begin(listing);
    const position = walk.order.follow(ordinal);
    // Who has just read what was foreseen in one directory will do so in the next.
    const isEager = this.#now() - this.#usedAt < CONTENTS_MS && walk.bytes <= EAGER_BYTES &&
      this.#isWorth(EAGER_VAIN_BYTES);
    if ((++walk.opens < 2 && !isEager) || !this.#isWorth(IN_VAIN_BYTES)) return;
    // Foreseen, but too old by now, or read a second time: all anew.
    if (!isHere && !walk.refused.has(ordinal)) {
      walk.isAllAsked = false;
      walk.until = walk.askAt = 0;
    }
    const directory = path.subarray(0, path.lastIndexOf(SLASH) + 1);
    if (!walk.isAllAsked && walk.bytes <= Math.max(LITTLE_BYTES, walk.opens * LITTLE_FOR_EACH_BYTES)) {
      walk.isAllAsked = true;
      for (let from = 0; from < listing.count;) {
        const { wanted, end } = this.#batch(listing, walk, directory, (at) => at, from, WINDOW_BYTES);
        this.#ask(listing, walk, directory, wanted);
        from = end;
      }
    } else if (position !== undefined && !walk.isAllAsked) {
      this.#ahead(listing, walk, position, directory);
    }
  }

  #begin(listing: Listing): Walk {
    const bytes = bytesOf(listing);
    const walk = {
      order: new Order(listing),
      opens: 0,
      window: 0,
      until: 0,
      askAt: 0,
      isAllAsked: false,
      bytes,
      refused: new Set<number>(),
    };
    this.#walks.set(listing, walk);
    return walk;
  }

  #ahead(listing: Listing, walk: Walk, position: number, directory: Uint8Array): void {
    // Another order, or a walk that began anew.
    if (position > walk.until || position + MOST_NAMES < walk.until) walk.until = walk.askAt = position;
    if (position < walk.askAt) return;
    walk.window = Math.min(Math.max(2 * walk.window, FIRST_WINDOW_BYTES), WINDOW_BYTES);
    const from = Math.max(walk.until, position);
    const { wanted, end } = this.#batch(listing, walk, directory, (at) => walk.order.at(at), from, walk.window);
    walk.until = end;
    walk.askAt = (from + end) >> 1;
    this.#ask(listing, walk, directory, wanted);
  }

  /** Entries from this position on whose contents fit into so many bytes, and are not here already. */
  #batch(
    listing: Listing,
    walk: Walk,
    directory: Uint8Array,
    at: (position: number) => number,
    from: number,
    mostBytes: number,
  ) {
    const wanted: Wanted[] = [];
    let bytes = 0;
    let position = from;
    for (; position < listing.count && wanted.length < MOST_NAMES && position < from + 4 * MOST_NAMES; position++) {
      const ordinal = at(position);
      const size = sizeOf(listing, ordinal);
      const name = listing.nameOf(ordinal);
      const key = keyOf(directory) + keyOf(name);
      if (size === undefined || walk.refused.has(ordinal) || this.#coming.has(key) || this.#known(key)) continue;
      if (listing.watch!.changing.has(keyOf(name))) continue;
      bytes += size + HEAD_BYTES;
      if (bytes > mostBytes && wanted.length > 0) break;
      wanted.push({ key, name, size, ordinal });
    }
    return { wanted, end: position };
  }

  #ask(listing: Listing, walk: Walk, directory: Uint8Array, wanted: readonly Wanted[]): void {
    const { watch } = listing;
    if (wanted.length === 0 || !watch) return;
    for (const { key } of wanted) this.#coming.set(key, []);
    const until = this.#now() + CONTENTS_MS;
    const eachBytes = wanted.reduce((most, { size }) => Math.max(most, size === UNKNOWN_BYTES ? EACH_BYTES : size), 0);
    const mostBytes = wanted.reduce((sum, { size }) => sum + size + HEAD_BYTES, eachBytes + HEAD_BYTES + 1);
    this.#agent.request({
      type: "ReadEntries",
      path: directory.subarray(0, Math.max(1, directory.length - 1)),
      names: concatBytes(wanted.flatMap(({ name }) => [name, NUL])),
      eachBytes,
      mostBytes,
    }, (answer) => {
      if (answer?.errno === 0) this.#came(answer.data.slice(), wanted, walk, { watch, until });
      for (const { key } of wanted) {
        const waiting = this.#coming.get(key) ?? [];
        this.#coming.delete(key);
        for (const next of waiting) next();
      }
    });
  }

  #came(
    bytes: Uint8Array<ArrayBuffer>,
    wanted: readonly Wanted[],
    walk: Walk,
    { watch, until }: Pick<Content, "watch" | "until">,
  ): void {
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const { key, name, ordinal } of wanted) {
      if (at + HEAD_BYTES > bytes.length) return;
      const length = view.getUint32(at + RECORD_BYTES, true);
      const record = bytes.subarray(at, at + RECORD_BYTES);
      const data = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
      at += HEAD_BYTES + length;
      if (errnoIn(record) !== 0) walk.refused.add(ordinal);
      if (errnoIn(record) !== 0 || data.length !== length || !watch.isAlive) continue;
      this.#inVain += length;
      this.#keep(key, { record, data, watch, name: keyOf(name), until, isUsed: false });
    }
  }

  #keep(key: string, content: Content): void {
    const before = this.#contents.get(key);
    if (before) this.#drop(key, before);
    this.#contents.set(key, content);
    this.#bytes += content.data.length;
    for (const [oldest, it] of this.#contents) {
      if (this.#bytes <= MOST_BYTES && it.until > this.#now()) return;
      this.#drop(oldest, it);
    }
  }

  #drop(key: string, content: Content): void {
    this.#contents.delete(key);
    this.#bytes -= content.data.length;
  }
}

function bytesOf(listing: Listing): number {
  let bytes = 0;
  for (let ordinal = 0; ordinal < listing.count; ordinal++) {
    bytes += sizeOf(listing, ordinal) ?? 0;
    if (ordinal >= MOST_NAMES) return Infinity;
  }
  return bytes;
}

/** Of what is small and a regular file, for all that is known; the agent looks again. */
function sizeOf(listing: Listing, ordinal: number): number | undefined {
  const record = listing.peek(ordinal);
  if (!record) return listing.isFile(ordinal) ? UNKNOWN_BYTES : undefined;
  const size = errnoIn(record) === 0 && isCoveredIn(record, listing.stat) ? fileSizeIn(record) : undefined;
  return size !== undefined && size <= EACH_BYTES ? size : undefined;
}
