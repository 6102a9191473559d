/**
 * A request while it is passed on: what was said of it is kept, so that it can be said again to somebody else as long as nobody
 * has answered it. What does not fit is passed on all the same, and cannot be said again.
 *
 * A write to who does not listen any more waits until it is known whether somebody else will: `turnTo` or `settle`.
 */
import { concatBytes } from "../../../base/bytes.ts";
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { Tap } from "../passage.ts";

/** Head and body. */
export const MOST_KEPT_BYTES = 64 << 10;

export class SaidRequest {
  #end: StreamEnd;
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #taps: readonly Tap[];
  #isSettled = false;
  #isClosed = false;
  #turning: PromiseWithResolvers<void> | undefined;

  constructor(end: StreamEnd, taps: readonly Tap[]) {
    this.#end = end;
    this.#taps = taps;
  }

  /** Who is to hear it. */
  get end(): StreamEnd {
    return this.#end;
  }

  /** All of it is still here, or still to come. */
  get isKept(): boolean {
    return this.#kept !== undefined;
  }

  /** Rejects when it was said to nobody. */
  async write(bytes: Uint8Array): Promise<void> {
    for (const tap of this.#taps) tap.feed(bytes);
    this.#keep(bytes);
    const end = this.#end;
    try {
      await end.writeAll(bytes);
    } catch (error) {
      // Who turned to somebody else has said it there.
      while (this.#end === end) {
        if (this.#isSettled || !this.#kept) throw error;
        this.#turning ??= Promise.withResolvers();
        await this.#turning.promise;
      }
    }
  }

  /** Nothing more is said, here or by the client. */
  async closeWrite(): Promise<void> {
    this.#isClosed = true;
    await this.#end.closeWrite();
  }

  /** From here on to another, who is told first what was said until now. Rejects when they do not listen either. */
  async turnTo(end: StreamEnd): Promise<void> {
    const kept = this.#kept ?? [];
    // More may be said meanwhile, to the one before.
    for (let at = 0, until; at < kept.length; at = until) {
      until = kept.length;
      await end.writeAll(concatBytes(kept.slice(at, until)));
    }
    if (this.#kept !== kept) throw new Error("A request became too long to be said again");
    this.#end = end;
    this.#awaken();
    if (this.#isClosed) await end.closeWrite();
  }

  /** There will be nobody else. */
  settle(): void {
    this.#isSettled = true;
    this.#kept = undefined;
    this.#awaken();
  }

  #awaken(): void {
    this.#turning?.resolve();
    this.#turning = undefined;
  }

  #keep(bytes: Uint8Array): void {
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > MOST_KEPT_BYTES) this.#kept = undefined;
    this.#kept?.push(bytes.slice());
  }
}
