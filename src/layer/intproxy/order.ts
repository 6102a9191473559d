/**
 * In which order the entries of a directory are opened: as they are listed (tar, find), by name (the shell's patterns, git), by
 * name with the numbers in it ascending (file9 before file10), by inode (fts). Known when one entry follows another in it; what follows next is then known, too.
 */
import { keyOf, type Listing } from "./listing.ts";

/** Entries that are left out on the way: directories, links, what somebody did not want. */
const LEAP = 8;
/** Longer directories are not sorted. */
const MOST_SORTED = 20_000;

interface Positions {
  /** Of the entry with this number; undefined: its number is its position. */
  readonly of: Int32Array | undefined;
  readonly at: Int32Array | undefined;
}

const LISTED: Positions = { of: undefined, at: undefined };

export class Order {
  readonly #listing: Listing;
  #sorted: Positions[] | undefined;
  #known: Positions | undefined;
  #last: number | undefined;

  constructor(listing: Listing) {
    this.#listing = listing;
  }

  /** Entry `ordinal` is opened: its position in the order in which it follows the last one, if there is any. */
  follow(ordinal: number): number | undefined {
    const last = this.#last;
    this.#last = ordinal;
    if (last === undefined || last === ordinal) return undefined;
    const follows = (order: Positions) => {
      const step = position(order, ordinal) - position(order, last);
      return step > 0 && step <= LEAP;
    };
    if (!this.#known || !follows(this.#known)) this.#known = this.#orders().find(follows);
    return this.#known && position(this.#known, ordinal);
  }

  /** Which entry is there in the order that was last followed. */
  at(position: number): number {
    return this.#known?.at ? this.#known.at[position]! : position;
  }

  #orders(): Positions[] {
    if (this.#listing.count > MOST_SORTED) return [LISTED];
    return [LISTED, ...this.#sorted ??= [this.#byName(), this.#byLength(), this.#byInode()]];
  }

  #byName(): Positions {
    const names = this.#ordinals().map((ordinal) => keyOf(this.#listing.nameOf(ordinal)));
    return sorted(this.#ordinals(), (a, b) => names[a]! < names[b]! ? -1 : 1);
  }

  #byLength(): Positions {
    const names = this.#ordinals().map((ordinal) => keyOf(this.#listing.nameOf(ordinal)));
    const difference = (a: string, b: string) => a.length - b.length || (a < b ? -1 : 1);
    return sorted(this.#ordinals(), (a, b) => difference(names[a]!, names[b]!));
  }

  #byInode(): Positions {
    const inodes = this.#ordinals().map((ordinal) => this.#listing.inodeOf(ordinal));
    return sorted(this.#ordinals(), (a, b) => inodes[a]! < inodes[b]! ? -1 : 1);
  }

  #ordinals(): number[] {
    return Array.from({ length: this.#listing.count }, (_, ordinal) => ordinal);
  }
}

function sorted(ordinals: number[], compare: (a: number, b: number) => number): Positions {
  const at = Int32Array.from(ordinals.sort(compare));
  const of = new Int32Array(at.length);
  at.forEach((ordinal, position) => of[ordinal] = position);
  return { of, at };
}

function position({ of }: Positions, ordinal: number): number {
  return of ? of[ordinal]! : ordinal;
}
