/** Memory that is used again: megabytes that come and go would wait for the garbage collector, and the agent would grow. */
export class Buffers {
  readonly #size: number;
  readonly #most: number;
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];

  /** Buffers of `size` bytes, of which `most` are kept while nobody uses them. */
  constructor(size: number, most: number) {
    this.#size = size;
    this.#most = most;
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#spare.pop() ?? new Uint8Array(this.#size);
  }

  give(buffer: Uint8Array<ArrayBuffer>): void {
    if (this.#spare.length < this.#most) this.#spare.push(buffer);
  }
}
