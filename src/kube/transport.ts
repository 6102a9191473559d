/**
 * HTTP to one API server: `fetch` where it can do what the kubeconfig asks for, node:https where the certificate is not
 * to be verified or carries another name, or where a proxy leads there.
 */
import type { ApiServer } from "./api_server.ts";
import { withoutProxyVariables } from "./proxy.ts";

export interface Sent {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
}

export interface Transport {
  /** `path` follows the server's own path and begins with a slash. */
  fetch(path: string, sent: Sent): Promise<Response>;
  close(): void;
}

export function openTransport(server: ApiServer): Transport {
  const base = server.url.replace(/\/+$/, "");
  const { isInsecure, serverName, proxy } = server;
  if (proxy || base.startsWith("https:") && (isInsecure || serverName)) return openNodeTransport(server, base);
  const client = withoutProxyVariables(() =>
    Deno.createHttpClient({
      ...(server.ca ? { caCerts: [server.ca] } : {}),
      ...(server.cert && server.key ? { cert: server.cert, key: server.key } : {}),
    })
  );
  return {
    fetch: (path, { method, headers, body, signal }) =>
      fetch(base + path, {
        method,
        headers: { ...server.headers, ...headers },
        body,
        signal,
        client,
        redirect: "manual",
      }),
    close: () => client.close(),
  };
}

function openNodeTransport(server: ApiServer, base: string): Transport {
  const loaded = import("./node_https.ts").then((it) => it.openHttps(server));
  return {
    fetch: async (path, sent) => await (await loaded).fetch(base + path, sent),
    close: () => void loaded.then((it) => it.close()),
  };
}
