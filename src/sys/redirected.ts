/**
 * Sockets of redirected connections: native/sys/redirected.c for TypeScript. Listening and dialling happen on the main
 * thread, in its network; waiting on a thread of Deno's pool. What fails is a negative errno.
 */
import { loadSys } from "./load.ts";

const sys = loadSys({
  redirected_listen: { parameters: ["u32", "buffer"], result: "i32" },
  redirected_accept: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32", nonblocking: true },
  redirected_waker: { parameters: [], result: "i32" },
  redirected_wake: { parameters: ["i32"], result: "i32" },
  redirected_dial: { parameters: ["u32", "buffer", "u32", "u32"], result: "i32" },
  redirected_check: { parameters: ["i32", "i32"], result: "i32", name: "redirected_await" },
  redirected_await: { parameters: ["i32", "i32"], result: "i32", nonblocking: true },
  connections_break_off: { parameters: ["u32"], result: "i32" },
  redirected_close: { parameters: ["i32"], result: "i32" },
  readiness_close: { parameters: ["i32", "u32"], result: "i32" },
});

export interface Endpoint {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array<ArrayBuffer>;
  readonly port: number;
}

export interface Arrival {
  /** The caller's. */
  readonly fd: number;
  readonly peer: Endpoint;
  /** Where the peer wanted to go. */
  readonly original: Endpoint;
}

/** C's struct arrival. */
const ARRIVAL_BYTES = 48;
const MOST_AT_ONCE = 64;
const ETIMEDOUT = 110;

export class RedirectListener {
  readonly port: number;
  readonly #listener4: number;
  readonly #listener6: number;
  readonly #waker: number;

  private constructor(port: number, listener4: number, listener6: number, waker: number) {
    this.port = port;
    this.#listener4 = listener4;
    this.#listener6 = listener6;
    this.#waker = waker;
  }

  /** Opens one for both families (IPv4 alone where there is no IPv6), or -errno. */
  static open(): RedirectListener | number {
    const port = new Uint16Array(1);
    const listener4 = sys.redirected_listen(4, port);
    if (listener4 < 0) return listener4;
    const listener6 = sys.redirected_listen(6, port);
    const waker = sys.redirected_waker();
    if (waker >= 0) return new RedirectListener(port[0]!, listener4, Math.max(listener6, -1), waker);
    sys.redirected_close(listener4);
    if (listener6 >= 0) sys.redirected_close(listener6);
    return waker;
  }

  /** Connections as they come; ends after `stop()`. The last iteration closes the listeners. */
  async *arrivals(): AsyncGenerator<Arrival[] | number, void, void> {
    const records = new Uint8Array(MOST_AT_ONCE * ARRIVAL_BYTES);
    try {
      while (true) {
        const count = await sys.redirected_accept(
          this.#listener4,
          this.#listener6,
          this.#waker,
          records,
          MOST_AT_ONCE,
        );
        if (count === 0) return;
        if (count < 0) yield count;
        else yield Array.from({ length: count }, (_, index) => readArrival(records, index * ARRIVAL_BYTES));
      }
    } finally {
      this.close();
    }
  }

  /** When nobody has asked for its arrivals. */
  close(): void {
    for (const fd of [this.#listener4, this.#listener6, this.#waker]) if (fd >= 0) sys.redirected_close(fd);
  }

  stop(): void {
    sys.redirected_wake(this.#waker);
  }
}

function readArrival(records: Uint8Array, at: number): Arrival {
  const view = new DataView(records.buffer, at, ARRIVAL_BYTES);
  const length = view.getUint32(4, true) === 4 ? 4 : 16;
  return {
    fd: view.getInt32(0, true),
    peer: { port: view.getUint16(8, true), address: new Uint8Array(records.subarray(at + 16, at + 16 + length)) },
    original: { port: view.getUint16(10, true), address: new Uint8Array(records.subarray(at + 32, at + 32 + length)) },
  };
}

/** Connects past every redirect that lets `mark` pass. A connected descriptor, the caller's, or -errno. */
export async function dialMarked({ address, port }: Endpoint, mark: number, timeoutMs: number): Promise<number> {
  const fd = sys.redirected_dial(address.length === 4 ? 4 : 6, address, port, mark);
  if (fd < 0) return fd;
  // Within one host the handshake is done by now, unless the listener's queue is full.
  let error = sys.redirected_check(fd, 0);
  if (error === -ETIMEDOUT) error = await sys.redirected_await(fd, timeoutMs);
  if (error === 0) return fd;
  sys.redirected_close(fd);
  return error;
}

/** Resets the connections of a port of this network. How many, or -errno. */
export function breakOffConnections(port: number): number {
  return sys.connections_break_off(port);
}

export function closeDescriptor(fd: number): void {
  sys.redirected_close(fd);
}

/** The peer sees a RST. */
export function resetDescriptor(fd: number): void {
  sys.readiness_close(fd, 1);
}
