/**
 * One file that programs of the run write: what of it the target has, and how the rest gets there.
 *
 * A sweep finds what has changed and sends it by the agent's handle. It is thorough (every block is compared) when
 * somebody waits for the result, and looks at the end of the file alone when it runs ahead of a program that is still
 * writing. A file that was only ever opened to append sends what was appended, and needs nothing of its contents here.
 *
 * An error of the target is told to the next one who waits, once; then all that is not surely there is sent again.
 */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS, WRITE } from "../../proto/agent.ts";
import type { Stat } from "../../proto/schema.ts";
import type { Look, Shelf } from "../../sys/shelf.ts";
import type { AgentClient } from "./agent_client.ts";

/** Two writes within this time may bear the same time of change: the kernel's clock for it is coarse. */
const COARSE_NS = 20_000_000n;
const BLOCK_BYTES = 4096;
/** Writes of one sweep that are under way: 40 ms of round trip at 200 MB/s. */
const AHEAD_WRITES = (8 << 20) / AGENT_LIMITS.chunkBytes;
/** Up to this size a sweep that nobody waits for is thorough as well. */
const SMALL_BYTES = 4 << 20;
/** Who was promised a descriptor and has not come for it by then does not live any more. */
const PROMISE_MS = 10_000;
const NOTHING = new Uint8Array(0);

