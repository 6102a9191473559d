/**
 * The client's end of a connection that was stolen whole. As long as nothing was answered on it, what the client has said is kept:
 * should its run leave, the connection goes on without it, as if it had never been there, when that may be (may_say_again.ts).
 *
 * State      event                                       action > next
 * KEPT       the client speaks                           keep it, tell the run; too much to be kept > SETTLED
 * KEPT       the run answers                             > SETTLED
 * KEPT       the run has left, and ends or breaks it off the run's stream ends; the connection goes on elsewhere > gone
 * SETTLED    anything                                    as without us
 */
import { concatBytes } from "../../base/bytes.ts";
import type { StreamEnd } from "../../base/socket_end.ts";
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
  /** Takes over a connection whose client has said these bytes. */
  goOn(fd: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Takes a task. */
  own(task: Promise<void>): void;
}

export class StolenEnd implements StreamEnd {
  readonly #end: ReleasableEnd;
  readonly #options: StolenEndOptions;
  /** Undefined: SETTLED. */
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #isUntouched = false;
  readonly #left = Promise.withResolvers<null>();
  #hasLeft = false;

  constructor(end: ReleasableEnd, options: StolenEndOptions) {
    this.#end = end;
    this.#options = options;
  }

  get isUrgent(): boolean {
    return this.#end.isUrgent;
  }

  async readable(): Promise<void> {
    if (this.#kept) await Promise.race([this.#end.readable(), this.#left.promise]);
    else await this.#end.readable();
  }

  /** Null as well when the connection has left its run. */
  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (!this.#kept) return await this.#end.read(into);
    const reading = this.#end.read(into).then((count) => {
      this.#keep(into.subarray(0, count ?? 0));
      return count;
    });
    return await Promise.race([reading, this.#left.promise]);
  }

  async writeAll(bytes: Uint8Array<ArrayBuffer>, isUrgent?: boolean): Promise<void> {
    if (this.#hasLeft) throw new Error("The connection has left its run");
    this.#kept = undefined;
    await this.#end.writeAll(bytes, isUrgent);
  }

  leaveUntouched(): void {
    this.#isUntouched = true;
  }

  closeWrite(): void {
    if (!this.#leave()) this.#end.closeWrite();
  }

  reset(): void {
    if (!this.#leave()) this.#end.reset();
  }

  close(): void {
    if (!this.#hasLeft) this.#end.close();
  }

  #keep(bytes: Uint8Array): void {
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > MOST_KEPT_BYTES) this.#kept = undefined;
    this.#kept?.push(bytes.slice());
  }

  /** True: it has left, or has before. */
  #leave(): boolean {
    if (this.#hasLeft) return true;
    if (!this.#kept || !this.#options.hasLeft()) return false;
    if (!this.#isUntouched && !maySayAgain(concatBytes(this.#kept))) return false;
    this.#hasLeft = true;
    this.#left.resolve(null);
    this.#options.own(this.#goOn());
    return true;
  }

  async #goOn(): Promise<void> {
    // What was read just now is kept by then.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (!this.#kept) return this.#end.reset();
    this.#options.goOn(this.#end.release(), concatBytes(this.#kept));
  }
}
