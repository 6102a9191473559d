/**
 * One end of the wire between intproxy and agent: frames in and out over a `Duplex`.
 *
 * What goes out waits in two queues, and what is small goes ahead of bulk: an Open never stands behind megabytes of Data.
 * Small frames that wait together leave in one write. Bulk is bounded by the streams' windows, control by the number of
 * requests; so neither queue needs a bound of its own.
 */
import { WireError } from "../base/errors.ts";
import { concatBytes } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import type { AgentFrame } from "./agent.ts";
import { decodeAgentFrame, encodeAgentFrame } from "./agent_codec.ts";
import { readBatches } from "./frames.ts";

/** Frames that wait together are joined up to this size; bigger ones leave on their own, uncopied. */
const JOINED_BYTES = 64 << 10;

/**
 * Messages of a stream, and writes, stay behind each other; all else may overtake, and does while it is small. An end of a FIFO
 * that is asked for (OpenFifo) must not meet one that was given up before (Reset).
 */
const ORDERED_TYPES: ReadonlySet<AgentFrame["type"]> = new Set([
  "Urgent",
  "Untouched",
  "Data",
  "End",
  "Reset",
  "Write",
  "OpenFifo",
]);
const SMALL_BYTES = 16 << 10;

interface Waiting {
  bytes: Uint8Array;
  /** Called when the bytes have left or never will. */
  onGone?: () => void;
}

export class AgentLink implements Disposable {
  readonly #duplex: Duplex;
  readonly #control: Waiting[] = [];
  readonly #bulk: Waiting[] = [];
  #inFlight: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  /** Called before anything leaves: what it sends with `sendAhead` leaves first. */
  beforeSending: () => void = () => {};

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  /** Queues a message; never waits, never throws. After a failure of the stream it does nothing: the reader learns of it. */
  send(frame: AgentFrame): void {
    if (!this.#failure) this.#enqueue(frame.type, { bytes: encodeAgentFrame(frame) });
  }

  /** The same, before all that waits. */
  sendAhead(frame: AgentFrame): void {
    if (this.#failure) return;
    this.#control.unshift({ bytes: encodeAgentFrame(frame) });
    this.#writing ??= this.#drain();
  }

  /** The same, and resolves when it has left or the link has failed: for senders that bound what waits here. */
  async sent(frame: AgentFrame): Promise<void> {
    if (this.#failure) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#enqueue(frame.type, { bytes: encodeAgentFrame(frame), onGone: resolve });
    await promise;
  }

  /**
   * Queues a whole frame of bulk (see writeDataHead); resolves when it has left or the link has failed: until then its
   * bytes must stay as they are. A sender that waits so has at most a frame here, and all take their turns.
   */
  sendBulkFrame(bytes: Uint8Array): Promise<void> {
    if (this.#failure) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#enqueue("Data", { bytes, onGone: resolve });
    return promise;
  }

  /** Resolves when all that was sent so far has left (or the stream has failed). */
  async flushed(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  /**
   * Messages as they arrive; ends with the peer's direction, throws when the stream or a frame is broken. Bytes in a
   * message are good until the next one is asked for. Requests of a type we do not know are answered by Refused here,
   * once the peer `isWelcome`; before, they break the wire.
   */
  async *messages(
    maxFrameBytes: () => number,
    isWelcome: () => boolean = () => true,
  ): AsyncGenerator<AgentFrame, void, void> {
    for await (const batch of this.batches(maxFrameBytes, isWelcome)) yield* batch;
  }

  /** The same, messages that came together by the batch. Each batch must be taken to its end, which is where it throws too. */
  async *batches(
    maxFrameBytes: () => number,
    isWelcome: () => boolean = () => true,
  ): AsyncGenerator<Iterable<AgentFrame>, void, void> {
    for await (const batch of readBatches((into) => this.#duplex.read(into), maxFrameBytes, 512 << 10)) {
      yield this.#decoded(batch, isWelcome);
    }
    if (this.#failure) throw this.#failure;
  }

  *#decoded(batch: Iterable<Uint8Array>, isWelcome: () => boolean): Generator<AgentFrame, void, void> {
    for (const frame of batch) {
      const message = decodeAgentFrame(frame);
      if ("unknownType" in message) {
        if (!isWelcome()) throw new WireError(`"${message.unknownType}" before the handshake`);
        this.send({ type: "Refused", id: message.id, error: `Unknown message type "${message.unknownType}"` });
      } else yield message;
    }
  }

  close(): void {
    this.#failure ??= new WireError("The link was closed");
    this.#duplex.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #enqueue(type: AgentFrame["type"], waiting: Waiting): void {
    const isBulk = ORDERED_TYPES.has(type) || waiting.bytes.length > SMALL_BYTES;
    (isBulk ? this.#bulk : this.#control).push(waiting);
    this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Let the rest of this turn queue what it has: it leaves in the same write.
    await Promise.resolve();
    try {
      while (true) {
        this.beforeSending();
        const next = this.#takeNext();
        if (next.length === 0) break;
        await this.#duplex.writeAll(next.length === 1 ? next[0]!.bytes : concatBytes(next.map(({ bytes }) => bytes)));
        for (const { onGone } of next) onGone?.();
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      this.#duplex.close();
      for (const { onGone } of [...this.#inFlight, ...this.#control, ...this.#bulk]) onGone?.();
      this.#bulk.length = this.#control.length = 0;
    } finally {
      this.#writing = undefined;
    }
  }

  /** What leaves in the next write: one frame of any size, or small ones that wait together. */
  #takeNext(): Waiting[] {
    const queue = this.#control.length > 0 ? this.#control : this.#bulk;
    let count = Math.min(1, queue.length);
    for (let size = queue[0]?.bytes.length ?? 0; count < queue.length; count++) {
      size += queue[count]!.bytes.length;
      if (size > JOINED_BYTES) break;
    }
    return this.#inFlight = queue.splice(0, count);
  }
}
