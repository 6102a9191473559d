/**
 * Memory for bytes that pass through: taken, filled, given back. A fresh array of this size costs the kernel more (pages
 * to map, clear and unmap) than copying its bytes does.
 */

export class BufferPool {
  readonly #bufferBytes: number;
  readonly #maxKept: number;
  readonly #kept: ArrayBuffer[] = [];

  /** Keeps up to `maxKept` buffers of `bufferBytes` each; what is asked for beyond that size is made anew. */
  constructor(bufferBytes: number, maxKept: number) {
    this.#bufferBytes = bufferBytes;
    this.#maxKept = maxKept;
  }

  /** A copy of `bytes`, in memory of the pool when it fills a good part of it: what waits must not take many times its size. */
  copyOf(bytes: Uint8Array): Uint8Array {
    if (bytes.length < this.#bufferBytes / 4 || bytes.length > this.#bufferBytes) return bytes.slice();
    const buffer = this.#kept.pop() ?? new ArrayBuffer(this.#bufferBytes);
    const copy = new Uint8Array(buffer, 0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  /** Gives back what `copyOf` made; nobody may look at it any more. Any other array is left alone. */
  giveBack(copy: Uint8Array): void {
    const { buffer, byteOffset } = copy;
    if (byteOffset !== 0 || buffer.byteLength !== this.#bufferBytes || !(buffer instanceof ArrayBuffer)) return;
    if (this.#kept.length < this.#maxKept) this.#kept.push(buffer);
  }
}
