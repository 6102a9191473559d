/**
 * Several sockets of a run may listen on one port: for IPv4 and for IPv6 (as nginx has them), for addresses one by one, or an old
 * server and the reloaded one beside it. Which of them gets a connection, and which cannot be bound beside another.
 */
import { equalBytes } from "../../base/bytes.ts";

/** Where a program has bound a socket, in its own eyes; IPv4 is 4 bytes, also where the socket is IPv6. */
export interface BoundSocket {
  readonly address: Uint8Array;
  /** An IPv6 socket that takes no IPv4. */
  readonly isV6Only: boolean;
}

/** Of those that the kernel would choose among at the target, the last: the reloaded server. Undefined without any. */
export function chosenFor<T extends BoundSocket>(own: Uint8Array, listeners: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const listener of listeners) {
    if (!best || fitness(listener, own) >= fitness(best, own)) best = listener;
  }
  return best;
}

/** Whether the kernel would give it a connection to this address. */
export function isReachedAt(listener: BoundSocket, own: Uint8Array): boolean {
  return fitness(listener, own) > 0;
}

/** The very address, a wildcard of its family, one of both families; what would not get it, rather than nobody. */
function fitness({ address, isV6Only }: BoundSocket, own: Uint8Array): number {
  if (equalBytes(address, own)) return 3;
  if (!isWildcard(address)) return 0;
  if (address.length === own.length) return 2;
  return address.length === 16 && !isV6Only ? 1 : 0;
}

/** Whether the kernel refuses one beside the other on the same port. */
export function isConflict(one: BoundSocket, other: BoundSocket): boolean {
  if (one.address.length === other.address.length) {
    return isWildcard(one.address) || isWildcard(other.address) || equalBytes(one.address, other.address);
  }
  const six = one.address.length === 16 ? one : other;
  return isWildcard(six.address) && !six.isV6Only;
}

function isWildcard(address: Uint8Array): boolean {
  return address.every((byte) => byte === 0);
}