export interface SweepWish {
  /** Bits of Write's `then` beside what the sweep itself needs. */
  then?: number;
  /** Somebody waits for the result. */
  isAwaited: boolean;
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
  handle = 0n;
  stat: Stat;
  statAt = performance.now();
  /** What the next one who waits is told. */
  error = 0;
  readonly number: bigint;
  readonly #shelf: Shelf;
  readonly #agent: AgentClient;
  readonly #onChange: () => void;
  /** Where the target's file ends; of a file that is appended to: how much of ours has been sent. */
  #size = 0;
  #tail = 0;
  #clean: Look | undefined;
  #seen: Look | undefined;
  #promised = 0;
  #promisedAt = 0;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(number: bigint, stat: Stat, shelf: Shelf, agent: AgentClient, onChange: () => void) {
    this.number = number;
    this.stat = stat;
    this.#shelf = shelf;
    this.#agent = agent;
    this.#onChange = onChange;
  }

  /** Somebody is about to fetch a descriptor. */
  promise(): void {
    this.#promised++;
    this.#promisedAt = performance.now();
  }

  /** The target's file has this size, and so has ours. */
  resized(size: number): number {
    this.#size = size;
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
    if (this.#waiting > 0 || this.error !== 0) return false;
    const look = this.#shelf.look(this.number, true);
    return this.#isLast(look) || look.size !== this.#seen?.size || look.mtimeNs !== this.#seen.mtimeNs;
  }

  /** Sends what the target has not; the errno of what went wrong. For `alone`. */
  async sweep({ then = 0, isAwaited }: SweepWish): Promise<number> {
    if (this.isGone) return 0;
    if (this.error !== 0) {
      if (isAwaited) return this.#tellError();
      return this.error;
    }
    const look = this.#shelf.look(this.number, true);
    const isLast = this.#isLast(look);
    const isThorough = isAwaited || isLast || look.size <= SMALL_BYTES;
    const writes = new Writes(this.#agent, this.handle);
    if (!isThorough || !this.#isUnchanged(look)) {
      const failure = this.isAppending
        ? await this.#sendAppended(look, writes)
        : await this.#send(look, writes, isThorough);
      if (failure !== 0) writes.fail(failure);
    }
    if (writes.count > 0) this.#onChange();
    const { errno, stat } = await writes.finish(then | (isLast ? WRITE.close : 0));
    if (stat) this.#knowStat(stat);
    if (isLast) this.isGone = true;
    if (errno === 0) {
      this.#seen = look;
      if (isThorough) this.#clean = isSettled(look) ? look : undefined;
    } else if (!isLast) this.#doubt();
    if (!isAwaited) this.error = errno;
    return errno;
  }

  #tellError(): number {
    const errno = this.error;
    this.error = 0;
    this.#doubt();
    return errno;
  }

  #doubt(): void {
    this.#clean = this.#seen = undefined;
    this.#tail = 0;
    if (this.isAppending) return;
    this.#size = Infinity;
    this.#shelf.doubt(this.number);
  }

  #knowStat(stat: Stat): void {
    this.stat = stat;
    this.statAt = performance.now();
  }

  #isUnchanged(look: Look): boolean {
    return !this.isMapped && this.#clean?.size === look.size && this.#clean.mtimeNs === look.mtimeNs;
  }

  #isLast(look: Look): boolean {
    if (look.hasWriters) return false;
    return look.handed >= this.#promised || performance.now() - this.#promisedAt > PROMISE_MS;
  }

  async #send(look: Look, writes: Writes, isThorough: boolean): Promise<number> {
    const { number } = this;
    if (look.size < this.#size) {
      await writes.put({ then: WRITE.setSize, size: look.size, offset: 0, data: NOTHING });
      this.#shelf.cut(number, look.size);
      this.#size = look.size;
    }
    const buffers = buffersFor(look.size);
    for (let at = isThorough ? 0 : Math.min(this.#tail, look.size), turn = 0; writes.isWell; turn ^= 1) {
      const found = await this.#shelf.difference(number, at, look.size, buffers[turn]!);
      if (typeof found === "number") return -found;
      if (!found) break;
      const { offset, count, next } = found;
      await writes.put({ then: 0, size: 0, offset, data: buffers[turn]!.subarray(0, count) });
      this.#size = Math.max(this.#size, offset + count);
      at = next;
    }
    this.#tail = look.size - look.size % BLOCK_BYTES;
    if (look.size > this.#size) {
      await writes.put({ then: WRITE.setSize, size: look.size, offset: 0, data: NOTHING });
      this.#size = look.size;
    }
    return 0;
  }

  async #sendAppended(look: Look, writes: Writes): Promise<number> {
    if (look.size < this.#size) {
      await writes.put({ then: WRITE.setSize, size: look.size, offset: 0, data: NOTHING });
      this.#size = look.size;
    }
    const buffers = buffersFor(look.size - this.#size);
    for (let turn = 0; this.#size < look.size && writes.isWell; turn ^= 1) {
      const into = buffers[turn]!.subarray(0, Math.min(look.size - this.#size, buffers[turn]!.length));
      const count = await this.#shelf.read(this.number, this.#size, into);
      if (count <= 0) return -count;
      await writes.put({ then: 0, size: 0, offset: this.#size, data: into.subarray(0, count) });
      this.#size += count;
    }
    return 0;
  }
}

/** Nothing can have been written after the look and bear the time it saw. */
function isSettled(look: Look): boolean {
  return BigInt(Date.now()) * 1_000_000n - look.mtimeNs > COARSE_NS;
}

/** Two, so that one can wait while the other is filled. */
function buffersFor(bytes: number): Uint8Array<ArrayBuffer>[] {
  const whole = Math.min(AGENT_LIMITS.chunkBytes, Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES || BLOCK_BYTES);
  return [new Uint8Array(whole), new Uint8Array(whole)];
}

interface Put {
  then: number;
  size: number;
  offset: number;
  data: Uint8Array;
}

/** The writes of one sweep, some under way at a time. The last one is held back, for what has to follow them all. */
class Writes {
  count = 0;
  readonly #agent: AgentClient;
  readonly #handle: bigint;
  readonly #underWay: Promise<void>[] = [];
  #held: Put | undefined;
  #errno = 0;
  #stat: Stat | undefined;

  constructor(agent: AgentClient, handle: bigint) {
    this.#agent = agent;
    this.#handle = handle;
  }

  get isWell(): boolean {
    return this.#errno === 0;
  }

  fail(errno: number): void {
    this.#errno ||= errno;
  }

  /** The data must stay as they are until the next put, or finish. */
  async put(put: Put): Promise<void> {
    this.count++;
    if (this.#held) this.#send(this.#held);
    this.#held = put;
    if (this.#underWay.length >= AHEAD_WRITES) await this.#underWay.shift();
  }

  /** Does what `then` says after all writes; resolves when they are done, or at once when there is only a handle to close. */
  async finish(then: number): Promise<{ errno: number; stat: Stat | undefined }> {
    const last = this.#held ?? { then: 0, size: 0, offset: 0, data: NOTHING };
    const isWaited = this.#held !== undefined || (then & ~WRITE.close) !== 0 || this.#underWay.length > 0;
    if (then !== 0 || this.#held) this.#send({ ...last, then: last.then | then | (isWaited ? WRITE.stat : 0) });
    if (isWaited) await Promise.all(this.#underWay);
    return { errno: this.#errno, stat: this.#stat };
  }

  #send({ then, size, offset, data }: Put): void {
    const message = {
      type: "Write" as const,
      handle: this.#handle,
      then,
      size: BigInt(size),
      offset: BigInt(offset),
      data,
    };
    this.#underWay.push(this.#agent.ask(message, (answer) => {
      this.#errno ||= answer ? answer.errno : ERRNO.EIO;
      if (answer?.errno === 0 && (then & WRITE.stat) !== 0) this.#stat = answer.stat;
    }));
  }
}
