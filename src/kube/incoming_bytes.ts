/**
 * What arrives on a connection, for protocols of small headers and big payloads: headers are looked at in a buffer,
 * payloads go past it into the reader's memory. Nothing is read before somebody asks.
 */
import type { Duplex } from "../base/duplex.ts";

const BUFFER_BYTES = 64 << 10;

export class IncomingBytes {
  readonly #duplex: Duplex;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #from = 0;
  #to: number;

  /** `received` are bytes of the connection that somebody has read already, 64 KiB at most. */
  constructor(duplex: Duplex, received: Uint8Array) {
    this.#duplex = duplex;
    this.#buffer.set(received);
    this.#to = received.length;
  }

  /** Takes the next `count` bytes (64 KiB at most), good until the next call; null when the connection ended before. */
  async take(count: number): Promise<Uint8Array | null> {
    const bytes = await this.look(count);
    if (bytes) this.#from += count;
    return bytes;
  }

  /** The same without taking them. */
  async look(count: number): Promise<Uint8Array | null> {
    return await this.#have(count) ? this.#buffer.subarray(this.#from, this.#from + count) : null;
  }

  /** Some bytes, at most `limit`, at the front of `into`; null at the end of the connection. */
  async read(into: Uint8Array, limit: number): Promise<number | null> {
    const count = Math.min(limit, into.length);
    if (this.#to === this.#from) {
      // A small read takes more along: likely the next header. A big one is spared the copy.
      if (count >= BUFFER_BYTES / 4) return await this.#duplex.read(into.subarray(0, count));
      if (!await this.#have(1)) return null;
    }
    const copied = Math.min(count, this.#to - this.#from);
    into.set(this.#buffer.subarray(this.#from, this.#from + copied));
    this.#from += copied;
    return copied;
  }

  /** Passes over `count` bytes; false when the connection ended before. */
  async skip(count: number): Promise<boolean> {
    while (count > 0) {
      if (!await this.#have(1)) return false;
      const skipped = Math.min(count, this.#to - this.#from);
      this.#from += skipped;
      count -= skipped;
    }
    return true;
  }

  async #have(count: number): Promise<boolean> {
    while (this.#to - this.#from < count) {
      if (this.#from === this.#to) this.#from = this.#to = 0;
      else if (this.#buffer.length - this.#from < count) {
        this.#buffer.copyWithin(0, this.#from, this.#to);
        this.#to -= this.#from;
        this.#from = 0;
      }
      const got = await this.#duplex.read(this.#buffer.subarray(this.#to));
      if (got === null) return false;
      this.#to += got;
    }
    return true;
  }
}
