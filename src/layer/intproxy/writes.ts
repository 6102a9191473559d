/**
 * The writes of one sweep over a file: pipelined, in their order, without copying, and with bounded memory.
 *
 * A sweep has a ring of buffers, each of which is filled, sent and, when it has left, filled again. Big rings are few and
 * shared by all files, so a sweep may wait for one; a file of a few pages has small buffers of its own.
 */
import { ERRNO } from "../../base/errors.ts";
import { type AGENT, AGENT_LIMITS, WRITE } from "../../proto/agent.ts";
import { MAX_HEAD_BYTES } from "../../proto/agent_codec.ts";
import type { MessageNamed, Stat } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";

/** Unanswered writes of one sweep: 40 ms of round trip at 200 MB/s. */
const AHEAD_WRITES = (8 << 20) / AGENT_LIMITS.chunkBytes;
const RING_BUFFERS = 6;
const BIG_RINGS = 4;
const SMALL_BYTES = 64 << 10;
const BLOCK_BYTES = 4096;

interface RingBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  left: Promise<void>;
}

export interface Ring {
  readonly buffers: readonly RingBuffer[];
  release(): void;
}

export class Rings {
  readonly #idle: (readonly RingBuffer[])[] = [];
  readonly #waiting: ((buffers: readonly RingBuffer[]) => void)[] = [];
  #made = 0;

  /** A ring for a sweep that has to look at so many bytes. */
  async take(bytes: number): Promise<Ring> {
    if (bytes <= SMALL_BYTES) {
      const capacity = Math.ceil(Math.max(bytes, 1) / BLOCK_BYTES) * BLOCK_BYTES;
      return { buffers: makeRing(2, capacity), release: () => {} };
    }
    const buffers = this.#idle.pop() ?? await this.#makeOrWait();
    return { buffers, release: () => this.#giveBack(buffers) };
  }

  #makeOrWait(): readonly RingBuffer[] | Promise<readonly RingBuffer[]> {
    if (this.#made < BIG_RINGS) {
      this.#made++;
      return makeRing(RING_BUFFERS, AGENT_LIMITS.chunkBytes);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #giveBack(buffers: readonly RingBuffer[]): void {
    const next = this.#waiting.shift();
    if (next) next(buffers);
    else this.#idle.push(buffers);
  }
}

function makeRing(count: number, capacity: number): RingBuffer[] {
  return Array.from(
    { length: count },
    () => ({ bytes: new Uint8Array(MAX_HEAD_BYTES + capacity), left: Promise.resolve() }),
  );
}

interface Put {
  then: number;
  size: number;
  offset: number;
  /** Bytes in `buffer`; 0 when there is none. */
  count: number;
  /** How many ranges they are, as Patch has them; 0: one. */
  ranges: number;
  buffer: RingBuffer | undefined;
}

/** What came of the writes of a sweep. */
export interface Outcome {
  /** Of the first that failed. */
  errno: number;
  /** How the target's file is after the last. */
  stat: Stat | undefined;
  /** Bytes that its file system can still take; undefined: nothing was asked. */
  free: bigint | undefined;
  /** Others have changed the file. */
  isChanged: boolean;
  /** Bytes that were written. */
  done: number;
  /** Where writes that failed begin to be in doubt. */
  failedFrom: number;
  failedUntil: number;
}

export class Writes implements Disposable {
  /** How many there were. */
  count = 0;
  readonly #agent: AgentClient;
  readonly #handle: bigint;
  readonly #ring: Ring;
  readonly #underWay: Promise<void>[] = [];
  /** Sent with the next one, or with what has to follow them all. */
  #held: Put | undefined;
  #turn = 0;
  readonly #outcome: Outcome = {
    errno: 0,
    stat: undefined,
    free: undefined,
    isChanged: false,
    done: 0,
    failedFrom: Infinity,
    failedUntil: 0,
  };

  constructor(agent: AgentClient, handle: bigint, ring: Ring) {
    this.#agent = agent;
    this.#handle = handle;
    this.#ring = ring;
  }

  get isWell(): boolean {
    return this.#outcome.errno === 0;
  }

  fail(errno: number): void {
    this.#outcome.errno ||= errno;
  }

  /** Where the data of the next put go. */
  async room(): Promise<Uint8Array<ArrayBuffer>> {
    const buffer = this.#ring.buffers[this.#turn]!;
    await buffer.left;
    return buffer.bytes.subarray(MAX_HEAD_BYTES);
  }

  /** The first `count` bytes of the room belong at `offset`; or are so many ranges from there on. */
  async put(offset: number, count: number, ranges = 0): Promise<void> {
    const buffer = this.#ring.buffers[this.#turn]!;
    this.#turn = (this.#turn + 1) % this.#ring.buffers.length;
    this.#hold({ then: 0, size: 0, offset, count, ranges, buffer });
    while (this.#underWay.length >= AHEAD_WRITES) await this.#underWay.shift();
  }

  setSize(size: number): void {
    this.#hold({ ...NO_PUT, then: WRITE.setSize, size });
  }

  /** Does what `then` says after all writes; resolves when they are done, or at once when there is only a handle to close. */
  async finish(then: number): Promise<Outcome> {
    const last = this.#held ?? NO_PUT;
    const isWaited = this.#held !== undefined || (then & ~WRITE.close) !== 0 || this.#underWay.length > 0;
    this.#held = undefined;
    if (then !== 0 || isWaited) this.#send({ ...last, then: last.then | then | (isWaited ? WRITE.stat : 0) });
    if (isWaited) await Promise.all(this.#underWay);
    return this.#outcome;
  }

  /** What was sent has been answered, so nothing uses the ring any more. */
  [Symbol.dispose](): void {
    this.#ring.release();
  }

  #hold(put: Put): void {
    this.count++;
    if (this.#held) this.#send(this.#held);
    this.#held = put;
  }

  #send(put: Put): void {
    const { then, size, offset, ranges, buffer } = put;
    const answered = Promise.withResolvers<void>();
    this.#underWay.push(answered.promise);
    const common = { handle: this.#handle, then, size: BigInt(size), offset: BigInt(offset) };
    const bytes = buffer?.bytes ?? new Uint8Array(MAX_HEAD_BYTES);
    const onAnswer = (answer: Written | undefined) => {
      this.#take(put, answer);
      answered.resolve();
    };
    const left = ranges > 0
      ? this.#agent.requestInPlace<"Patch">({ type: "Patch", ...common, ranges }, bytes, put.count, onAnswer)
      : this.#agent.requestInPlace<"Write">({ type: "Write", ...common }, bytes, put.count, onAnswer);
    if (buffer) buffer.left = left;
  }

  #take({ then, offset, count, ranges }: Put, answer: Written | undefined): void {
    const it = this.#outcome;
    const errno = answer ? answer.errno : ERRNO.EIO;
    it.errno ||= errno;
    if (errno !== 0) {
      const done = ranges > 0 ? 0 : Number(answer?.done ?? 0n);
      it.failedFrom = Math.min(it.failedFrom, offset + done);
      it.failedUntil = Math.max(it.failedUntil, ranges > 0 ? Infinity : offset + count);
    }
    if (!answer) return;
    it.done += Number(answer.done);
    it.free = answer.free;
    it.isChanged ||= answer.isChanged;
    if ((then & WRITE.stat) !== 0 && answer.stat.ino !== 0n) it.stat = answer.stat;
  }
}

const NO_PUT: Put = { then: 0, size: 0, offset: 0, count: 0, ranges: 0, buffer: undefined };
type Written = MessageNamed<typeof AGENT, "Written">;
