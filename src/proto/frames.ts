/**
 * Cuts a byte stream into frames: a u32 little-endian length, then that many bytes. Knows nothing of what is in them.
 *
 * Frames that came together are taken up together (`readBatches`), without a promise between one and the next: what they lead to
 * leaves together as well.
 */
import { WireError } from "../base/errors.ts";

/** Reads some bytes into the front of `into`; null at the end of the stream. */
export type ReadSome = (into: Uint8Array) => Promise<number | null>;

/** So many are taken up before whoever waits for this turn's end has it: what the first lead to shall not wait for the last of a long row. */
const MOST_IN_BATCH = 32;

/**
 * Yields the frames of a stream without their length words. A yielded frame is only good until the next is asked for:
 * whoever keeps bytes of it copies them.
 *
 * Throws `WireError` when a length is over `maxFrameBytes()` or the stream ends inside a frame.
 */
export async function* readFrames(
  read: ReadSome,
  maxFrameBytes: () => number,
  initialBytes?: number,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const batch of readBatches(read, maxFrameBytes, initialBytes)) yield* batch;
}

/** The same, frames that are there by the batch. Each batch must be taken to its end, which is where it throws too. */
export async function* readBatches(
  read: ReadSome,
  maxFrameBytes: () => number,
  initialBytes = 64 << 10,
): AsyncGenerator<Iterable<Uint8Array>, void, void> {
  const buffer = new FrameBuffer(maxFrameBytes, initialBytes);
  while (true) {
    while (buffer.hasFrame()) yield buffer.batch();
    const count = await read(buffer.room());
    if (count === null) break;
    buffer.filled(count);
  }
  if (!buffer.isEmpty) throw new WireError("The stream ended inside a frame");
}

class FrameBuffer {
  readonly #maxFrameBytes: () => number;
  #bytes: Uint8Array;
  #view: DataView;
  #from = 0;
  #to = 0;

  constructor(maxFrameBytes: () => number, initialBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get isEmpty(): boolean {
    return this.#from === this.#to;
  }

  /** Throws when the next one is too long. */
  hasFrame(): boolean {
    return this.#to - this.#from >= this.#need();
  }

  *batch(): Generator<Uint8Array, void, void> {
    for (let count = 0; count < MOST_IN_BATCH && this.hasFrame(); count++) {
      const from = this.#from;
      this.#from += this.#need();
      yield this.#bytes.subarray(from + 4, this.#from);
    }
  }

  /** For more bytes; never empty. */
  room(): Uint8Array {
    if (this.isEmpty) this.#from = this.#to = 0;
    const need = this.#need();
    // Either the frame starts too far back, or the buffer is too small for it, or full: begin anew at the front.
    if (need > this.#bytes.length) this.#moveTo(new Uint8Array(need + (need >> 1)));
    else if (need > this.#bytes.length - this.#from || this.#to === this.#bytes.length) this.#moveTo(this.#bytes);
    return this.#bytes.subarray(this.#to);
  }

  filled(count: number): void {
    this.#to += count;
  }

  /** What the next frame takes, length word included, as far as is known. */
  #need(): number {
    if (this.#to - this.#from < 4) return 4;
    const length = this.#view.getUint32(this.#from, true);
    if (length > this.#maxFrameBytes()) throw new WireError(`A frame of ${length} bytes is over the limit`);
    return length + 4;
  }

  #moveTo(bytes: Uint8Array): void {
    bytes.set(this.#bytes.subarray(this.#from, this.#to));
    if (bytes !== this.#bytes) this.#view = new DataView(bytes.buffer);
    this.#bytes = bytes;
    this.#to -= this.#from;
    this.#from = 0;
  }
}
