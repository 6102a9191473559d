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
  /** Its own end when it is connected, which within one host it is at once; else `outcomeOf` tells how it ends. */
  readonly own: Endpoint | undefined;
  /** It failed because its own end was not to be had. */
  readonly isUnbound: boolean;
}

/** As dial.c has it. */
const DIALLED_BYTES = 20;
const OWN_AT = 4;
const dialled = new Uint8Array(DIALLED_BYTES);
const dialledView = new DataView(dialled.buffer);

/** Where a socket is bound before; an empty address and port 0 are any. */
export type OwnEnd = Endpoint | undefined;

/** Begins to connect. */
export function dial(peer: Endpoint, own: OwnEnd): Dialled {
  const family = peer.address.length === 4 ? 4 : 6;
  const ownAddress = own && own.address.length > 0 ? own.address : null;
  const fd = sys.dial_begin(family, peer.address, peer.port, own ? 1 : 0, ownAddress, own?.port ?? 0, dialled);
  const ownBytes = dialled[2]!;
  const isConnected = fd >= 0 && ownBytes > 0;
  return { fd, own: isConnected ? ownEnd(ownBytes) : undefined, isUnbound: dialled[3] === 1 };
}

function ownEnd(bytes: number): Endpoint {
  return { address: dialled.slice(OWN_AT, OWN_AT + bytes), port: dialledView.getUint16(0, true) };
}

/** 0 when the connection stands, -errno; undefined while it is under way. An errno is told once. */
export function outcomeOf(fd: number): number | undefined {
  const error = sys.redirected_await(fd, 0);
  return error === -ERRNO.ETIMEDOUT ? undefined : error;
}
