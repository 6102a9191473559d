/** Bytes that wait, in the order in which they came. Small pieces share memory: who says a byte at a time costs no more than others. */

/** What is taken at once for pieces that follow others. */
const CHUNK_BYTES = 4 << 10;

export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  /** What lies in the last chunk; all the others are full. */
  #lastUsed = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** All of it, chunk by chunk. */
  get chunks(): readonly Uint8Array[] {
    return this.#chunks.map((it, at) => at === this.#chunks.length - 1 ? it.subarray(0, this.#lastUsed) : it);
  }

  /** The bytes are copied. */
  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    const last = this.#chunks.at(-1);
    const fitting = last ? Math.min(bytes.length, last.length - this.#lastUsed) : 0;
    if (fitting > 0) {
      last!.set(bytes.subarray(0, fitting), this.#lastUsed);
      this.#lastUsed += fitting;
    }
    const rest = bytes.subarray(fitting);
    if (rest.length === 0) return;
    const chunk = new Uint8Array(last ? Math.max(rest.length, CHUNK_BYTES) : rest.length);
    chunk.set(rest);
    this.#chunks.push(chunk);
    this.#lastUsed = rest.length;
  }

  /** How much can be taken in one piece. */
  get firstLength(): number {
    return this.#chunks.length === 1 ? this.#lastUsed : this.#chunks[0]?.length ?? 0;
  }

  /** `count` is at most `firstLength`. */
  take(count: number): Uint8Array {
    const first = this.#chunks[0]!;
    const taken = first.subarray(0, count);
    this.#length -= count;
    if (count === this.firstLength) this.#chunks.shift();
    else {
      this.#chunks[0] = first.subarray(count);
      if (this.#chunks.length === 1) this.#lastUsed -= count;
    }
    return taken;
  }

  clear(): void {
    this.#chunks.length = this.#length = 0;
  }
}
