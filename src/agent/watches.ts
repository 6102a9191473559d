/**
 * News of directories for clients that go on believing what they were told: one inotify instance for all of them, for as
 * long as anybody watches. See native/sys/watch.c for what is not told.
 *
 * A change of what an entry *is* (its bytes, its attributes) is told with its name, once; any other ends the watch, and so
 * does whatever may lead the path elsewhere. News is read before anything is sent to a client (`tell`), so that no answer
 * and no byte of a connection overtakes what was changed before it.
 */
import type { PackedRights } from "../sys/files.ts";
import { IN_ATTRIB, IN_MODIFY, Inotify, WatchError, type WatchEvent } from "../sys/watch.ts";

const IN_Q_OVERFLOW = 0x4000;
const IN_IGNORED = 0x8000;
/** Entries of one directory that change on and on; and events that are listened to for one watch. */
const MOST_CHANGING = 64;
const MOST_EVENTS = 10_000;
/** Watches of one client. */
const MOST_WATCHES = 512;
const WHOLE = new Uint8Array(0);

interface Watch {
  /** Of the root first, of the directory itself last. */
  numbers: number[];
  /** What leads from each to the next. */
  readonly steps: readonly string[];
  readonly told: Set<string>;
  events: number;
  isOver: boolean;
  /** An entry has changed, or (no name) anything: then it is the last news. */
  readonly onNews: (name: Uint8Array) => void;
}

/** Below which root, and with whose rights. */
export interface Place {
  readonly root: number;
  readonly rights: PackedRights;
}

const latin1 = new TextDecoder("latin1");

export class Watches {
  #inotify: Inotify | undefined;
  #listening: Promise<void> = Promise.resolve();
  readonly #byNumber = new Map<number, Set<Watch>>();
  #adding = 0;
  /** What was heard while somebody was being added: of numbers nobody knows yet, perhaps. */
  #heard: WatchEvent[] = [];
  #isTooMuch = false;
  #watches = 0;

