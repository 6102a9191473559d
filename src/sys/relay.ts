/** Kernel side of the relays for the app's sockets (native/sys/relay*.c): black holes, and a last word on its stderr. */
import { loadSys } from "./load.ts";

const sys = loadSys({
  relay_open_hole: { parameters: ["u32", "buffer"], result: "i32" },
  relay_complete: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  relay_break: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  relay_listen: { parameters: ["u32", "buffer"], result: "i32" },
  relay_accept: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  relay_close: { parameters: ["i32"], result: "i32" },
  relay_listeners: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  relay_acceptors: { parameters: ["buffer", "buffer", "u32", "u32", "buffer"], result: "i32" },
  relay_refuse: { parameters: ["i32", "i32", "u64"], result: "i32" },
  relay_notice: { parameters: ["i32", "buffer", "u32"], result: "i32" },
});

export type Family = 4 | 6;

/** A loopback port that drops every SYN: sockets that connect to it stay in SYN_SENT. */
export interface BlackHole extends Disposable {
  readonly family: Family;
  readonly port: number;
  /** Connects the socket that waits at `host`:`port`. Returns a descriptor of the other end, which the caller owns, or -errno. */
  complete(host: Uint8Array<ArrayBuffer>, port: number): number;
  /** Makes its connect fail. Returns 0 or -errno; -ECONNREFUSED when no socket waits there. */
  breakOff(host: Uint8Array<ArrayBuffer>, port: number): number;
}

/** Returns -errno where the family is not to be had. */
export function openBlackHole(family: Family): BlackHole | number {
  const portCell = new Uint16Array(1);
  const fd = sys.relay_open_hole(family, portCell);
  if (fd < 0) return fd;
  const port = portCell[0]!;
  return {
    family,
    port,
    complete: (host, hostPort) => sys.relay_complete(family, port, host, hostPort),
    breakOff: (host, hostPort) => sys.relay_break(family, port, host, hostPort),
    [Symbol.dispose]: () => void sys.relay_close(fd),
  };
}

/** A listener on loopback; its descriptor tells (epoll) when somebody has come. */
export interface Relay extends Disposable {
  readonly fd: number;
  readonly port: number;
  /** The next one, whose descriptor is the caller's; undefined when there is none, or it cannot be had. */
  accept(): { fd: number; address: Uint8Array<ArrayBuffer>; port: number } | undefined;
}

/** Returns -errno where the family is not to be had. */
export function openRelay(family: Family): Relay | number {
  const portCell = new Uint16Array(1);
  const listener = sys.relay_listen(family, portCell);
  if (listener < 0) return listener;
  return {
    fd: listener,
    port: portCell[0]!,
    accept: () => {
      const port = new Uint16Array(1);
      const address = new Uint8Array(16);
      const fd = sys.relay_accept(listener, port, address);
      return fd < 0 ? undefined : { fd, address: address.slice(0, family === 4 ? 4 : 16), port: port[0]! };
    },
    [Symbol.dispose]: () => void sys.relay_close(listener),
  };
}

export interface Listener {
  readonly inode: number;
  /** 4 or 16 bytes; zeros where it listens on every address. */
  readonly address: Uint8Array;
}

const LISTENER_BYTES = 24;
const MOST_LISTENERS = 64;

/** The TCP listeners (or UDP sockets) of this machine's network on a port, or -errno where the kernel does not tell. */
export function listenersOn(port: number, protocol: "tcp" | "udp" = "tcp"): Listener[] | number {
  const records = new Uint8Array(MOST_LISTENERS * LISTENER_BYTES);
  const count = sys.relay_listeners(protocol === "udp" ? 1 : 0, port, records, MOST_LISTENERS);
  if (count < 0) return count;
  const view = new DataView(records.buffer);
  return Array.from({ length: count }, (_, index) => {
    const at = index * LISTENER_BYTES;
    const addressBytes = view.getUint32(at, true) === 4 ? 4 : 16;
    return { inode: view.getUint32(at + 4, true), address: records.subarray(at + 8, at + 8 + addressBytes) };
  });
}

const ADDRESS_BYTES = 16;
/** More are not asked about at once. */
const MOST_ADDRESSES = 8;
const asked = {
  families: new Uint8Array(MOST_ADDRESSES),
  hosts: new Uint8Array(MOST_ADDRESSES * ADDRESS_BYTES),
  inodes: new Uint32Array(MOST_ADDRESSES),
};
const NOBODY = new Uint32Array(0);

/**
 * The inodes of those sockets that would accept connections of this machine to a port of loopback addresses, as the kernel
 * itself looks for them: not a walk over all listeners. Or -errno where it does not tell.
 */
export function acceptorsAt(addresses: readonly Uint8Array[], port: number): Uint32Array | number {
  for (let at = 0; at < addresses.length; at++) {
    asked.families[at] = addresses[at]!.length === 4 ? 4 : 6;
    asked.hosts.set(addresses[at]!, at * ADDRESS_BYTES);
  }
  const count = sys.relay_acceptors(asked.families, asked.hosts, addresses.length, port, asked.inodes);
  return count <= 0 ? count || NOBODY : asked.inodes.slice(0, count);
}

/** Appends text to the stderr of another process, never waiting. Returns 0 or -errno. */
export function writeToStderrOf(pid: number, text: Uint8Array<ArrayBuffer>): number {
  return sys.relay_notice(pid, text, text.length);
}

/** A UDP socket of a program, connected to where nobody listens any more, learns so. Returns 0 or -errno. */
export function refuseFor({ pid, fd, inode }: { pid: number; fd: number; inode: bigint }): number {
  return sys.relay_refuse(pid, fd, inode);
}
