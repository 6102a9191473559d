/**
 * One directory as the agent listed it: the names of its entries, and the lstat of some of them for as long as that may
 * be passed on. Names are a truth for a moment, and after it only a hint of what will be asked for next.
 */
import { concatBytes } from "../../base/bytes.ts";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import type { Stat } from "../../proto/schema.ts";
import type { Watch } from "./watching.ts";

/** A record of the agent: i32 errno and a stat, as a StatReply of the layer wire has them behind its head. */
export const RECORD_BYTES = 112;
const RECORD_INO_AT = 4 + 8;
const RECORD_MODE_AT = 4 + 16;
const RECORD_LINKS_AT = RECORD_MODE_AT + 4;
const RECORD_SIZE_AT = 4 + 16 + 16 + 8;
/** struct linux_dirent64. */
const ENTRY_LENGTH_AT = 16;
const ENTRY_TYPE_AT = 18;
const ENTRY_NAME_AT = 19;
const DT_LNK = 10;
const DT_DIR = 4;
const DT_REG = 8;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
/** Of a longer listing only the entries in front are known: some 100 000. */
const MOST_ENTRY_BYTES = 4 << 20;
/** Names of one request to the agent, so that it stays small. */
const NAMES_BYTES = 256 << 10;

/** One-to-one for bytes, whatever they mean: a key for names that need not be UTF-8. */
const latin1 = new TextDecoder("latin1");
export function keyOf(bytes: Uint8Array): string {
  return latin1.decode(bytes);
}

/** When something was asked for and how long its answer may be passed on; see snapshots.ts. */
export interface Validity {
  /** Of what nobody would tell the change, and within the era alone. */
  readonly until: number;
  readonly era: number;
  /** Of what `watch` covers. */
  readonly watch?: Watch;
  readonly watchedUntil: number;
}

/** The records of entries `first` to `first + count`, from one answer. */
interface Facts {
  readonly first: number;
  readonly count: number;
  readonly records: Uint8Array;
  readonly validity: Validity;
  /** How many times a record was of use. */
  used: number;
  /** By the attribute's name, of entries from `first` on: the errno of lgetxattr, or 0. See `EntryAttributes`. */
  attributes?: Map<string, { errnos: Uint8Array; validity: Validity }>;
}

/** Entries side by side whose records come in one answer. */
export interface Block {
  /** NUL-terminated. */
  readonly names: Uint8Array<ArrayBuffer>;
  readonly first: number;
  readonly count: number;
}

export interface ListingOptions {
  /** struct linux_dirent64 end to end; kept, so it must be the listing's own. */
  entries: Uint8Array;
  /** Any other name was ENOENT. */
  isAll: boolean;
  validity: Validity;
  stat: Stat;
  /** These are all entries. */
  isWhole: boolean;
}

export class Listing {
  readonly isAll: boolean;
  readonly validity: Validity;
  readonly stat: Stat;
  readonly isWhole: boolean;
  /** How many questions it has answered. */
  uses = 0;
  /** How many directories in it were listed or adopted after it. */
  walked = 0;
  /** Those who wait for records on their way, by the number of their block. */
  readonly waiting = new Map<number, (() => void)[]>();
  #entries: Uint8Array;
  readonly #facts = new Map<number, Facts>();
  /** Where each entry begins; made when first asked for, like the names. */
  #offsets: number[] | undefined;
  #ordinals: Map<string, number> | undefined;

  constructor({ entries, isAll, validity, stat, isWhole }: ListingOptions) {
    this.#entries = entries;
    this.isAll = isAll;
    this.validity = validity;
    this.stat = stat;
    this.isWhole = isWhole;
  }

  /** As getdents64(2) has them. */
  get entries(): Uint8Array {
    return this.#entries;
  }

  /** Of the directory; it may be over. */
  get watch(): Watch | undefined {
    return this.validity.watch;
  }

  /** How many entries are known, once one was asked for. */
  get count(): number {
    this.#ordinals ??= this.#index();
    return this.#ordinals.size;
  }

