/**
 * What happened to files of the target is done to what stands for them, so that the kernel tells those who watch. Nothing here
 * fails for want of a file: what cannot be done has nobody to tell, or was done already. Names that would lead out of the
 * directory in which all of that stands are refused: the target is a stranger.
 */
import { fromUtf8, splitNul, utf8 } from "../../base/bytes.ts";
import * as inotify from "../../sys/watch.ts";

/** As in the message Events. */
export interface TargetEvent {
  readonly watch: number;
  readonly mask: number;
  readonly cookie: number;
  /** Empty: what is watched itself. */
  readonly name: string;
}

const RECORD_BYTES = 14;

export function eventsOf(bytes: Uint8Array): TargetEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: TargetEvent[] = [];
  for (let at = 0; at + RECORD_BYTES <= bytes.length;) {
    const length = view.getUint16(at + 12, true);
    events.push({
      watch: view.getUint32(at, true),
      mask: view.getUint32(at + 4, true),
      cookie: view.getUint32(at + 8, true),
      name: fromUtf8(bytes.subarray(at + RECORD_BYTES, at + RECORD_BYTES + length)),
    });
    at += RECORD_BYTES + length;
  }
  return events;
}

interface Place {
  /** The path at the target, which moves with it. */
  path: string;
  readonly isDirectory: boolean;
}

const CLOSES = inotify.IN_CLOSE_WRITE | inotify.IN_CLOSE_NOWRITE;
/** Files that are open for as long as they are at the target, and those of which that is not known yet. */
const MOST_OPEN = 64;
const MOST_UNDECIDED = 4096;

export class Replay implements Disposable {
  readonly #root: string;
  readonly #places = new Map<number, Place>();
  readonly #numbers = new Map<string, number>();
  /** Those open for writing, by path. */
  readonly #open = new Map<string, Deno.FsFile[]>();
  /** Opens of which is not known yet what for. */
  readonly #undecided = new Map<string, number>();
  #aside = 0;

  constructor(root: string) {
    this.#root = root;
  }

