/** The program's end of a mirrored connection: it gets the bytes, and what it answers goes nowhere. */
import type { StreamEnd } from "../../base/socket_end.ts";

const SCRATCH_BYTES = 16 << 10;

export class MirrorListenerEnd implements StreamEnd {
  readonly #end: StreamEnd;

  constructor(end: StreamEnd) {
    this.#end = end;
  }

  /** Resolves when the program has said all that it had to. */
  async read(): Promise<null> {
    const scratch = new Uint8Array(SCRATCH_BYTES);
    while (await this.#end.read(scratch) !== null);
    return null;
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    return this.#end.writeAll(bytes);
  }

  closeWrite(): void | Promise<void> {
    return this.#end.closeWrite();
  }

  reset(): void {
    this.#end.reset();
  }

  close(): void {
    this.#end.close();
  }
}
