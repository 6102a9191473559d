/**
 * One connection of a shim: frames in, answers out. A frame that is malformed, or not a request, ends this connection and
 * nothing else.
 */
import { concatBytes } from "../../base/bytes.ts";
import { WireError } from "../../base/errors.ts";
import { makeCodec } from "../../proto/codec.ts";
import { readBatches } from "../../proto/frames.ts";
import { LAYER, LAYER_LIMITS, type LayerFrame, type LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";

export const layerCodec = makeCodec(LAYER);

/** Requests are small: a path and some words. The buffer grows for those that are not. */
const READ_BUFFER_BYTES = 8 << 10;
/** Answers that wait together are joined up to this size into one write. */
const JOINED_BYTES = 64 << 10;
/** While more than this waits for a shim that does not read, none of its requests is looked at and no bulk is fetched. */
const UNSENT_BYTES = 4 << 20;

export type Hello = MessageNamed<typeof LAYER, "Hello">;

type Conn = Pick<Deno.Conn, "read" | "write" | "close">;

export class ShimConnection {
  readonly #conn: Conn;
  readonly #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  #writing: Promise<void> | undefined;
  #onRoom = Promise.withResolvers<void>();
  readonly #closers = new Set<() => void>();
  #isClosed = false;
  #hello: Hello | undefined;

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Which process speaks here; known once it said Hello. */
  get pid(): number {
    return this.#hello?.pid ?? 0;
  }

  /**
   * The requests, after the Hello that `admit` lets in, those that came together by the batch; ends with the connection. Throws
   * `WireError` when the shim breaks the rules, at once or where a batch is taken. Bytes in a request are good until the
   * next one is asked for.
   */
  async *requests(admit: (hello: Hello) => boolean): AsyncGenerator<Iterable<LayerFrame>, void, void> {
    const read = (into: Uint8Array) => this.#conn.read(into).catch(() => null);
    for await (const batch of readBatches(read, () => LAYER_LIMITS.frameBytes, READ_BUFFER_BYTES)) {
      yield this.#decoded(batch, admit);
      await this.room();
    }
  }

  *#decoded(batch: Iterable<Uint8Array>, admit: (hello: Hello) => boolean): Generator<LayerFrame, void, void> {
    for (const bytes of batch) {
      const frame = layerCodec.decode(bytes);
      if (this.#hello) yield frame;
      else if (frame.type !== "Hello") throw new WireError(`"${frame.type}" before Hello`);
      else if (!admit(frame)) throw new WireError(`Hello of another build: "${frame.build}"`);
      else this.#hello = frame;
    }
  }

  /** Answers the request with this id; never waits. Does nothing when the shim has gone. */
  send(message: LayerMessage, id: number): void {
    this.sendFrame(layerCodec.encode(message, id));
  }

  sendFrame(frame: Uint8Array): void {
    if (this.#isClosed) return;
    this.#unsent.push(frame);
    this.#unsentBytes += frame.length;
    this.#writing ??= this.#write();
  }

  /** Resolves when the shim keeps up with what it is sent (or has gone). */
  async room(): Promise<void> {
    while (this.#unsentBytes > UNSENT_BYTES && !this.#isClosed) await this.#onRoom.promise;
  }

  /** Calls back when the connection ends. Calling what this returns takes that back. */
  onClosed(callback: () => void): () => void {
    this.#closers.add(callback);
    return () => this.#closers.delete(callback);
  }

  /** Resolves when all that was sent has left. */
  async flushed(): Promise<void> {
    await this.#writing;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
    this.#onRoom.resolve();
    for (const onClosed of this.#closers) onClosed();
  }

  async #write(): Promise<void> {
    try {
      while (this.#unsent.length > 0 && !this.#isClosed) {
        const bytes = this.#takeUnsent();
        for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
        this.#unsentBytes -= bytes.length;
        this.#onRoom.resolve();
        this.#onRoom = Promise.withResolvers();
      }
    } catch {
      // The shim has gone in the middle of an answer: its process has ended, or does not want it any more.
      this.close();
    } finally {
      this.#writing = undefined;
    }
  }

  #takeUnsent(): Uint8Array {
    let count = 1;
    for (let size = this.#unsent[0]!.length; count < this.#unsent.length; count++) {
      size += this.#unsent[count]!.length;
      if (size > JOINED_BYTES) break;
    }
    const taken = this.#unsent.splice(0, count);
    return count === 1 ? taken[0]! : concatBytes(taken);
  }
}

/** A frame that lasts: its bytes are its own. */
export function copyOfFrame(frame: LayerFrame): LayerFrame {
  const entries = Object.entries(frame).map((
    [name, value],
  ) => [name, value instanceof Uint8Array ? value.slice() : value]);
  return Object.fromEntries(entries) as LayerFrame;
}
