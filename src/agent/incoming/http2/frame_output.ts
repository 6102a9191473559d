/** Frames on their way to a peer: one write at a time, what comes meanwhile is gathered for the next. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import { FrameBuffer } from "./frames.ts";

/** Bodies wait elsewhere while so much lies here. */
const BODY_BYTES = 256 << 10;
/** Who makes us answer that much and does not read is not heard until it does. */
const MOST_BYTES = 1 << 20;
/** Memory beyond that is given back once little of it is used. */
const KEPT_BYTES = 16 << 10;

export class FrameOutput {
  /** Frames may be written here; `flush` sends them. */
  frames = new FrameBuffer();
  #spare = new FrameBuffer();
  #writingBytes = 0;
  #writing: Promise<void> | undefined;
  #isBroken = false;
  #end: StreamEnd | undefined;
  readonly #onRoom: () => void;
  #wake: (() => void)[] = [];

  /** `onRoom` is called when bodies may go on. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  get pendingBytes(): number {
    return this.frames.length + this.#writingBytes;
  }

  get bodyRoom(): number {
    return BODY_BYTES - this.pendingBytes;
  }

  get isTooFull(): boolean {
    return !this.#isBroken && this.pendingBytes > MOST_BYTES;
  }

  /** From now on frames can leave. */
  attach(end: StreamEnd): void {
    this.#end = end;
    this.flush();
  }

  flush(): void {
    if (this.frames.length > 0 && this.#end && !this.#isBroken) this.#writing ??= this.#write(this.#end);
  }

  /** Resolves when it is not too full any more, or broken. */
  async drained(): Promise<void> {
    while (this.isTooFull) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake.push(resolve);
      await promise;
    }
  }

  /** Resolves when all has left, or nothing will. */
  async finished(): Promise<void> {
    this.flush();
    await this.#writing;
  }

  /** Nothing leaves any more. */
  breakOff(): void {
    this.#isBroken = true;
    this.frames.length = 0;
    this.#awaken();
  }

  async #write(end: StreamEnd): Promise<void> {
    try {
      while (this.frames.length > 0 && !this.#isBroken) {
        const full = this.frames;
        this.frames = this.#spare;
        this.#writingBytes = full.length;
        await end.writeAll(full.bytes.subarray(0, full.length));
        const isRoomy = full.bytes.length > KEPT_BYTES && full.length < full.bytes.length / 16;
        full.length = this.#writingBytes = 0;
        this.#spare = isRoomy ? new FrameBuffer() : full;
        this.#awaken();
        this.#onRoom();
      }
    } catch {
      // Whoever reads from this peer finds that it has gone.
      this.breakOff();
    } finally {
      this.#writingBytes = 0;
      this.#writing = undefined;
    }
  }

  #awaken(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
