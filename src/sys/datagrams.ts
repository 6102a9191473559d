/** What Deno does not do with UDP sockets: native/sys/datagrams.c for TypeScript. To be called on the main thread. */
import { loadSys } from "./load.ts";

const sys = loadSys({
  datagrams_next_descriptor: { parameters: [], result: "i32" },
  datagrams_connect: { parameters: ["i32", "u32", "buffer", "u32"], result: "i32" },
  datagrams_error: { parameters: ["i32"], result: "i32" },
  datagrams_source_towards: { parameters: ["buffer", "u32", "buffer"], result: "i32" },
});

const AF_INET = 2;
const AF_INET6 = 10;

/** A UDP socket that speaks with one peer only. */
export interface ConnectedDatagram extends Disposable {
  readonly socket: Deno.DatagramConn;
  /** Whether the kernel has learnt that the peer cannot be reached (nobody listens there, no way to it). */
  isPeerGone(): boolean;
  /** Safe to call twice; a pending `receive()` rejects. */
  close(): void;
}

/**
 * Should another thread take the descriptor that was foreseen, the socket stays unconnected and never learns of its
 * peer's absence: callers check where an answer came from in any case. `address` has 4 or 16 bytes.
 */
export function openDatagramTo(address: Uint8Array, port: number): ConnectedDatagram {
  const expected = sys.datagrams_next_descriptor();
  const hostname = address.length === 4 ? "0.0.0.0" : "::";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const peer = socketAddress(address, port);
  const isConnected = sys.datagrams_connect(expected, (socket.addr as Deno.NetAddr).port, peer, peer.length) === 0;
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  return {
    socket,
    isPeerGone: () => isOpen && isConnected && sys.datagrams_error(expected) > 0,
    close,
    [Symbol.dispose]: close,
  };
}

/** The address this host would speak from to `address`, undefined when there is no way to it. Sends nothing. */
export function sourceTowards(address: Uint8Array): Uint8Array | undefined {
  const source = sourceOrErrno(address);
  return typeof source === "number" ? undefined : source;
}

/** The same, or -errno: what a UDP connect(2) to `address` ends with. */
export function sourceOrErrno(address: Uint8Array): Uint8Array<ArrayBuffer> | number {
  const own = new Uint8Array(16);
  const peer = socketAddress(address, 9);
  const length = sys.datagrams_source_towards(peer, peer.length, own);
  return length < 0 ? length : own.subarray(0, length);
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: Uint8Array, port: number): Uint8Array<ArrayBuffer> {
  const isV4 = address.length === 4;
  const bytes = new Uint8Array(isV4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(address, isV4 ? 4 : 8);
  return bytes;
}
