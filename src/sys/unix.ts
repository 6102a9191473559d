/** Unix sockets of another process's world, and sockets that keep the bounds of messages: native/sys/unix.c for TypeScript. */
import { Socket } from "node:net";
import type { PackedRights } from "./files.ts";
import { cString, loadSys } from "./load.ts";

const sys = loadSys({
  unix_socket: { parameters: ["u32"], result: "i32" },
  unix_connect: { parameters: ["i32", "i32", "buffer", "u32", "buffer"], result: "i32", nonblocking: true },
  unix_peer: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  unix_close: { parameters: ["i32"], result: "i32" },
  unix_as_stream: { parameters: ["i32", "u32"], result: "i32" },
  unix_listen_datagrams: { parameters: ["buffer", "buffer"], result: "i32" },
  unix_end_datagrams: { parameters: ["i32"], result: "i32" },
  unix_listen_packets: { parameters: ["buffer"], result: "i32" },
  unix_accept_packets: { parameters: ["i32", "i32"], result: "i32", nonblocking: true },
});

/** sun_path of unix(7). */
const NAME_BYTES = 108;

/** As native/sys/unix.c counts them. */
const KINDS = { stream: 0, packets: 1, datagrams: 2, relayedDatagrams: 3 } as const;
export type UnixKind = "stream" | "packets" | "datagrams";

export interface UnixPeer {
  /** By which it listens: a path as it was given, or NUL and an abstract name. */
  readonly name: Uint8Array;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface UnixConnection {
  /** Half-open; of a socket for messages: the stream that stands for it. */
  readonly socket: Socket;
  readonly peer: UnixPeer;
}

/**
 * Connects to what `name` (a path, or NUL and an abstract name) is for who has that root and those rights, in the network of
 * the main thread. Returns -errno otherwise; -EAGAIN: who serves there has too many waiting.
 */
export async function connectUnix(
  name: Uint8Array,
  kind: UnixKind,
  root: number,
  rights: PackedRights,
): Promise<UnixConnection | number> {
  const fd = sys.unix_socket(KINDS[kind]);
  if (fd < 0) return fd;
  const text = name[0] === 0 ? name.slice() : cString(name);
  const error = await sys.unix_connect(fd, root, text, name.length, rights);
  const words = new Int32Array(3);
  const told = new Uint8Array(NAME_BYTES);
  const nameBytes = error < 0 ? error : sys.unix_peer(fd, words, told);
  if (nameBytes < 0) {
    sys.unix_close(fd);
    return nameBytes;
  }
  const stream = kind === "stream" ? fd : sys.unix_as_stream(fd, KINDS[kind]);
  if (stream < 0) return stream;
  const [pid, uid, gid] = [words[0]!, words[1]! >>> 0, words[2]! >>> 0];
  return {
    socket: new Socket({ fd: stream, allowHalfOpen: true }),
    peer: { name: told.subarray(0, nameBytes), pid, uid, gid },
  };
}

export interface PacketListener extends Disposable {
  /** The next socket that comes, as a stream; undefined when none does in time. */
  accept(timeoutMs: number): Promise<Socket | undefined>;
}

/** Returns -errno when it cannot listen there. */
export function listenForPackets(path: string): PacketListener | number {
  const fd = sys.unix_listen_packets(cString(path));
  if (fd < 0) return fd;
  return {
    accept: async (timeoutMs) => {
      const stream = await sys.unix_accept_packets(fd, timeoutMs);
      return stream < 0 ? undefined : new Socket({ fd: stream, allowHalfOpen: true });
    },
    [Symbol.dispose]: () => void sys.unix_close(fd),
  };
}

export interface DatagramRelay {
  /** What comes there, as a stream of messages. */
  readonly socket: Socket;
  /** Nothing more is to come: the stream ends behind what has. */
  end(): void;
  /** To be called once, when the stream is over. */
  close(): void;
}

/** A place to which programs send datagrams. Returns -errno when it cannot be made. */
export function relayDatagrams(path: string): DatagramRelay | number {
  const other = new Int32Array(1);
  const fd = sys.unix_listen_datagrams(cString(path), other);
  if (fd < 0) return fd;
  const own = other[0]!;
  const stream = sys.unix_as_stream(fd, KINDS.relayedDatagrams);
  if (stream < 0) sys.unix_close(own);
  if (stream < 0) return stream;
  return {
    socket: new Socket({ fd: stream, allowHalfOpen: true }),
    end: () => void sys.unix_end_datagrams(own),
    close: () => void sys.unix_close(own),
  };
}
