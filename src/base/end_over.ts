/** An end in front of another one: what it does not do in its own way, that one does. */
import type { StreamEnd } from "./socket_end.ts";

export abstract class EndOver implements StreamEnd {
  protected abstract readonly end: StreamEnd;

  abstract read(into: Uint8Array): Promise<number | null>;

  writeAll(bytes: Uint8Array, isUrgent?: boolean): Promise<void> {
    return this.end.writeAll(bytes, isUrgent);
  }

  closeWrite(): void | Promise<void> {
    return this.end.closeWrite();
  }

  reset(): void {
    this.end.reset();
  }

  close(): void {
    this.end.close();
  }
}
