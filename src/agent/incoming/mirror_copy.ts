/** A copy of what a client says, made without TypeScript (native/sys/taps.c), as the end of a stream. */
import type { StreamEnd } from "../../base/socket_end.ts";
import type { Tap } from "../../sys/passage.ts";

export class MirrorCopy implements StreamEnd {
  readonly #tap: Tap;
  readonly #onSlow: () => void;

  /** `onSlow` is called when the copy was cut off because nobody took it. */
  constructor(tap: Tap, onSlow: () => void) {
    this.#tap = tap;
    this.#onSlow = onSlow;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const count = await this.#tap.read(into);
    if (count !== "cut") return count;
    this.#onSlow();
    throw new Error("The copy was cut off");
  }

  /** What the client's program answers goes nowhere. */
  writeAll(): Promise<void> {
    return Promise.resolve();
  }

  closeWrite(): void {}

  reset(): void {
    this.#tap.close();
  }

  close(): void {
    this.#tap.close();
  }
}
