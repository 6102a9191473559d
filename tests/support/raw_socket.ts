/** The app's own TCP socket as a C program has it: the calls of libc, by FFI; results are -errno. Never blocks but where said. */
import { ERRNO } from "../../src/base/errors.ts";
import { PATIENCE_MS } from "./eventually.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  send: { parameters: ["i32", "buffer", "u64", "i32"], result: "i64" },
  recv: { parameters: ["i32", "buffer", "u64", "i32"], result: "i64" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
}).symbols;

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_NONBLOCK = 1 | 0o4000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const MSG_NOSIGNAL = 0x4000;
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;

/** An IPv6 socket may be connected to IPv4 by a mapped address ("mapped"). */
export type Kind = 4 | 6 | "mapped";

export class RawSocket implements Disposable {
  readonly #fd: number;
  readonly #kind: Kind;
  #isClosed = false;

  constructor(kind: Kind = 4) {
    this.#kind = kind;
    this.#fd = libc.socket(kind === 4 ? AF_INET : AF_INET6, SOCK_STREAM_NONBLOCK, 0);
    if (this.#fd < 0) throw new Error("socket(2) failed");
    const address = this.#address(0);
    if (libc.bind(this.#fd, address, address.length) !== 0) throw new Error("bind(2) failed");
  }

  /** 0 or -errno: -EINPROGRESS as a rule. */
  connect(port: number): number {
    const address = this.#address(port);
    return checked(libc.connect(this.#fd, address, address.length));
  }

  /** The local end as the shim says it in Connect. */
  get local(): { localAddress: Uint8Array; localPort: number } {
    const address = new Uint8Array(28);
    libc.getsockname(this.#fd, address, new Uint32Array([address.length]));
    const isIpv4 = this.#kind === 4;
    return {
      localAddress: isIpv4 ? address.slice(4, 8) : address.slice(8, 24),
      localPort: new DataView(address.buffer).getUint16(2),
    };
  }

  /** The events there are right now. */
  async events(): Promise<number> {
    return await this.#poll(POLLIN | POLLOUT, 0);
  }

  /** Waits for one of `events`; those that came, 0 when none did in time. */
  async wait(events: number): Promise<number> {
    return await this.#poll(events, PATIENCE_MS);
  }

  soError(): number {
    const error = new Int32Array(1);
    libc.getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, error, new Uint32Array([4]));
    return error[0]!;
  }

  send(bytes: Uint8Array<ArrayBuffer>): number {
    return checked(libc.send(this.#fd, bytes, BigInt(bytes.length), MSG_NOSIGNAL));
  }

  /** Waits for bytes, the end or an error, and reads: bytes (none: the end) or -errno. */
  async recv(most = 65536): Promise<Uint8Array | number> {
    await this.wait(POLLIN);
    const into = new Uint8Array(most);
    const count = checked(libc.recv(this.#fd, into, BigInt(most), 0));
    return count < 0 ? count : into.subarray(0, count);
  }

  /** Half-close. */
  shutdownWrite(): void {
    libc.shutdown(this.#fd, 1);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    libc.close(this.#fd);
  }

  async #poll(events: number, timeoutMs: number): Promise<number> {
    const cell = new Uint8Array(8);
    const view = new DataView(cell.buffer);
    view.setInt32(0, this.#fd, true);
    view.setInt16(4, events, true);
    await libc.poll(cell, 1n, timeoutMs);
    return view.getInt16(6, true);
  }

  /** Loopback of the socket's kind, as a sockaddr. */
  #address(port: number): Uint8Array<ArrayBuffer> {
    const address = new Uint8Array(this.#kind === 4 ? 16 : 28);
    const view = new DataView(address.buffer);
    view.setUint16(0, this.#kind === 4 ? AF_INET : AF_INET6, true);
    view.setUint16(2, port);
    if (this.#kind === 4) address.set([127, 0, 0, 1], 4);
    else if (this.#kind === 6) address[23] = 1;
    else address.set([0xff, 0xff, 127, 0, 0, 1], 18);
    return address;
  }
}

function checked(result: number | bigint): number {
  if (result >= 0) return Number(result);
  return -new Deno.UnsafePointerView(libc.__errno_location()!).getInt32();
}

export const EINPROGRESS = -115;
export const ECONNRESET = -ERRNO.ECONNRESET;
