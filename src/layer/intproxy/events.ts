/**
 * inotify(7) on what is the target's. Below `events` in the session directory stand empty files and directories for what a
 * program watches and what lies in it; there is done once more what the agent says has happened, and the kernel tells the
 * program. So descriptors, their copies, masks, numbers and cookies are the kernel's own.
 *
 * An open shows when its close is known (or its first write): before, it is not said whether it was for writing. Names
 * that are no UTF-8 are told with replacement characters.
 */
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import { eventsOf, Replay, type TargetEvent } from "./replay.ts";
import type { ShimConnection } from "./shim_connection.ts";
import { watchedInodes } from "./descriptors.ts";

const DIRECTORY = "events";
/** How often it is looked which of them are still watched. */
const LOOK_MS = 15_000;
const MOST_WATCHES = 1024;
/** Of a watch whose answer is under way; what comes beyond that is not told, as when a queue of the kernel's overflows. */
const MOST_EARLY = 4096;
const IN_IGNORED = 0x8000;
const NOTHING = new Uint8Array(0);

type Agent = Pick<AgentClient, "request" | "tell" | "onEvents">;
type Answer = MessageNamed<typeof AGENT, "WatchEventsReply">;

export class Events implements Disposable {
  readonly #agent: Agent;
  readonly #everybody: () => Iterable<number>;
  readonly #replay: Replay;
  readonly #root: string;
  readonly #lookMs: number;
  /** Events of a watch whose answer is under way wait for it. */
  readonly #early = new Map<number, TargetEvent[]>();
  readonly #unseen = new Set<number>();
  #lastNumber = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isOver = false;

  constructor(directory: string, agent: Agent, everybody: () => Iterable<number>, lookMs = LOOK_MS) {
    this.#lookMs = lookMs;
    this.#agent = agent;
    this.#everybody = everybody;
    this.#root = `${directory}/${DIRECTORY}`;
    this.#replay = new Replay(this.#root);
    agent.onEvents = ({ events }) => this.#onEvents(eventsOf(events));
  }

  onRequest({ path, mask }: MessageNamed<typeof LAYER, "WatchPath">, id: number, shim: ShimConnection): void {
    const send = (errno: number, path: Uint8Array = NOTHING) => shim.send({ type: "PathReply", errno, path }, id);
    if (this.#replay.size + this.#early.size >= MOST_WATCHES) return send(ERRNO.ENOSPC);
    const watch = ++this.#lastNumber;
    this.#early.set(watch, []);
    this.#agent.request({ type: "WatchEvents", path, mask, watch }, (answer) => {
      // An agent that does not know the request: as where there are no watches left.
      if (!answer || answer.errno !== 0 || this.#isOver) {
        this.#early.delete(watch);
        return send(answer?.errno || ERRNO.ENOSPC);
      }
      const place = this.#begin(watch, answer);
      if (place !== undefined) return send(0, utf8(place));
      this.#agent.tell({ type: "UnwatchEvents", watch });
      send(ERRNO.ENOSPC);
    });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#agent.onEvents = () => {};
    this.#replay[Symbol.dispose]();
  }

  /** Where what stands for it is, or undefined. */
  #begin(watch: number, { path: bytes, isDirectory, entries }: Answer): string | undefined {
    const path = fromUtf8(bytes);
    const early = this.#early.get(watch) ?? [];
    this.#early.delete(watch);
    const before = this.#replay.numberOf(path);
    try {
      this.#replay.begin(watch, path, isDirectory, entries);
    } catch {
      return undefined; // no room, or what stands there is of another kind and watched
    }
    if (before !== undefined) this.#agent.tell({ type: "UnwatchEvents", watch: before });
    else this.#replay.happen(early);
    this.#timer ??= setInterval(() => this.#look(), this.#lookMs);
    return this.#root + path;
  }

  #onEvents(events: readonly TargetEvent[]): void {
    this.#replay.happen(events);
    for (const event of events) {
      const early = this.#early.get(event.watch);
      if (early && early.length < MOST_EARLY) early.push(event);
      if (event.mask & IN_IGNORED) this.#replay.end(event.watch);
    }
  }

  /** Whom nobody has watched at two looks in a row need not be watched at the target. */
  #look(): void {
    const inodes = watchedInodes(this.#everybody());
    if (!inodes) return;
    for (const { number, inode } of this.#replay.places()) {
      const isWatched = inode !== undefined && inodes.has(inode);
      if (!isWatched && this.#unseen.has(number)) {
        this.#replay.end(number);
        this.#unseen.delete(number);
        this.#agent.tell({ type: "UnwatchEvents", watch: number });
      } else if (isWatched) this.#unseen.delete(number);
      else this.#unseen.add(number);
    }
    if (this.#replay.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
