/**
 * The program's end of a stolen connection. When it ends although the program was asked something, it may be that the program
 * itself does: that is found out before the agent is told, for then the agent has somebody else answer.
 */
import { EndOver } from "../../base/end_over.ts";
import type { FdEnd } from "../../sys/sockets.ts";

export interface ServedEndOptions {
  /** Resolves when it is known whether the program goes on. */
  settled(): Promise<void>;
  /** It has ended, and nothing was said to it here. */
  onUntouched(): void;
}

export class ServedEnd extends EndOver {
  protected readonly end: FdEnd;
  readonly #options: ServedEndOptions;
  /** The program has spoken last, so that nobody waits for it. */
  #hasAnswered = false;
  #isTouched = false;

  constructor(end: FdEnd, options: ServedEndOptions) {
    super();
    this.end = end;
    this.#options = options;
  }

  get isUrgent(): boolean {
    return this.end.isUrgent;
  }

  async readable(): Promise<void> {
    await this.end.readable();
  }

  override async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    let count: number | null;
    try {
      count = await this.end.read(into);
    } catch (error) {
      await this.#settle();
      throw error;
    }
    if (count === null) await this.#settle();
    else this.#hasAnswered = true;
    return count;
  }

  override async writeAll(bytes: Uint8Array<ArrayBuffer>, isUrgent?: boolean): Promise<void> {
    this.#hasAnswered = false;
    this.#isTouched = true;
    try {
      await this.end.writeAll(bytes, isUrgent);
    } catch (error) {
      await this.#settle();
      throw error;
    }
  }

  async #settle(): Promise<void> {
    if (this.#hasAnswered) return;
    await this.#options.settled();
    if (!this.#isTouched) this.#options.onUntouched();
  }
}
