/**
 * One end of the wire between intproxy and agent: frames in and out over a `Duplex`.
 *
 * What goes out waits in two queues, and control goes ahead of bulk: an Open never stands behind megabytes of Data.
 * Small frames that wait together leave in one write. Bulk is bounded by the streams' windows, control by the number of
 * requests; so neither queue needs a bound of its own.
 */
import { WireError } from "../base/errors.ts";
import { concatBytes } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import type { AgentFrame } from "./agent.ts";
import { decodeAgentFrame, encodeAgentFrame } from "./agent_codec.ts";
import { readFrames } from "./frames.ts";

/** Frames that wait together are joined up to this size; bigger ones leave on their own, uncopied. */
const JOINED_BYTES = 64 << 10;

const BULK_TYPES: ReadonlySet<AgentFrame["type"]> = new Set(["Data", "ReadReply", "OpenReply"]);
/** Ends of a stream must stay behind its Data. */
const ORDERED_TYPES: ReadonlySet<AgentFrame["type"]> = new Set(["End"]);

export class AgentLink implements Disposable {
  readonly #duplex: Duplex;
  readonly #control: Uint8Array[] = [];
  readonly #bulk: Uint8Array[] = [];
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  /** Queues a message; never waits, never throws. After a failure of the stream it does nothing: the reader learns of it. */
  send(frame: AgentFrame): void {
    if (this.#failure) return;
    const isBulk = BULK_TYPES.has(frame.type) || ORDERED_TYPES.has(frame.type);
    (isBulk ? this.#bulk : this.#control).push(encodeAgentFrame(frame));
    this.#writing ??= this.#drain();
  }

  /** Resolves when all that was sent so far has left (or the stream has failed). */
  async flushed(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  /**
   * Messages as they arrive; ends with the peer's direction, throws when the stream or a frame is broken. Bytes in a
   * message are good until the next one is asked for. Requests of a type we do not know are answered by Refused here.
   */
  async *messages(maxFrameBytes: () => number): AsyncGenerator<AgentFrame, void, void> {
    for await (const frame of readFrames((into) => this.#duplex.read(into), maxFrameBytes, 512 << 10)) {
      const message = decodeAgentFrame(frame);
      if ("unknownType" in message) {
        this.send({ type: "Refused", id: message.id, error: `Unknown message type "${message.unknownType}"` });
      } else yield message;
    }
    if (this.#failure) throw this.#failure;
  }

  close(): void {
    this.#failure ??= new WireError("The link was closed");
    this.#duplex.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #drain(): Promise<void> {
    // Let the rest of this turn queue what it has: it leaves in the same write.
    await Promise.resolve();
    try {
      while (true) {
        const next = this.#takeNext();
        if (!next) break;
        await this.#duplex.writeAll(next);
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      this.#duplex.close();
    } finally {
      this.#writing = undefined;
    }
  }

  #takeNext(): Uint8Array | undefined {
    const queue = this.#control.length > 0 ? this.#control : this.#bulk;
    const first = queue[0];
    if (!first) return undefined;
    let count = 1;
    for (let size = first.length; count < queue.length; count++) {
      size += queue[count]!.length;
      if (size > JOINED_BYTES) break;
    }
    const taken = queue.splice(0, count);
    return taken.length === 1 ? first : concatBytes(taken);
  }
}
