/**
 * The writes of one sweep over a file: pipelined, in their order, without copying, and with bounded memory.
 *
 * A sweep has a ring of buffers, each of which is filled, sent and, when it has left, filled again. Big rings are few and
 * shared by all files, so a sweep may wait for one; a file of a few pages has small buffers of its own.
 */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS, WRITE } from "../../proto/agent.ts";
import { MAX_HEAD_BYTES } from "../../proto/agent_codec.ts";
import type { Stat } from "../../proto/schema.ts";
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
  buffer: RingBuffer | undefined;
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
  #errno = 0;
  #stat: Stat | undefined;

  constructor(agent: AgentClient, handle: bigint, ring: Ring) {
    this.#agent = agent;
    this.#handle = handle;
    this.#ring = ring;
  }

  get isWell(): boolean {
    return this.#errno === 0;
  }

  fail(errno: number): void {
    this.#errno ||= errno;
  }

  /** Where the data of the next put go. */
  async room(): Promise<Uint8Array<ArrayBuffer>> {
    const buffer = this.#ring.buffers[this.#turn]!;
    await buffer.left;
    return buffer.bytes.subarray(MAX_HEAD_BYTES);
  }

  /** The first `count` bytes of the room belong at `offset`. */
  async put(offset: number, count: number): Promise<void> {
    const buffer = this.#ring.buffers[this.#turn]!;
    this.#turn = (this.#turn + 1) % this.#ring.buffers.length;
    this.#hold({ then: 0, size: 0, offset, count, buffer });
    while (this.#underWay.length >= AHEAD_WRITES) await this.#underWay.shift();
  }

  setSize(size: number): void {
    this.#hold({ then: WRITE.setSize, size, offset: 0, count: 0, buffer: undefined });
  }

  /** Does what `then` says after all writes; resolves when they are done, or at once when there is only a handle to close. */
  async finish(then: number): Promise<{ errno: number; stat: Stat | undefined }> {
    const last = this.#held ?? { then: 0, size: 0, offset: 0, count: 0, buffer: undefined };
    const isWaited = this.#held !== undefined || (then & ~WRITE.close) !== 0 || this.#underWay.length > 0;
    this.#held = undefined;
    if (then !== 0 || isWaited) this.#send({ ...last, then: last.then | then | (isWaited ? WRITE.stat : 0) });
    if (isWaited) await Promise.all(this.#underWay);
    return { errno: this.#errno, stat: this.#stat };
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

  #send({ then, size, offset, count, buffer }: Put): void {
    const answered = Promise.withResolvers<void>();
    this.#underWay.push(answered.promise);
    const message = {
      type: "Write" as const,
      handle: this.#handle,
      then,
      size: BigInt(size),
      offset: BigInt(offset),
    };
    const bytes = buffer?.bytes ?? new Uint8Array(MAX_HEAD_BYTES);
    const left = this.#agent.requestInPlace(message, bytes, count, (answer) => {
      this.#errno ||= answer ? answer.errno : ERRNO.EIO;
      if (answer?.errno === 0 && (then & WRITE.stat) !== 0) this.#stat = answer.stat;
      answered.resolve();
    });
    if (buffer) buffer.left = left;
  }
}
