/**
 * TCP connections from the network of the main thread, by descriptor: native/sys/dial.c for TypeScript. What fails is a negative
 * errno.
 */
import { ERRNO } from "../base/errors.ts";
import { loadSys } from "./load.ts";
import type { Endpoint } from "./redirected.ts";

const sys = loadSys({
  dial_begin: { parameters: ["u32", "buffer", "u32", "u32", "buffer", "u32", "buffer"], result: "i32" },
  redirected_await: { parameters: ["i32", "i32"], result: "i32" },
});

export interface Dialled {
  /** The caller's; or -errno. */
  readonly fd: number;
  /** It failed because its own end was not to be had. */
  readonly isUnbound: boolean;
}

/** Where a socket is bound before; an empty address and port 0 are any. */
export type OwnEnd = Endpoint | undefined;

/** Begins to connect; `outcomeOf` tells how it ends, which within one host it does at once. */
export function dial(peer: Endpoint, own: OwnEnd): Dialled {
  const family = peer.address.length === 4 ? 4 : 6;
  const ownAddress = own && own.address.length > 0 ? own.address : null;
  const unbound = new Uint8Array(1);
  const fd = sys.dial_begin(family, peer.address, peer.port, own ? 1 : 0, ownAddress, own?.port ?? 0, unbound);
  return { fd, isUnbound: unbound[0] === 1 };
}

/** 0 when the connection stands, -errno; undefined while it is under way. An errno is told once. */
export function outcomeOf(fd: number): number | undefined {
  const error = sys.redirected_await(fd, 0);
  return error === -ERRNO.ETIMEDOUT ? undefined : error;
}
