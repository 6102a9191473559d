/**
 * One file that programs of the run write: what of it the target has, and how the rest gets there.
 *
 * A sweep finds what has changed and sends it by the agent's handle. It is thorough (every block is compared) when
 * somebody waits for the result, and looks at the end of the file alone when it runs ahead of a program that is still
 * writing. A file that was only ever opened to append sends what was appended, and needs nothing of its contents here.
 *
 * After an error of the target all that is not surely there is sent again when somebody waits, and at the end: who waits is told how
 * that went. When others have changed the target's file, what they wrote is brought here (theirs.ts).
 */
import { ERRNO } from "../../base/errors.ts";
import { WRITE } from "../../proto/agent.ts";
import { FRAME_HEAD_BYTES } from "../../proto/codec.ts";
import type { Stat } from "../../proto/schema.ts";
import type { Look, Shelf } from "../../sys/shelf.ts";
import type { AgentClient } from "./agent_client.ts";
import { layerCodec } from "./shim_connection.ts";
import type { Rooms } from "./rooms.ts";
import { mergeTheirs, restore } from "./theirs.ts";
import { type Outcome, type Rings, Writes } from "./writes.ts";

/** Two writes within this time may bear the same time of change: the kernel's clock for it is coarse. */
const COARSE_NS = 20_000_000n;
const BLOCK_BYTES = 4096;
/** Up to this size a sweep that nobody waits for is thorough as well. */
const SMALL_BYTES = 4 << 20;
/** After these the target has what was written before the one that failed, and nothing is to be gained by sending that again. */
const FULL: readonly number[] = [ERRNO.ENOSPC, ERRNO.EDQUOT, ERRNO.EFBIG];
/** Who was promised a descriptor and has not come for it by then does not live any more. */
const PROMISE_MS = 10_000;

/** What came with the answer to an open: the beginning of the contents, and the handle that reads the rest. */
export interface Contents {
  stat: Stat;
  data: Uint8Array<ArrayBuffer>;
  /** 0n when `data` is all. */
  restHandle: bigint;
}

export interface SweepWish {
  /** Bits of Write's `then` beside what the sweep itself needs. */
  then?: number;
  /** Somebody waits for the result. */
  isAwaited: boolean;
  /** That is who has just written: what the target cannot take is cut off here. */
  isChecked?: boolean;
}

export interface WrittenFileParts {
  shelf: Shelf;
  agent: AgentClient;
  rings: Rings;
  rooms: Rooms;
  /** Something at the target changes. */
  onChange: () => void;
  now: () => number;
}

