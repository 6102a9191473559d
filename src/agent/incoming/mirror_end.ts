/**
 * A copy of one direction of a connection, as the end of a stream. It takes what it is fed and never makes its source
 * wait: who does not keep up loses the copy, and the connection itself goes on.
 */
import type { StreamEnd } from "../../base/socket_end.ts";

/** What may wait here for the stream's window. */
const HELD_BYTES = 8 << 20;

export class MirrorEnd implements StreamEnd {
  readonly #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isEnded = false;
  #isGone = false;
  #wake: (() => void) | undefined;
  readonly #onSlow: () => void;

  constructor(onSlow: () => void) {
    this.#onSlow = onSlow;
  }

  /** Takes a copy of `bytes`. */
  feed(bytes: Uint8Array): void {
    if (this.#isEnded || this.#isGone) return;
    if (this.#heldBytes + bytes.length > HELD_BYTES) return this.cutOff();
    this.#held.push(bytes.slice());
    this.#heldBytes += bytes.length;
    this.#awaken();
  }

  /** The rest of it is not to be had. */
  cutOff(): void {
    if (this.#isEnded || this.#isGone) return;
    this.#onSlow();
    this.reset();
  }

  /** The source has ended. */
  finish(): void {
    this.#isEnded = true;
    this.#awaken();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#held.length === 0 && !this.#isEnded && !this.#isGone) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    if (this.#isGone) throw new Error("The copy was broken off");
    const first = this.#held[0];
    if (!first) return null;
    const count = Math.min(first.length, into.length);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#held.shift();
    else this.#held[0] = first.subarray(count);
    this.#heldBytes -= count;
    return count;
  }

  /** What the client's program answers goes nowhere. */
  writeAll(): Promise<void> {
    return Promise.resolve();
  }

  closeWrite(): void {}

  reset(): void {
    this.close();
  }

  close(): void {
    this.#isGone = true;
    this.#held.length = this.#heldBytes = 0;
    this.#awaken();
  }

  #awaken(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
