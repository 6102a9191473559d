/** Copies of what clients say, made without TypeScript (native/sys/taps.c), for who mirrors their port. */
import type { Tap, Taps } from "../../sys/passage.ts";
import type { Arrival, Endpoint } from "../../sys/redirected.ts";
import type { IncomingClient } from "./wishes.ts";
import type { MirrorEnd } from "./mirror_end.ts";

const CHUNK_BYTES = 64 << 10;

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
  if (!client.mirror({ port, peer, own }, tap, () => client.warn(cutOff(port)))) tap.close();
}

export function missed(port: number): string {
  return `Connections to port ${port} come faster than they can be mirrored: some are not`;
}