  /** Watches the directory at `path` (NUL-terminated). Undefined: it cannot be watched. */
  async add(
    { root, rights }: Place,
    path: Uint8Array<ArrayBuffer>,
    onNews: Watch["onNews"],
  ): Promise<Watch | undefined> {
    const inotify = this.#open();
    if (!inotify) return undefined;
    const steps = latin1.decode(path.subarray(0, -1)).split("/").filter((step) => step !== "");
    const watch: Watch = { numbers: [], steps, told: new Set(), events: 0, isOver: false, onNews };
    this.#adding++;
    this.#watches++;
    const from = this.#heard.length;
    const { numbers, isWhole } = await inotify.add(root, path, rights);
    watch.numbers = numbers;
    for (const number of numbers) this.#whoWatches(number).add(watch);
    this.tell();
    for (const event of this.#heard.slice(from)) if (numbers.includes(event.number)) this.#take(watch, event);
    this.#adding--;
    if (!isWhole || this.#isTooMuch) this.remove(watch);
    if (this.#adding === 0) {
      this.#heard = [];
      this.#isTooMuch = false;
    }
    this.#sweep();
    return watch.isOver ? undefined : watch;
  }

  remove(watch: Watch): void {
    if (watch.isOver) return;
    watch.isOver = true;
    this.#watches--;
    for (const number of watch.numbers) this.#byNumber.get(number)?.delete(watch);
    this.#sweep();
  }

  /** Tells what has happened so far. */
  tell(): void {
    if (!this.#inotify) return;
    for (const event of this.#inotify.read()) {
      if (this.#adding > 0 && this.#heard.length < MOST_EVENTS) {
        this.#heard.push({ ...event, name: event.name.slice() });
      } else if (this.#adding > 0) this.#isTooMuch = true;
      const concerned = event.mask & IN_Q_OVERFLOW ? [...this.#byNumber.values()].flatMap((set) => [...set]) : [
        ...this.#byNumber.get(event.number) ?? [],
      ];
      for (const watch of concerned) this.#take(watch, event);
      if (event.mask & IN_IGNORED) this.#byNumber.delete(event.number);
    }
  }

  /** Resolves when nothing listens any more, if nobody watches. */
  async settled(): Promise<void> {
    if (!this.#inotify) await this.#listening;
  }

  #take(watch: Watch, { number, mask, name }: WatchEvent): void {
    if (watch.isOver) return;
    const at = watch.numbers.indexOf(number);
    const isOwn = at === watch.numbers.length - 1;
    const text = latin1.decode(name);
    const isEnough = ++watch.events > MOST_EVENTS || watch.told.size > MOST_CHANGING;
    const isEntry = isOwn && name.length > 0 && (mask & (IN_MODIFY | IN_ATTRIB)) !== 0;
    if (!isEnough && !isOwn && at >= 0 && name.length > 0 && text !== watch.steps[at]) return;
    if (isEntry && !isEnough) {
      if (!watch.told.has(text)) watch.onNews(name.slice());
      watch.told.add(text);
      return;
    }
    this.remove(watch);
    watch.onNews(WHOLE);
  }

  #whoWatches(number: number): Set<Watch> {
    const known = this.#byNumber.get(number) ?? new Set();
    this.#byNumber.set(number, known);
    return known;
  }

  #open(): Inotify | undefined {
    try {
      if (!this.#inotify) {
        const inotify = this.#inotify = new Inotify();
        const before = this.#listening;
        this.#listening = this.#listen(inotify).then(() => before);
      }
      return this.#inotify;
    } catch (error) {
      if (error instanceof WatchError) return undefined;
      throw error;
    }
  }

  async #listen(inotify: Inotify): Promise<void> {
    while (await inotify.wait()) this.tell();
    inotify[Symbol.dispose]();
  }

  /** The kernel need not watch what nobody wants to know; while somebody is being added, it may be what he wants. */
  #sweep(): void {
    if (this.#adding > 0) return;
    for (const [number, watches] of this.#byNumber) {
      if (watches.size > 0) continue;
      this.#byNumber.delete(number);
      this.#inotify?.remove(number);
    }
    if (this.#watches > 0) return;
    this.#inotify?.wake();
    this.#inotify = undefined;
  }
}

/** Those of one client, by the numbers that it chose. */
export class ClientWatches {
  readonly #watches: Watches;
  readonly #place: Place;
  readonly #onNews: (watch: number, name: Uint8Array) => void;
  readonly #byNumber = new Map<number, Watch>();
  #isClosed = false;

  constructor(watches: Watches, place: Place, onNews: (watch: number, name: Uint8Array) => void) {
    this.#watches = watches;
    this.#place = place;
    this.#onNews = onNews;
  }

  /** False: there will be no news, or has been already. */
  async begin(number: number, path: Uint8Array<ArrayBuffer>): Promise<boolean> {
    if (this.#isClosed || this.#byNumber.has(number)) return false;
    const watch = await this.#watches.add(this.#place, path, (name) => {
      if (name.length === 0) this.#byNumber.delete(number);
      this.#onNews(number, name);
    });
    if (!watch || watch.isOver) return false;
    if (this.#isClosed) {
      this.#watches.remove(watch);
      return false;
    }
    this.#byNumber.set(number, watch);
    const oldest = this.#byNumber.size > MOST_WATCHES ? this.#byNumber.keys().next().value : undefined;
    if (oldest !== undefined) {
      this.end(oldest);
      this.#onNews(oldest, WHOLE);
    }
    return true;
  }

  end(number: number): void {
    const watch = this.#byNumber.get(number);
    this.#byNumber.delete(number);
    if (watch) this.#watches.remove(watch);
  }

  /** What a client hears before anything else that is sent to it. */
  tell(): void {
    if (this.#byNumber.size > 0) this.#watches.tell();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const number of [...this.#byNumber.keys()]) this.end(number);
    await this.#watches.settled();
  }
}
