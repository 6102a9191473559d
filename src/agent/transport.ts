/**
 * How clients reach the agent: loopback of the network namespace it was started in (where port-forward arrives), or its
 * own stdin and stdout for one client that started it.
 */
import { Socket } from "node:net";
import { type Duplex, duplexOf } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import { SocketEnd } from "../base/socket_end.ts";

/** node:net copies what is written, and a pipe takes no more at once. */
const WRITE_BYTES = 64 << 10;

export type TransportChoice = { kind: "stdio" } | { kind: "listen"; port: number };

export interface Transport extends Disposable {
  /** Clients as they come; ends after the only one (stdio) or when disposed. */
  accept(): AsyncIterable<Duplex>;
  /** For the log. */
  readonly name: string;
}

/** Opens it in the network namespace of now. Throws `UserError` when the port is taken. */
export function openTransport(choice: TransportChoice): Transport {
  return choice.kind === "stdio" ? stdio() : listen(choice.port);
}

function listen(port: number): Transport {
  const listeners = [listenOn("127.0.0.1", port)];
  const actualPort = (listeners[0]!.addr as Deno.NetAddr).port;
  try {
    listeners.push(listenOn("::1", actualPort));
  } catch {
    // No IPv6 here. (A taken port on ::1 alone does not matter either: port-forward tries both.)
  }
  return {
    name: `127.0.0.1:${actualPort}`,
    accept: () => merge(listeners.map(accepted)),
    [Symbol.dispose]: () => listeners.forEach(closeQuietly),
  };
}

function listenOn(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (error) {
    throw new UserError("PORT_NOT_FREE", `Cannot listen on ${hostname}:${port}: ${(error as Error).message}`, {
      hint: "choose another port with --listen",
      cause: error,
    });
  }
}

async function* accepted(listener: Deno.TcpListener): AsyncGenerator<Duplex> {
  while (true) {
    let connection: Deno.TcpConn;
    try {
      connection = await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
      // The client was gone before we took it, or there are no descriptors just now: others may do better.
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    connection.setNoDelay(true);
    yield duplexOf(connection);
  }
}

function closeQuietly(listener: Deno.TcpListener): void {
  try {
    listener.close();
  } catch {
    // Closed already.
  }
}

/** What any of the sources yields, as it comes; ends when all have ended. */
async function* merge<T>(sources: AsyncGenerator<T>[]): AsyncGenerator<T> {
  const next = new Map(sources.map((source) => [source, tagged(source)]));
  while (next.size > 0) {
    const { source, result } = await Promise.race(next.values());
    if (result.done) next.delete(source);
    else {
      next.set(source, tagged(source));
      yield result.value;
    }
  }
}

async function tagged<T>(source: AsyncGenerator<T>): Promise<{ source: AsyncGenerator<T>; result: IteratorResult<T> }> {
  return { source, result: await source.next() };
}

function stdio(): Transport {
  const duplex = stdioPipes() ?? stdioFiles();
  return {
    name: "stdin and stdout",
    async *accept() {
      yield await Promise.resolve(duplex);
    },
    [Symbol.dispose]: () => duplex.close(),
  };
}

/**
 * Pipes and sockets, watched by the event loop: half the latency of Deno.stdin, which takes a thread's turn. Undefined
 * for terminals and files.
 */
function stdioPipes(): Duplex | undefined {
  if (![0, 1].every(isWatchable)) return undefined;
  const input = new Socket({ fd: 0, readable: true, writable: false, allowHalfOpen: true });
  const output = new Socket({ fd: 1, readable: false, writable: true, allowHalfOpen: true });
  const reading = new SocketEnd(input);
  const writing = new SocketEnd(output);
  const close = () => {
    reading.close();
    writing.close();
  };
  return {
    read: (into) => reading.read(into),
    async writeAll(bytes) {
      for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
        await writing.writeAll(bytes.subarray(at, at + WRITE_BYTES));
      }
    },
    close,
    [Symbol.dispose]: close,
  };
}

function isWatchable(fd: number): boolean {
  try {
    const { isFifo, isSocket } = Deno.statSync(`/proc/self/fd/${fd}`);
    return Boolean(isFifo || isSocket);
  } catch {
    return false;
  }
}

function stdioFiles(): Duplex {
  const closed = Promise.withResolvers<null>();
  return {
    // A read of stdin cannot be called off: its thread stays until the process ends, we do not wait for it.
    read: (into) => Promise.race([Deno.stdin.read(into), closed.promise]),
    async writeAll(bytes) {
      for (let sent = 0; sent < bytes.length;) sent += await Deno.stdout.write(bytes.subarray(sent));
    },
    close: () => closed.resolve(null),
    [Symbol.dispose]: () => closed.resolve(null),
  };
}
