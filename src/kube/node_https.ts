/** HTTP by node:https, in the cases that need its TLS, and by node:http through a proxy: see transport.ts. */
import { Agent as HttpAgent, type IncomingMessage, request as sendPlain } from "node:http";
import { Agent as HttpsAgent, request as sendOverTls } from "node:https";
import { Readable } from "node:stream";
import type { ApiServer } from "./api_server.ts";
import { connectNodeTls, isAddressed, nodeTlsOptions } from "./node_tls.ts";
import type { Sent } from "./transport.ts";

export interface Https {
  fetch(url: string, sent: Sent): Promise<Response>;
  close(): void;
}

export function openHttps(server: ApiServer): Https {
  const isTls = server.url.startsWith("https:");
  const agent = isTls
    ? new HttpsAgent({ keepAlive: true, ...nodeTlsOptions(server) })
    : new HttpAgent({ keepAlive: true });
  if (server.proxy || (isTls && isAddressed(server))) agent.createConnection = ways(server);
  const send = isTls ? sendOverTls : sendPlain;
  return {
    async fetch(url, { method, headers, body, signal }) {
      const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const all = { ...server.headers, ...headers, ...(body === null ? {} : { "content-length": byteLength(body) }) };
      const request = send(url, { method, headers: all, agent, signal }, resolve);
      request.once("error", reject);
      request.end(body ?? undefined);
      const message = await answered;
      const stream = Readable.toWeb(message) as ReadableStream<Uint8Array<ArrayBuffer>>;
      return new Response(stream, { status: message.statusCode ?? 500 });
    },
    close: () => agent.destroy(),
  };
}

type CreateConnection = HttpAgent["createConnection"];

/** The connection comes by the callback. */
function ways(server: ApiServer): CreateConnection {
  const { hostname, port, protocol } = new URL(server.url);
  const host = hostname.replace(/^\[|\]$/g, "");
  return (_options, callback) => {
    const connecting = protocol === "https:"
      ? connectNodeTls(server, host, Number(port) || 443)
      : import("./tunnel.ts").then((it) => it.openTunnel(server.proxy!, host, Number(port) || 80));
    connecting.then((socket) => callback?.(null, socket), (error: Error) => callback?.(error, undefined as never));
    return undefined as never; // it comes later
  };
}

function byteLength(text: string): string {
  return String(new TextEncoder().encode(text).length);
}
