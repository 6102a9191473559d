/**
 * TCP connections from the network of the main thread, by descriptor: native/sys/dial.c for TypeScript. What fails is a negative
 * errno.
 */
import { ERRNO } from "../base/errors.ts";
import { loadSys } from "./load.ts";
import type { Endpoint } from "./redirected.ts";
import type { Sockets } from "./sockets.ts";

const sys = loadSys({
  dial_begin: { parameters: ["u32", "buffer", "u32", "u32", "buffer", "u32", "buffer"], result: "i32" },
  redirected_await: { parameters: ["i32", "i32"], result: "i32" },
  readiness_close: { parameters: ["i32", "u32"], result: "i32" },
});

export interface Dialled {
  /** The caller's; or -errno. */
  readonly fd: number;
  /** It failed because its own end was not to be had. */
  readonly isUnbound: boolean;
}

/** Where a socket is bound before; an empty address and port 0 are any. */
export type OwnEnd = Endpoint | undefined;

/** Connects, for as long as the kernel tries; given up when `signal` says so. */
export async function dial(peer: Endpoint, own: OwnEnd, sockets: Sockets, signal: AbortSignal): Promise<Dialled> {
  const family = peer.address.length === 4 ? 4 : 6;
  const ownAddress = own && own.address.length > 0 ? own.address : null;
  const unbound = new Uint8Array(1);
  const fd = sys.dial_begin(family, peer.address, peer.port, own ? 1 : 0, ownAddress, own?.port ?? 0, unbound);
  if (fd < 0) return { fd, isUnbound: unbound[0] === 1 };
  // ETIMEDOUT: it is under way.
  let error = sys.redirected_await(fd, 0);
  if (error === -ERRNO.ETIMEDOUT) {
    await sockets.connected(fd, signal);
    error = signal.aborted ? -ERRNO.ECONNABORTED : sys.redirected_await(fd, 0);
  }
  if (error === 0) return { fd, isUnbound: false };
  sys.readiness_close(fd, 0);
  return { fd: error, isUnbound: false };
}