export class WrittenFile {
  /** Nobody can write it any more, and the target has it all. */
  isGone = false;
  /** The program maps it: the kernel does not tell when that changes it. */
  isMapped = false;
  /** Only ever opened to append: what is here is sent to the end of the target's file, wherever that is. */
  isAppending = false;
  /** Its bytes are here as well, not only those that the program wrote. */
  hasContents = false;
  /** The handle was opened for writing at any place. */
  canWrite = false;
  /** Somebody made sure that it is there, only to read it: to lock it, as flock(1) does. Locks are those of one file. */
  isLocked = false;
  handle = 0n;
  stat: Stat;
  statAt: number;
  /** What the next one who waits is told. */
  error = 0;
  /** Others have changed the target's file, and what is here is older. */
  isBehind = false;
  /** The agent can read by the handle and write ranges. */
  canMerge = false;
  /** Up to where the target has the file whole, by the last sweep. */
  taken = 0;
  /** Bytes that were written here and not sent, as far as is known. */
  unsent = 0;
  readonly number: bigint;
  readonly #shelf: Shelf;
  readonly #agent: AgentClient;
  readonly #rings: Rings;
  readonly #rooms: Rooms;
  readonly #onChange: () => void;
  readonly #now: () => number;
  /** Where the target's file ends; of a file that is appended to: how much of ours has been sent. */
  #size = 0;
  /** How long ours was when it was last sent. */
  #sent = 0;
  #isAsking = false;
  #before = 0;
  #tail = 0;
  #clean: Look | undefined;
  #seen: Look | undefined;
  #promised = 0;
  #promisedAt = 0;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(number: bigint, stat: Stat, { shelf, agent, rings, rooms, onChange, now }: WrittenFileParts) {
    this.#now = now;
    this.statAt = now();
    this.number = number;
    this.stat = stat;
    this.#shelf = shelf;
    this.#agent = agent;
    this.#rings = rings;
    this.#rooms = rooms;
    this.#onChange = onChange;
  }

  /** Somebody is about to fetch a descriptor. */
  promise(): void {
    this.#promised++;
    this.#promisedAt = performance.now();
  }

  /** Of a file that is appended to: where what the programs appended begins. */
  get before(): number {
    return this.#before;
  }

  /** All of ours has been sent, and is so long. */
  get sentSize(): number {
    return this.isAppending ? this.#size : this.#sent;
  }

  /** The target's file ends there by what others did, and ours does now. */
  theirsEnd(size: number): void {
    this.#size = this.#sent = size;
  }

  /** By a stat that an open brought, others may have changed the file since. */
  mayBeBehind({ size, mtimeSec, mtimeNsec }: Stat): boolean {
    const known = this.stat;
    const isSame = known.size === size && known.mtimeSec === mtimeSec && known.mtimeNsec === mtimeNsec;
    return !this.isGone && !isSame && this.hasContents;
  }

  /** Has the program ask after each write, or not. */
  mark(): void {
    const isAsking = !this.isGone && (this.error !== 0 || this.#rooms.isTight(this.stat.dev));
    if (isAsking === this.#isAsking) return;
    this.#isAsking = isAsking;
    this.#shelf.mark(this.number, isAsking);
  }

  /** By the latest stat, nobody else has changed the size of the target's file. */
  get isAlone(): boolean {
    return Number(this.stat.size) === this.#size;
  }

  /** The target's file has this size, and so has ours. */
  resized(size: number): number {
    this.#size = this.#sent = size;
    this.#before = size;
    this.#shelf.cut(this.number, size);
    return this.#shelf.resize(this.number, size);
  }

  /** Runs alone among all that is done with this file, in the order of the calls. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#last.then(work).finally(() => this.#waiting--);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Nothing of it may be unsent. */
  get isSurelyClean(): boolean {
    return this.#waiting === 0 && this.#isUnchanged(this.#shelf.look(this.number, false));
  }

  /** What a look now and then should do: nothing, or sweep. */
  get needsSweep(): boolean {
    if (this.#waiting > 0) return false;
    const look = this.#shelf.look(this.number, true);
    if (this.#isLast(look)) return true;
    this.unsent = Math.max(this.unsent, look.size - this.sentSize);
    this.mark();
    return this.error === 0 && (look.size !== this.#seen?.size || look.mtimeNs !== this.#seen.mtimeNs);
  }

  /** Sends what the target has not; the errno of what went wrong. For `alone`. */
  async sweep({ then = 0, isAwaited, isChecked = false }: SweepWish): Promise<number> {
    if (this.isGone) return 0;
    const look = this.#shelf.look(this.number, true);
    const isLast = this.#isLast(look);
    // Who waits, and the last chance, try again: there may be room by now.
    if (this.error !== 0 && !isLast && !isAwaited) return this.error;
    const { outcome, count } = await this.#sendChanges(look, isLast, then, isAwaited);
    const { errno, stat, free, isChanged } = outcome;
    if (count > 0) this.#onChange();
    if (stat) this.#knowStat(stat);
    if (free !== undefined) this.#rooms.heard(this.stat.dev, free);
    if (isChanged) this.isBehind = true;
    if (isLast) this.isGone = true;
    else if (errno !== 0) this.#failed(outcome, look, isChecked);
    this.taken = Math.min(this.sentSize, outcome.failedFrom);
    if (isChecked && errno !== 0) {
      await restore(this, this.#shelf, this.#agent, outcome.failedFrom, Math.min(outcome.failedUntil, this.sentSize));
    }
    this.error = isAwaited ? 0 : errno;
    if (this.isBehind && !this.isGone && errno === 0) await mergeTheirs(this, this.#shelf, this.#agent);
    this.mark();
    return errno;
  }

  async #sendChanges(look: Look, isLast: boolean, then: number, isAwaited: boolean) {
    const isThorough = isAwaited || isLast || look.size <= SMALL_BYTES;
    const mayDiffer = !isThorough || !this.#isUnchanged(look);
    const known = isThorough && !this.isAppending ? 0 : Math.min(this.isAppending ? this.#size : this.#tail, look.size);
    using writes = new Writes(this.#agent, this.handle, await this.#rings.take(mayDiffer ? look.size - known : 0));
    if (mayDiffer) {
      const failure = this.isAppending
        ? await this.#sendAppended(look, writes)
        : await this.#send(look, writes, isThorough);
      if (failure !== 0) writes.fail(failure);
    }
    const outcome = await writes.finish(then | (isLast ? WRITE.close : 0));
    if (outcome.errno === 0) {
      this.#seen = look;
      this.unsent = 0;
      if (isThorough) this.#clean = isSettled(look) ? look : undefined;
    }
    return { outcome, count: writes.count };
  }

  /** What is to be sent again; with `isCut` what the target had no room for is forgotten instead. */
  #failed({ errno, stat, done, failedFrom, failedUntil }: Outcome, look: Look, isCut: boolean): void {
    if (!stat || !FULL.includes(errno)) return this.#doubt();
    const target = this.isAppending ? this.#sent + done : Number(stat.size);
    this.#clean = this.#seen = undefined;
    this.#tail = Math.min(this.#tail, target);
    this.#size = target;
    this.#sent = Math.min(look.size, target);
    if (!this.isAppending) {
      this.#shelf.cut(this.number, target);
      if (failedFrom < target) this.#shelf.doubt(this.number, failedFrom, Math.min(failedUntil, target));
    }
    if (isCut && look.size > target) this.#shelf.resize(this.number, target);
  }

  #doubt(): void {
    this.#clean = this.#seen = undefined;
    this.#tail = 0;
    if (this.isAppending) return;
    this.#size = this.#sent = Infinity;
    this.#shelf.doubt(this.number, 0, Number.MAX_SAFE_INTEGER);
  }

  #knowStat(stat: Stat): void {
    this.stat = stat;
    this.statAt = this.#now();
  }

  #isUnchanged(look: Look): boolean {
    return !this.isMapped && this.#clean?.size === look.size && this.#clean.mtimeNs === look.mtimeNs;
  }

  #isLast(look: Look): boolean {
    if (look.hasWriters || (this.isLocked && look.isOpen && look.size <= SMALL_BYTES)) return false;
    return look.handed >= this.#promised || performance.now() - this.#promisedAt > PROMISE_MS;
  }

  async #send(look: Look, writes: Writes, isThorough: boolean): Promise<number> {
    const { number } = this;
    if (look.size < this.#sent) {
      writes.setSize(look.size);
      this.#shelf.cut(number, look.size);
      this.#size = look.size;
    }
    this.#sent = look.size;
    for (let at = isThorough ? 0 : Math.min(this.#tail, look.size); writes.isWell;) {
      const found = await this.#shelf.difference(number, at, look.size, await writes.room());
      if (typeof found === "number") return -found;
      if (!found) break;
      await writes.put(found.offset, found.count, found.ranges);
      this.#size = Math.max(this.#size, found.end);
      at = found.next;
    }
    this.#tail = look.size - look.size % BLOCK_BYTES;
    if (look.size > this.#size && writes.isWell) {
      writes.setSize(look.size);
      this.#size = look.size;
    }
    return 0;
  }

  async #sendAppended(look: Look, writes: Writes): Promise<number> {
    if (look.size < this.#size) {
      writes.setSize(look.size);
      this.#size = look.size;
      this.#before = Math.min(this.#before, look.size);
    }
    this.#sent = this.#size;
    while (this.#size < look.size && writes.isWell) {
      const room = await writes.room();
      const count = await this.#shelf.read(this.number, this.#size, room.subarray(0, look.size - this.#size));
      if (count <= 0) return -count;
      await writes.put(this.#size, count);
      this.#size += count;
    }
    return 0;
  }
}

/** Nothing can have been written after the look and bear the time it saw. */
function isSettled(look: Look): boolean {
  return BigInt(Date.now()) * 1_000_000n - look.mtimeNs > COARSE_NS;
}

/** One file of the target. */
export function keyOf({ dev, ino }: Pick<Stat, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

/** The kernel's name for the file: the target's stat, and the number on the shelf (native/fds.c). */
export function nameOf({ stat, number }: WrittenFile): string {
  const frame = layerCodec.encode({ type: "StatReply", errno: 0, stat }, 0);
  return `mirrord-w-${frame.subarray(FRAME_HEAD_BYTES + 4).toHex()}${number.toString(16).padStart(16, "0")}`;
}
