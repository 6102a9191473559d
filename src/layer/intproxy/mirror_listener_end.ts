/** The program's end of a mirrored connection: it gets the bytes, and what it answers goes nowhere. */
import { EndOver } from "../../base/end_over.ts";
import type { StreamEnd } from "../../base/socket_end.ts";

const SCRATCH_BYTES = 16 << 10;

export class MirrorListenerEnd extends EndOver {
  protected readonly end: StreamEnd;

  constructor(end: StreamEnd) {
    super();
    this.end = end;
  }

  /** Resolves when the program has said all that it had to. */
  override async read(): Promise<null> {
    const scratch = new Uint8Array(SCRATCH_BYTES);
    while (await this.end.read(scratch) !== null);
    return null;
  }
}
