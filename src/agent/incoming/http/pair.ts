/** Two ends of a stream in memory: what is written to one is read from the other, a piece at a time. */
import type { StreamEnd } from "../../../base/socket_end.ts";

/** Leads to a program that may not have seen anything of what was said to it, as the one of a run that has just ended. */
export interface ProgramEnd extends StreamEnd {
  /** It never has. */
  readonly isUntouched?: boolean;
}

/** [for a stream of a session, for us] */
export function streamPair(): [StreamEnd, ProgramEnd] {
  const there = new Direction();
  const back = new Direction();
  return [new PairEnd(there, back), new PairEnd(back, there)];
}

class Direction {
  /** Who is to write into it has never heard anything. */
  isFromUntouched = false;
  #bytes: Uint8Array | undefined;
  #isEnded = false;
  #isBroken = false;
  #wake: (() => void)[] = [];

  async read(into: Uint8Array): Promise<number | null> {
    await this.#until(() => this.#bytes !== undefined || this.#isEnded);
    if (!this.#bytes) return null;
    const count = Math.min(into.length, this.#bytes.length);
    into.set(this.#bytes.subarray(0, count));
    this.#bytes = count === this.#bytes.length ? undefined : this.#bytes.subarray(count);
    this.#awaken();
    return count;
  }

  /** Resolves when all of it was read. */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    await this.#until(() => this.#bytes === undefined);
    this.#bytes = bytes;
    this.#awaken();
    await this.#until(() => this.#bytes === undefined);
  }

  end(): void {
    this.#isEnded = true;
    this.#awaken();
  }

  breakOff(): void {
    this.#isBroken = true;
    this.#awaken();
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!this.#isBroken && !holds()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake.push(resolve);
      await promise;
    }
    if (this.#isBroken) throw new Error("The stream was broken off");
  }

  #awaken(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

class PairEnd implements ProgramEnd {
  readonly #in: Direction;
  readonly #out: Direction;

  constructor(incoming: Direction, outgoing: Direction) {
    this.#in = incoming;
    this.#out = outgoing;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#in.read(into);
  }

  get isUntouched(): boolean {
    return this.#in.isFromUntouched;
  }

  leaveUntouched(): void {
    this.#out.isFromUntouched = true;
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    return this.#out.write(bytes);
  }

  closeWrite(): void {
    this.#out.end();
  }

  reset(): void {
    this.#in.breakOff();
    this.#out.breakOff();
  }

  close(): void {
    this.#out.end();
    this.#in.breakOff();
  }
}
