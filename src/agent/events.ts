/**
 * What programs watch by themselves (inotify(7)): their client is told each event as the kernel here tells it. One inotify
 * instance for all clients, apart from that of watches.ts, which is asked for less and believed in more.
 *
 * An event is listened to 2 ms, so that what belongs together (an open, its writes, its close) travels together, and a
 * file that is written on and on says so once. A client that does not take its events loses them.
 */
import { ERRNO } from "../base/errors.ts";
import type { AGENT, AgentMessage } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import * as inotify from "../sys/watch.ts";
import { pathOf, threads } from "./files.ts";
import type { Place } from "./watches.ts";

const GATHER_MS = 2;
/** Watches of one client, and events that wait for it. */
const MOST_WATCHES = 1024;
const MOST_WAITING = 16_384;
/** What is always listened to; the rest (opens, reads) only for who asks. */
const ALWAYS = inotify.IN_MODIFY | inotify.IN_ATTRIB | inotify.IN_CLOSE_WRITE | inotify.IN_MOVED_FROM |
  inotify.IN_MOVED_TO | inotify.IN_CREATE | inotify.IN_DELETE | inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF;
const ASKED = inotify.IN_ACCESS | inotify.IN_OPEN | inotify.IN_CLOSE_NOWRITE | inotify.IN_ONLYDIR |
  inotify.IN_DONT_FOLLOW;

type Reply = MessageNamed<typeof AGENT, "WatchEventsReply"> & AgentMessage;
type Event = inotify.WatchEvent;
type OnEvent = (event: Event) => void;

const NOTHING = new Uint8Array(0);
const refused = (errno: number): Reply => ({
  type: "WatchEventsReply",
  errno,
  path: NOTHING,
  isDirectory: false,
  entries: NOTHING,
});

export class Events {
  #inotify: inotify.Inotify | undefined;
  #listening: Promise<void> = Promise.resolve();
  readonly #byNumber = new Map<number, Set<OnEvent>>();
  /** While somebody is added, events may be of a number that is not known yet: they wait in the kernel. */
  #adding = 0;

  async add(
    { root, rights }: Place,
    path: Uint8Array<ArrayBuffer>,
    mask: number,
    onEvent: OnEvent,
  ): Promise<number | inotify.Followed> {
    const instance = this.#open();
    if (!instance) return -ERRNO.ENOSPC;
    this.#adding++;
    const followed = await threads.spend(1, () => instance.follow(root, path, ALWAYS | mask & ASKED, rights));
    if (typeof followed !== "number") {
      const known = this.#byNumber.get(followed.number) ?? new Set();
      this.#byNumber.set(followed.number, known.add(onEvent));
    }
    this.#adding--;
    this.#sweep();
    return followed;
  }

  remove(number: number, onEvent: OnEvent): void {
    const known = this.#byNumber.get(number);
    if (!known?.delete(onEvent) || known.size > 0) return;
    this.#byNumber.delete(number);
    this.#inotify?.remove(number);
    this.#sweep();
  }

  /** Resolves when nothing listens any more, if nobody watches. */
  async settled(): Promise<void> {
    if (!this.#inotify) await this.#listening;
  }

  #tell(instance: inotify.Inotify): void {
    for (const event of instance.read()) {
      for (const onEvent of [...this.#byNumber.get(event.number) ?? []]) onEvent(event);
      if (event.mask & inotify.IN_IGNORED) this.#byNumber.delete(event.number);
    }
  }

  #open(): inotify.Inotify | undefined {
    try {
      if (!this.#inotify) {
        const instance = this.#inotify = new inotify.Inotify();
        const before = this.#listening;
        this.#listening = this.#listen(instance).then(() => before);
      }
      return this.#inotify;
    } catch (error) {
      if (error instanceof inotify.WatchError) return undefined;
      throw error;
    }
  }

  async #listen(instance: inotify.Inotify): Promise<void> {
    while (await instance.wait()) {
      await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      if (this.#adding === 0) this.#tell(instance);
    }
    instance[Symbol.dispose]();
  }

  #sweep(): void {
    if (this.#adding > 0 || this.#byNumber.size > 0) return;
    this.#inotify?.wake();
    this.#inotify = undefined;
  }
}

/** Those of one client, by the numbers that it chose. */
export class ClientEvents {
  readonly #events: Events;
  readonly #place: Place;
  readonly #send: (events: Uint8Array<ArrayBuffer>) => Promise<void>;
  readonly #watches = new Map<number, { number: number; onEvent: OnEvent }>();
  #waiting: { watch: number; event: Event }[] = [];
  #sending: Promise<void> | undefined;
  #isClosed = false;

  constructor(events: Events, place: Place, send: (events: Uint8Array<ArrayBuffer>) => Promise<void>) {
    this.#events = events;
    this.#place = place;
    this.#send = send;
  }

  async begin({ path: bytes, mask, watch }: MessageNamed<typeof AGENT, "WatchEvents">): Promise<Reply> {
    const path = pathOf(bytes);
    if (typeof path === "number") return refused(path);
    if (this.#isClosed || this.#watches.has(watch) || this.#watches.size >= MOST_WATCHES) return refused(ERRNO.ENOSPC);
    const onEvent = (event: Event) => this.#take(watch, event);
    const followed = await this.#events.add(this.#place, path, mask, onEvent);
    if (typeof followed === "number") return refused(-followed);
    if (this.#isClosed) {
      this.#events.remove(followed.number, onEvent);
      return refused(ERRNO.ENOSPC);
    }
    this.#watches.set(watch, { number: followed.number, onEvent });
    const { isDirectory, entries } = followed;
    return { type: "WatchEventsReply", errno: 0, path: followed.path, isDirectory, entries };
  }

  end(watch: number): void {
    const it = this.#watches.get(watch);
    this.#watches.delete(watch);
    if (it) this.#events.remove(it.number, it.onEvent);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const watch of [...this.#watches.keys()]) this.end(watch);
    this.#waiting = [];
    await this.#sending;
    await this.#events.settled();
  }

  #take(watch: number, event: Event): void {
    if (event.mask & inotify.IN_IGNORED) this.#watches.delete(watch);
    if (this.#waiting.length >= MOST_WAITING || this.#isClosed) return;
    this.#waiting.push({ watch, event: { ...event, name: event.name.slice() } });
    this.#sending ??= this.#sendAll().finally(() => this.#sending = undefined);
  }

  async #sendAll(): Promise<void> {
    // What one reading finds is one message.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#send(packed(this.#waiting.splice(0)));
  }
}

const RECORD_BYTES = 14;

function packed(waiting: readonly { watch: number; event: Event }[]): Uint8Array<ArrayBuffer> {
  const told = waiting.filter((it, at) => !isSaidBefore(it, waiting[at - 1]));
  const bytes = new Uint8Array(told.reduce((sum, { event }) => sum + RECORD_BYTES + event.name.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { watch, event } of told) {
    view.setUint32(at, watch, true);
    view.setUint32(at + 4, event.mask, true);
    view.setUint32(at + 8, event.cookie, true);
    view.setUint16(at + 12, event.name.length, true);
    bytes.set(event.name, at + RECORD_BYTES);
    at += RECORD_BYTES + event.name.length;
  }
  return bytes;
}

function isSaidBefore(it: { watch: number; event: Event }, last?: { watch: number; event: Event }): boolean {
  if (!last || last.watch !== it.watch || last.event.mask !== it.event.mask) return false;
  const [a, b] = [last.event.name, it.event.name];
  return it.event.mask === inotify.IN_MODIFY && a.length === b.length && a.every((byte, at) => byte === b[at]);
}
