/**
 * The end of a stream whose socket comes later: the agent has connected and the far side may speak already, the app's
 * socket is still on its way to us. What arrives meanwhile waits, bounded by the stream's window.
 */
import type { StreamEnd } from "../../base/socket_end.ts";

const DONE: Promise<void> = Promise.resolve();

export class LateEnd implements StreamEnd {
  #end: StreamEnd | undefined;
  readonly #arrival = Promise.withResolvers<StreamEnd>();
  readonly #onClosed: () => void;
  #isClosed = false;

  /** `onClosed` is called once, when the stream is over. */
  constructor(onClosed: () => void) {
    this.#onClosed = onClosed;
    // Nobody may be waiting for it.
    this.#arrival.promise.catch(() => {});
  }

  get isWaiting(): boolean {
    return !this.#end && !this.#isClosed;
  }

  /** The socket is there; it is reset when the stream is over already. */
  arrive(end: StreamEnd): void {
    if (!this.isWaiting) return end.reset();
    this.#end = end;
    this.#arrival.resolve(end);
  }

  readable(): Promise<void> {
    if (this.#end) return this.#end.readable?.() ?? DONE;
    return this.#arrival.promise.then((end) => end.readable?.());
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#end?.read(into) ?? this.#arrival.promise.then((end) => end.read(into));
  }

  get isUrgent(): boolean {
    return this.#end?.isUrgent ?? false;
  }

  async writeAll(bytes: Uint8Array, isUrgent?: boolean): Promise<void> {
    await (this.#end ?? await this.#arrival.promise).writeAll(bytes, isUrgent);
  }

  async closeWrite(): Promise<void> {
    await (this.#end ?? await this.#arrival.promise).closeWrite();
  }

  reset(): void {
    this.#end?.reset();
    this.close();
  }

  close(): void {
    this.#end?.close();
    if (this.#isClosed) return;
    this.#isClosed = true;
    // An error costs as much as a connect: only who waits is told.
    if (!this.#end) this.#arrival.reject(new Error("The stream is over"));
    this.#onClosed();
  }
}