  [Symbol.dispose](): void {
    for (const files of this.#open.values()) for (const file of files) file.close();
    this.#open.clear();
  }

  get size(): number {
    return this.#places.size;
  }

  numberOf(path: string): number | undefined {
    return this.#numbers.get(path);
  }

  /** Those that are watched, and the inode (hexadecimal, as the kernel tells it) of what stands for each. */
  *places(): Generator<{ number: number; inode: string | undefined }, void, void> {
    for (const [number, { path }] of [...this.#places]) {
      yield { number, inode: attempt(() => Deno.lstatSync(this.#root + path).ino?.toString(16)) };
    }
  }

  /** Makes what stands for it; `entries` as in WatchEventsReply. Throws when that is not possible. */
  begin(number: number, path: string, isDirectory: boolean, entries: Uint8Array): void {
    if (path !== "/" && !(path.startsWith("/") && path.slice(1).split("/").every(isName))) throw new Error("no path");
    const before = this.#numbers.get(path);
    if (before === undefined) {
      const directory = isDirectory ? path : parentOf(path);
      Deno.mkdirSync(`${this.#root}${directory}`, { recursive: true, mode: 0o755 });
      if (isDirectory) this.#fill(path, entries);
      else make(this.#root + path);
      const isRight = Deno.lstatSync(this.#root + path).isDirectory === isDirectory;
      if (!isRight) throw new Error("something else stands there");
    } else this.#places.delete(before);
    this.#places.set(number, { path, isDirectory });
    this.#numbers.set(path, number);
  }

  end(number: number): void {
    const place = this.#places.get(number);
    if (!place) return;
    this.#places.delete(number);
    if (this.#numbers.get(place.path) === number) this.#numbers.delete(place.path);
  }

  happen(events: readonly TargetEvent[]): void {
    for (let at = 0; at < events.length; at++) {
      const event = events[at]!;
      const place = this.#places.get(event.watch);
      if (!place) continue;
      if (event.name === "") this.#onItself(place, event, events.slice(at + 1));
      else if (isName(event.name)) {
        this.#onEntry(`${place.path === "/" ? "" : place.path}/${event.name}`, event, events, at);
      }
    }
  }

  /** What a directory that is watched tells of its entries is not told by the entry as well. */
  #onItself(place: Place, event: TargetEvent, following: readonly TargetEvent[]): void {
    if (this.#numbers.has(parentOf(place.path))) return;
    const { mask } = event;
    if (mask & inotify.IN_DELETE_SELF) return this.#remove(place.path);
    if (mask & inotify.IN_MOVE_SELF) return this.#rename(place.path, this.#newAside());
    // The last name's going changes the number of links: removing ours tells that, too.
    const isGoing = following.some((it) => it.watch === event.watch && it.mask & inotify.IN_DELETE_SELF);
    if (isGoing && mask & inotify.IN_ATTRIB) return;
    this.#change(place.path, event, following);
  }

  #onEntry(path: string, event: TargetEvent, events: readonly TargetEvent[], at: number): void {
    const { mask, cookie } = event;
    const isDirectory = (mask & inotify.IN_ISDIR) !== 0;
    const other = (wanted: number) => (it: TargetEvent) => it.cookie === cookie && (it.mask & wanted) !== 0;
    if (mask & inotify.IN_CREATE) this.#make(path, isDirectory);
    else if (mask & inotify.IN_DELETE) this.#remove(path);
    else if (mask & inotify.IN_MOVED_FROM) {
      const to = events.slice(at + 1).find(other(inotify.IN_MOVED_TO));
      const directory = to && isName(to.name) ? this.#places.get(to.watch)?.path : undefined;
      this.#rename(path, directory === undefined ? this.#newAside() : `${directory}/${to!.name}`);
    } else if (mask & inotify.IN_MOVED_TO) {
      if (events.slice(0, at).some((it) => other(inotify.IN_MOVED_FROM)(it) && this.#places.has(it.watch))) return;
      const aside = this.#newAside();
      this.#make(aside, isDirectory);
      this.#rename(aside, path);
    } else this.#change(path, event, events.slice(at + 1));
  }

  #change(path: string, event: TargetEvent, following: readonly TargetEvent[]): void {
    const here = this.#root + path;
    const { mask } = event;
    if (mask & inotify.IN_OPEN) {
      const close = following.find((it) => it.watch === event.watch && it.name === event.name && it.mask & CLOSES);
      if (close && close.mask & inotify.IN_CLOSE_WRITE) this.#openForWriting(path);
      else this.#leaveUndecided(path);
    } else if (mask & inotify.IN_MODIFY) {
      if (this.#decide(path)) this.#openForWriting(path);
      inotify.replay.modify(terminated(here));
    } else if (mask & inotify.IN_ATTRIB) {
      attempt(() => Deno.chmodSync(here, mask & inotify.IN_ISDIR ? 0o755 : 0o644));
    } else if (mask & inotify.IN_CLOSE_WRITE) {
      if (this.#decide(path) || !this.#open.get(path)?.length) this.#openForWriting(path);
      this.#open.get(path)?.shift()?.close();
      if (!this.#open.get(path)?.length) this.#open.delete(path);
    } else if (mask & inotify.IN_CLOSE_NOWRITE) {
      this.#decide(path);
      attempt(() => Deno.openSync(here).close());
    } else if (mask & inotify.IN_ACCESS) inotify.replay.access(terminated(here));
  }

  /** Too many: the oldest is as one that nobody opened. */
  #leaveUndecided(path: string): void {
    const count = this.#undecided.get(path) ?? 0;
    if (count === 0 && this.#undecided.size >= MOST_UNDECIDED) {
      this.#undecided.delete(this.#undecided.keys().next().value!);
    }
    this.#undecided.set(path, count + 1);
  }

  /** Was it opened, and not known what for? It is known now. */
  #decide(path: string): boolean {
    const count = this.#undecided.get(path) ?? 0;
    if (count > 1) this.#undecided.set(path, count - 1);
    else this.#undecided.delete(path);
    return count > 0;
  }

  #openForWriting(path: string): void {
    const count = [...this.#open.values()].reduce((sum, files) => sum + files.length, 0);
    if (count >= MOST_OPEN) return;
    const file = attempt(() => Deno.openSync(this.#root + path, { write: true }));
    if (file) this.#open.set(path, [...this.#open.get(path) ?? [], file]);
  }

  #make(path: string, isDirectory: boolean): void {
    if (isDirectory) attempt(() => Deno.mkdirSync(this.#root + path, { mode: 0o755 }));
    else make(this.#root + path);
  }

  #remove(path: string): void {
    for (const file of this.#open.get(path) ?? []) file.close();
    this.#open.delete(path);
    this.#undecided.delete(path);
    attempt(() => Deno.removeSync(this.#root + path, { recursive: true }));
  }

  #rename(from: string, to: string): void {
    attempt(() => Deno.renameSync(this.#root + from, this.#root + to));
    for (const [number, place] of this.#places) {
      if (place.path !== from && !place.path.startsWith(`${from}/`)) continue;
      if (this.#numbers.get(place.path) === number) this.#numbers.delete(place.path);
      place.path = to + place.path.slice(from.length);
      this.#numbers.set(place.path, number);
    }
  }

  /** A name outside of all that anybody watches. */
  #newAside(): string {
    attempt(() => Deno.mkdirSync(`${this.#root}/\n`, { recursive: true, mode: 0o755 }));
    return `/\n/${++this.#aside}`;
  }

  /** Before anybody watches: nobody is told of what was missed. */
  #fill(path: string, entries: Uint8Array): void {
    const wanted = new Map(splitNul(entries).map((it) => [fromUtf8(it.subarray(1)), it[0] === LETTER_D]));
    const here = this.#root + path;
    for (const { name, isDirectory } of [...Deno.readDirSync(here)]) {
      if (wanted.get(name) === isDirectory) wanted.delete(name);
      else if (!(path === "/" && name === "\n")) this.#remove(`${path}/${name}`);
    }
    for (const [name, isDirectory] of wanted) if (isName(name)) this.#make(`${path}/${name}`, isDirectory);
  }
}

const LETTER_D = 0x64;

/** Of one entry of a directory. */
function isName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

function make(path: string): void {
  inotify.replay.make(terminated(path));
}

function terminated(path: string): Uint8Array<ArrayBuffer> {
  return utf8(`${path}\0`);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
