/**
 * One connection to the API server: TCP or TLS with our certificate, every small write leaving at once.
 *
 * Deno's own TLS where it can do what is asked: bytes go straight into the reader's buffer (60 MB of memory while 280
 * MB/s pass). An unverified certificate, one of another name, and TLS through a proxy only node:tls can do (300 MB of
 * memory at the same speed).
 */
import { type Duplex, duplexOf } from "../base/duplex.ts";
import { setNoDelay } from "../sys/tcp.ts";
import type { ApiServer } from "./api_server.ts";

export async function dialApiServer(server: ApiServer): Promise<Duplex> {
  const url = new URL(server.url);
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const isTls = url.protocol === "https:";
  const port = Number(url.port) || (isTls ? 443 : 80);
  if (!isTls && server.proxy) {
    const { dialTunnel } = await import("./node_tls.ts");
    return await dialTunnel(server.proxy, hostname, port);
  }
  if (!isTls) {
    const conn = await Deno.connect({ hostname, port });
    conn.setNoDelay(true);
    return duplexOf(conn);
  }
  if (server.isInsecure || server.serverName || server.proxy) {
    const { dialNodeTls } = await import("./node_tls.ts");
    return await dialNodeTls(server, hostname, port);
  }
  const conn = await Deno.connectTls({
    hostname,
    port,
    ...(server.ca ? { caCerts: [server.ca] } : {}),
    ...(server.cert && server.key ? { cert: server.cert, key: server.key } : {}),
    alpnProtocols: ["http/1.1"], // a WebSocket begins as HTTP/1.1
  });
  try {
    await conn.handshake();
    setNoDelay(conn); // no harm beyond delay where it fails
  } catch (error) {
    conn.close();
    throw error;
  }
  return duplexOf(conn);
}
