/** What only Node's TLS offers, in the cases where a kubeconfig asks for it: see dial.ts and transport.ts. */
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import type { Duplex } from "../base/duplex.ts";
import type { ApiServer } from "./api_server.ts";

interface NodeTlsOptions {
  readonly rejectUnauthorized?: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** How a kubeconfig's wishes are called there. */
export function nodeTlsOptions(server: ApiServer): NodeTlsOptions {
  return {
    ...(server.isInsecure ? { rejectUnauthorized: false } : server.ca ? { ca: server.ca } : {}),
    ...(server.cert && server.key ? { cert: server.cert, key: server.key } : {}),
    ...(server.serverName && !isAddressed(server) ? { servername: server.serverName } : {}),
  };
}

/** Its name is an address, which Node takes as a host's only: for a socket that is connected elsewhere already. */
export function isAddressed({ serverName }: ApiServer): boolean {
  return serverName !== undefined && isIP(serverName) !== 0;
}

/** Through the server's proxy, if it has one. */
export async function connectNodeTls(server: ApiServer, host: string, port: number): Promise<TLSSocket> {
  const name = isAddressed(server) ? server.serverName : host;
  const way = server.proxy
    ? { socket: await (await import("./tunnel.ts")).openTunnel(server.proxy, host, port), host: name }
    : isAddressed(server)
    ? { socket: connectPlain({ host, port }), host: name }
    : { host, port };
  const socket = connect({ ...way, ...nodeTlsOptions(server), ALPNProtocols: ["http/1.1"] });
  const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
  socket.once("secureConnect", resolve);
  socket.once("error", reject);
  try {
    await connected;
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.off("error", reject);
  socket.setNoDelay(true);
  return socket;
}

export async function dialNodeTls(server: ApiServer, host: string, port: number): Promise<Duplex> {
  return duplexOfSocket(await connectNodeTls(server, host, port));
}

/** Plain HTTP through a proxy. */
export async function dialTunnel(proxy: string, host: string, port: number): Promise<Duplex> {
  const { openTunnel } = await import("./tunnel.ts");
  return duplexOfSocket(await openTunnel(proxy, host, port));
}

function duplexOfSocket(socket: Socket): Duplex {
  let failure: Error | undefined;
  let hasEnded = false;
  let wake = () => {};
  let left: Uint8Array | null = null;
  socket.on("readable", () => wake());
  socket.on("error", (error) => failure ??= error);
  for (const event of ["end", "close"]) {
    socket.on(event, () => {
      hasEnded = true;
      wake();
    });
  }
  const close = () => void socket.destroy();
  return {
    async read(into) {
      while (true) {
        left ??= socket.read() as Uint8Array | null;
        if (left) break;
        if (failure) throw failure;
        if (hasEnded) return null;
        await new Promise<void>((resolve) => wake = resolve);
      }
      const count = Math.min(into.length, left.length);
      into.set(left.subarray(0, count));
      left = count === left.length ? null : left.subarray(count);
      return count;
    },
    writeAll(bytes) {
      return new Promise((resolve, reject) => {
        // The callback comes when the bytes have left the socket's buffer: so callers are slowed as the peer is.
        socket.write(bytes, (error) => error ? reject(error) : resolve());
      });
    },
    close,
    [Symbol.dispose]: close,
  };
}
