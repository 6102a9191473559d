/**
 * Joins a redirected connection to where it wanted to go: bytes both ways, each direction ends alone, a reset travels as a
 * reset.
 */
import type { StreamEnd } from "../../base/socket_end.ts";

const CHUNK_BYTES = 64 << 10;

/** Who wants copies of what the peer says. */
export interface Tap {
  feed(bytes: Uint8Array): void;
  finish(): void;
}

/** Both ends are owned, and closed when it resolves; never rejects. */
export async function pass(peer: StreamEnd, target: StreamEnd, taps: readonly Tap[] = []): Promise<void> {
  const breakOff = () => {
    peer.reset();
    target.reset();
  };
  const inbound = oneWay(peer, target, taps).catch(breakOff);
  const outbound = oneWay(target, peer, []).catch(breakOff);
  await Promise.all([inbound, outbound]);
  for (const tap of taps) tap.finish();
  peer.close();
  target.close();
}

async function oneWay(from: StreamEnd, to: StreamEnd, taps: readonly Tap[]): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let count = await from.read(chunk); count !== null; count = await from.read(chunk)) {
    const bytes = chunk.subarray(0, count);
    for (const tap of taps) tap.feed(bytes);
    await to.writeAll(bytes);
  }
  for (const tap of taps) tap.finish();
  await to.closeWrite();
}