  /** An estimate of the memory this takes: a name in the map takes about three times its entry. */
  get bytes(): number {
    const records = [...this.#facts.values()].reduce((sum, facts) => sum + facts.records.length, 0);
    return 4 * this.#entries.length + records;
  }

  /** Takes over more of a listing that came in parts, if it is the next part. Names beyond are not missing: see isAll. */
  extend(offset: number, entries: Uint8Array): void {
    if (offset !== this.#entries.length || offset + entries.length > MOST_ENTRY_BYTES) return;
    this.#entries = concatBytes([this.#entries, entries]);
    // The numbers of the entries stay what they were.
    this.#ordinals = this.#offsets = undefined;
  }

  /** The number of the entry with this name, undefined when there is none. */
  ordinalOf(name: string): number | undefined {
    this.#ordinals ??= this.#index();
    return this.#ordinals.get(name);
  }

  isLink(ordinal: number): boolean {
    return this.#typeOf(ordinal) === DT_LNK;
  }

  isDirectory(ordinal: number): boolean {
    return this.#typeOf(ordinal) === DT_DIR;
  }

  isFile(ordinal: number): boolean {
    return this.#typeOf(ordinal) === DT_REG;
  }

  nameOf(ordinal: number): Uint8Array {
    return this.#nameAt(this.#offsets![ordinal]!);
  }

  inodeOf(ordinal: number): bigint {
    return viewOf(this.#entries).getBigUint64(this.#offsets![ordinal]!, true);
  }

  #typeOf(ordinal: number): number | undefined {
    return this.#entries[this.#offsets![ordinal]! + ENTRY_TYPE_AT];
  }

  /** The record of this entry while it may be passed on. */
  recordOf(ordinal: number, isValid: (validity: Validity) => boolean): Uint8Array | undefined {
    const facts = this.#facts.get(blockOf(ordinal));
    const record = facts && isValid(facts.validity) ? this.peek(ordinal) : undefined;
    if (record) facts!.used++;
    return record;
  }

  /** The record of this entry, be it out of date. */
  peek(ordinal: number): Uint8Array | undefined {
    const facts = this.#facts.get(blockOf(ordinal));
    const at = facts ? ordinal - facts.first : -1;
    if (!facts || at < 0 || at >= facts.count) return undefined;
    return facts.records.subarray(at * RECORD_BYTES, (at + 1) * RECORD_BYTES);
  }

  /** The errno that asking for this attribute gives; 0: ask; undefined: not known. */
  attributeErrno(ordinal: number, attribute: string, isValid: (validity: Validity) => boolean): number | undefined {
    const facts = this.#facts.get(blockOf(ordinal));
    const known = facts?.attributes?.get(attribute);
    return known && isValid(known.validity) ? known.errnos[ordinal - facts!.first] : undefined;
  }

  /** The entries whose records came together with this one's, if that is known still. */
  knownWith(ordinal: number): Block | undefined {
    const facts = this.#facts.get(blockOf(ordinal));
    const isAmong = facts && ordinal >= facts.first && ordinal < facts.first + facts.count;
    return isAmong ? this.#names(facts.first, facts.first + facts.count) : undefined;
  }

  /** `errnos` has for each entry of the block a byte per attribute. */
  addAttributes({ first, count }: Block, attributes: readonly string[], errnos: Uint8Array, validity: Validity): void {
    const facts = this.#facts.get(blockOf(first));
    if (facts?.first !== first) return;
    facts.attributes ??= new Map();
    attributes.forEach((attribute, at) => {
      const own = Uint8Array.from({ length: count }, (_, entry) => errnos[entry * attributes.length + at] ?? 0);
      facts.attributes!.set(attribute, { errnos: own, validity });
    });
  }

  /** Takes over records that belong to entries from `first` on, in the place of others of the same block. */
  add(first: number, records: Uint8Array, validity: Validity): void {
    const count = Math.floor(records.length / RECORD_BYTES);
    this.#facts.set(blockOf(first), { first, count, records, validity, used: 0 });
  }

  /**
   * What to ask for together with this entry: its block; but when records of that were there before, only some more
   * from it on than were of use then.
   */
  blockWith(ordinal: number): Block {
    const earlier = this.#facts.get(blockOf(ordinal));
    const start = blockOf(ordinal) * AGENT_LIMITS.statEntries;
    const end = Math.min(this.#offsets!.length, start + AGENT_LIMITS.statEntries);
    if (!earlier) {
      const names = this.#names(start, end);
      if (start + names.count > ordinal) return names;
    }
    return this.#names(ordinal, Math.min(end, ordinal + (earlier ? 2 * earlier.used : end)));
  }

  #names(first: number, end: number): Block {
    const names = new Uint8Array(NAMES_BYTES);
    let size = 0;
    let at = first;
    for (; at < Math.max(first + 1, end); at++) {
      const name = this.nameOf(at);
      if (size + name.length + 1 > NAMES_BYTES) break;
      names.set(name, size);
      size += name.length + 1;
    }
    return { names: names.subarray(0, size), first, count: at - first };
  }

  #nameAt(offset: number): Uint8Array {
    const from = offset + ENTRY_NAME_AT;
    return this.#entries.subarray(from, this.#entries.indexOf(0, from));
  }

  #index(): Map<string, number> {
    const ordinals = new Map<string, number>();
    const offsets: number[] = [];
    const view = viewOf(this.#entries);
    for (let at = 0; at + ENTRY_NAME_AT < this.#entries.length;) {
      const length = view.getUint16(at + ENTRY_LENGTH_AT, true);
      // A listing that did not come whole ends in the middle of an entry.
      if (length <= ENTRY_NAME_AT || at + length > this.#entries.length) break;
      const name = keyOf(this.#nameAt(at));
      if (name !== "." && name !== "..") {
        ordinals.set(name, offsets.length);
        offsets.push(at);
      }
      at += length;
    }
    this.#offsets = offsets;
    return ordinals;
  }
}

export function blockOf(ordinal: number): number {
  return Math.floor(ordinal / AGENT_LIMITS.statEntries);
}

export function errnoIn(record: Uint8Array): number {
  return viewOf(record).getInt32(0, true);
}

export function isLinkIn(record: Uint8Array): boolean {
  return (viewOf(record).getUint32(RECORD_MODE_AT, true) & S_IFMT) === S_IFLNK;
}

/** Nothing can happen to this without an event of the directory `of`, but for what nobody is told of (watching.ts). */
export function isCoveredIn(record: Uint8Array, of: Stat): boolean {
  const view = viewOf(record);
  const isDirectory = (view.getUint32(RECORD_MODE_AT, true) & S_IFMT) === S_IFDIR;
  return !isDirectory && view.getUint32(RECORD_LINKS_AT, true) === 1 && view.getBigUint64(4, true) === of.dev;
}

/** The size of a regular file, undefined of other things. */
export function fileSizeIn(record: Uint8Array): number | undefined {
  const view = viewOf(record);
  const isFile = (view.getUint32(RECORD_MODE_AT, true) & S_IFMT) === S_IFREG;
  return isFile ? Number(view.getBigUint64(RECORD_SIZE_AT, true)) : undefined;
}

/** Which file of the target it is. */
export function identityIn(record: Uint8Array): { dev: bigint; ino: bigint } {
  return { dev: viewOf(record).getBigUint64(4, true), ino: inodeIn(record) };
}

export function inodeIn(record: Uint8Array): bigint {
  return viewOf(record).getBigUint64(RECORD_INO_AT, true);
}

export function ctimeIn(record: Uint8Array): { sec: bigint; nsec: number } {
  const view = viewOf(record);
  return { sec: view.getBigInt64(RECORD_CTIME_AT, true), nsec: view.getUint32(RECORD_CTIME_AT + 8, true) };
}

/** errno; dev, ino; mode, nlink, uid, gid; rdev, size; blksize; blocks; atime, mtime of 12 bytes each. */
const RECORD_CTIME_AT = 4 + 16 + 16 + 16 + 4 + 8 + 24;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
