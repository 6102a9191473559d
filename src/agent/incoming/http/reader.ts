/** Bytes of one direction of a connection, looked at before they are passed on. */
import { concatBytes } from "../../../base/bytes.ts";
import { EndOver } from "../../../base/end_over.ts";
import type { StreamEnd } from "../../../base/socket_end.ts";

const CHUNK_BYTES = 16 << 10;

export class ByteReader {
  readonly #end: Pick<StreamEnd, "read">;
  #bytes: Uint8Array;
  #filling: Promise<boolean> | undefined;
  #isEnded = false;
  #isBroken = false;

  /** `bytes` were read before. */
  constructor(end: Pick<StreamEnd, "read">, bytes: Uint8Array = new Uint8Array(0)) {
    this.#end = end;
    this.#bytes = bytes;
  }

  /** What lies here; good until the next `fill` or `take`. */
  get held(): Uint8Array {
    return this.#bytes;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Waits for more; false at the end. Calls may overlap: they wait for the same bytes. Rejects when it is broken. */
  fill(): Promise<boolean> {
    return this.#filling ??= this.#fill().finally(() => this.#filling = undefined);
  }

  /** The first `count` bytes, or fewer when fewer are held, leave. A copy is not made. */
  take(count = this.#bytes.length): Uint8Array {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(taken.length);
    return taken;
  }

  /** What was taken is here again, before the rest. */
  putBack(bytes: Uint8Array): void {
    this.#bytes = concatBytes([bytes, this.#bytes]);
  }

  async #fill(): Promise<boolean> {
    if (this.#isEnded) return false;
    const room = new Uint8Array(CHUNK_BYTES);
    const count = await this.#end.read(room).catch((error) => {
      this.#isBroken = true;
      throw error;
    });
    if (count === null) {
      this.#isEnded = true;
      return false;
    }
    if (this.#bytes.length === 0) this.#bytes = room.subarray(0, count);
    else this.#bytes = concatBytes([this.#bytes, room.subarray(0, count)]);
    return true;
  }
}

/** An end whose first bytes have been read already. */
export class ReadEnd extends EndOver {
  protected readonly end: StreamEnd;
  readonly #reader: ByteReader;

  constructor(end: StreamEnd, reader: ByteReader) {
    super();
    this.end = end;
    this.#reader = reader;
  }

  override async read(into: Uint8Array): Promise<number | null> {
    if (this.#reader.held.length === 0 && !await this.#reader.fill()) return null;
    const bytes = this.#reader.take(Math.min(into.length, this.#reader.held.length));
    into.set(bytes);
    return bytes.length;
  }
}
