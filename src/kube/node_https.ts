/** HTTP by node:https, in the cases that need its TLS: see transport.ts. */
import { Agent, request as send } from "node:https";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { ApiServer } from "./api_server.ts";
import { nodeTlsOptions } from "./node_tls.ts";
import type { Sent } from "./transport.ts";

export interface Https {
  fetch(url: string, sent: Sent): Promise<Response>;
  close(): void;
}

export function openHttps(server: ApiServer): Https {
  const agent = new Agent({ keepAlive: true, ...nodeTlsOptions(server) });
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

function byteLength(text: string): string {
  return String(new TextEncoder().encode(text).length);
}
