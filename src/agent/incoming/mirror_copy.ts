/** Copies of what clients say, made without TypeScript (native/sys/taps.c), as ends of streams. */
import type { StreamEnd } from "../../base/socket_end.ts";
import type { Tap, Taps } from "../../sys/passage.ts";
import type { Arrival, Endpoint } from "../../sys/redirected.ts";
import type { IncomingClient } from "./wishes.ts";
import type { MirrorEnd } from "./mirror_end.ts";

const CHUNK_BYTES = 64 << 10;

export class MirrorCopy implements StreamEnd {
  readonly #tap: Tap;
  readonly #onSlow: () => void;

  /** `onSlow` is called when the copy was cut off because nobody took it. */
  constructor(tap: Tap, onSlow: () => void) {
    this.#tap = tap;
    this.#onSlow = onSlow;
  }

  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const count = await this.#tap.read(into);
    if (count !== "cut") return count;
    this.#onSlow();
    throw new Error("The copy was cut off");
  }

  /** What the client's program answers goes nowhere. */
  writeAll(): Promise<void> {
    return Promise.resolve();
  }

  closeWrite(): void {}

  reset(): void {
    this.#tap.close();
  }

  close(): void {
    this.#tap.close();
  }
}

/** What one tap has, for several. */
export async function feedAll(tap: Tap, copies: readonly MirrorEnd[]): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let count = copies.length > 0 ? await tap.read(chunk) : null;
  for (; typeof count === "number"; count = await tap.read(chunk)) {
    for (const copy of copies) copy.feed(chunk.subarray(0, count));
  }
  for (const copy of copies) {
    if (count === "cut") copy.cutOff();
    else copy.finish();
  }
  tap.close();
}

export function cutOff(port: number): string {
  return `A mirrored connection to port ${port} was cut off: the program does not keep up with it`;
}

interface MirrorSubscription {
  readonly client: IncomingClient;
  readonly port: number;
}

/** A mirror's copy of what the peer says. */
export function copyFor(mirror: MirrorSubscription, { peer, original }: Arrival, taps: Taps): void {
  const tap = taps.add();
  if (tap) deliverCopy(mirror, peer, original, tap);
}

export function deliverCopy({ client, port }: MirrorSubscription, peer: Endpoint, own: Endpoint, tap: Tap): void {
  const copy = new MirrorCopy(tap, () => client.warn(cutOff(port)));
  if (!client.deliver({ port, isMirror: true, peer, own }, copy)) copy.close();
}

export function missed(port: number): string {
  return `Connections to port ${port} come faster than they can be mirrored: some are not`;
}
