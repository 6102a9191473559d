/**
 * The client's end of a connection that was stolen whole. What the client has said since all was answered is kept: should the run
 * leave, the connection goes on without it, as if it had never been there, when that may be (may_say_again.ts).
 *
 * State      event                                       action > next
 * KEPT       the client speaks                           keep it, tell the run; too much to be kept > PASSED
 * KEPT       the run speaks                              > PASSED
 * PASSED     all requests are answered (http/talk.ts)    > KEPT
 * KEPT       the run has left, and ends or breaks it off the run's stream ends; the connection goes on elsewhere > gone
 * PASSED     the run ends or breaks it off               so does the client's > gone
 */
import { concatBytes } from "../../base/bytes.ts";
import type { StreamEnd } from "../../base/socket_end.ts";
import { Talk } from "./http/talk.ts";
import { maySayAgain } from "./may_say_again.ts";

export const MOST_KEPT_BYTES = 64 << 10;

/** An end that can go on elsewhere (FdEnd of sys/sockets.ts). */
export interface ReleasableEnd extends StreamEnd {
  readable(): Promise<void>;
  readonly isUrgent: boolean;
  closeWrite(): void;
  /** Its descriptor is the caller's; a read that waits waits for ever. */
  release(): number;
}

export interface StolenEndOptions {
  hasLeft(): boolean;
  /** Takes over a connection whose client has said these bytes; `isHttp`: that is known to be what it speaks. */
  goOn(fd: number, bytes: Uint8Array<ArrayBuffer>, isHttp: boolean): void;
  /** Takes a task. */
  own(task: Promise<void>): void;
}

/** How long after the end of its connections it may take to be known that a run has left. */
const LEAVING_MS = 256;

export class StolenEnd implements StreamEnd {
  readonly #end: ReleasableEnd;
  readonly #options: StolenEndOptions;
  /** Undefined: PASSED. */
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #isUntouched = false;
  #hasAnswered = false;
  readonly #talk = new Talk((said) => this.#onBetween(said));
  /** Ends a read, or a wait for one. */
  #endReading = () => {};
  /** What it is to hear, if it does not leave: that is not known yet. */
  #leaving: "closeWrite" | "reset" | undefined;
  #hasLeft = false;
  #isClosed = false;

  constructor(end: ReleasableEnd, options: StolenEndOptions) {
    this.#end = end;
    this.#options = options;
  }

  get isUrgent(): boolean {
    return this.#end.isUrgent;
  }

  async readable(): Promise<void> {
    if (this.#isPassed) return await this.#end.readable();
    await new Promise<void>((resolve) => {
      this.#endReading = resolve;
      this.#end.readable().then(resolve);
    });
  }

  /** Null as well when the connection has left its run. */
  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (this.#hasLeft) return null;
    if (this.#isPassed) return await this.#end.read(into);
    return await new Promise<number | null>((resolve, reject) => {
      this.#endReading = () => resolve(null);
      this.#end.read(into).then((count) => {
        this.#keep(into.subarray(0, count ?? 0));
        resolve(count);
      }, reject);
    });
  }

  async writeAll(bytes: Uint8Array<ArrayBuffer>, isUrgent?: boolean): Promise<void> {
    if (this.#hasLeft) throw new Error("The connection has left its run");
    this.#kept = undefined;
    this.#hasAnswered = true;
    await this.#end.writeAll(bytes, isUrgent);
    this.#talk.answered(bytes);
  }

  leaveUntouched(): void {
    this.#isUntouched = true;
  }

  async closeWrite(): Promise<void> {
    if (this.#isPassed) this.#end.closeWrite();
    else await this.#leave("closeWrite");
  }

  reset(): void {
    if (this.#isPassed) this.#end.reset();
    else this.#options.own(this.#leave("reset"));
  }

  close(): void {
    this.#isClosed = true;
    if (this.#hasLeft || this.#leaving) return;
    this.#talk.close();
    this.#end.close();
  }

  /** For good. */
  get #isPassed(): boolean {
    return this.#kept === undefined && this.#talk.isOver;
  }

  #keep(bytes: Uint8Array): void {
    this.#talk.said(bytes);
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > MOST_KEPT_BYTES) this.#kept = undefined;
    this.#kept?.push(bytes.slice());
  }

  #onBetween(said: Uint8Array): void {
    if (said.length > MOST_KEPT_BYTES) return;
    this.#kept = [said];
    this.#keptBytes = said.length;
  }

  /** Resolves when it has left its run, or has ended as told. */
  async #leave(how: "closeWrite" | "reset"): Promise<void> {
    if (this.#hasLeft) return;
    const isAsked = this.#leaving !== undefined;
    if (this.#leaving !== "reset") this.#leaving = how;
    if (isAsked) return;
    // What was read and written just now is known by then.
    await new Promise((resolve) => setTimeout(resolve, 0));
    // An answer may be the last thing that comes of a program that ends; where there was none the intproxy has waited.
    for (let ms = 1; this.#hasAnswered && this.#kept && !this.#options.hasLeft() && ms < LEAVING_MS; ms *= 2) {
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
    const kept = this.#kept && concatBytes(this.#kept);
    if (kept && this.#options.hasLeft() && (this.#isUntouched || maySayAgain(kept))) {
      this.#hasLeft = true;
      this.#talk.close();
      this.#endReading();
      return this.#options.goOn(this.#end.release(), kept, this.#hasAnswered);
    }
    this.#end[this.#leaving]();
    this.#leaving = undefined;
    if (this.#isClosed) this.close();
  }
}
