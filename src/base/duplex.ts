/** One ordered byte stream in each direction: all that the layer needs to know of how an agent is reached. */
export interface Duplex extends Disposable {
  /** Resolves with the number of bytes put at the front of `into`, or null once the peer has ended its direction. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves once all of `bytes` has been taken; waits while the peer is slow. Calls must not overlap. */
  writeAll(bytes: Uint8Array): Promise<void>;
  /** Ends both directions at once; pending reads and writes end or reject. Safe to call twice. */
  close(): void;
}

/** A `Duplex` over what Deno calls a connection (TCP, TLS, Unix socket). */
export function duplexOf(conn: Deno.Conn): Duplex {
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    conn.close();
  };
  return {
    read: (into) => conn.read(into),
    async writeAll(bytes) {
      for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    },
    close,
    [Symbol.dispose]: close,
  };
}
