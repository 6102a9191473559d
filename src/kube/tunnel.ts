/**
 * A connection through a proxy: HTTP CONNECT (RFC 9110, 9.3.6), over TLS too, or SOCKS 5 (RFC 1928), names resolved by the proxy. On
 * node's sockets, since over them TLS with a client certificate can begin; loaded only where there is a proxy.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";

const MAX_HEAD_BYTES = 16 << 10;
const SOCKS_REFUSALS: Readonly<Record<number, string>> = {
  1: "it failed",
  2: "its rules forbid it",
  3: "the network cannot be reached",
  4: "the host cannot be reached",
  5: "connection refused",
  6: "it took too long",
};

const WORDS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, "connection refused"],
  [/ENOTFOUND/, "no such host"],
  [/UnknownIssuer|self.signed|unable to verify/i, "its certificate is signed by an unknown authority"],
  [/InvalidContentType|wrong version number/, "it does not speak TLS"],
];

/** Resolves with a socket that is connected to `host`. Throws `UserError` with what the proxy says. */
export async function openTunnel(proxy: string, host: string, port: number): Promise<Socket> {
  const url = URL.parse(proxy);
  if (!url) throw refused({ protocol: "", host: proxy }, "this is no address");
  const isSocks = url.protocol.startsWith("socks5");
  const isTls = url.protocol === "https:";
  if (!isSocks && !isTls && url.protocol !== "http:") {
    throw refused(url, "only http://, https:// and socks5:// can be used");
  }
  const proxyHost = url.hostname.replace(/^\[|\]$/g, "");
  const proxyPort = Number(url.port) || (isSocks ? 1080 : isTls ? 443 : 80);
  const socket: Socket = isTls
    ? connectTls({ host: proxyHost, port: proxyPort, ALPNProtocols: ["http/1.1"] })
    : connect({ host: proxyHost, port: proxyPort });
  try {
    await connected(socket, isTls ? "secureConnect" : "connect");
    socket.setNoDelay(true);
    if (isSocks) await socks(socket, url, host, port);
    else await httpConnect(socket, url, host, port);
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof UserError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw refused(url, WORDS.find(([pattern]) => pattern.test(text))?.[1] ?? text);
  }
}

function connected(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once(event, resolve);
  socket.once("error", reject);
  return promise.finally(() => socket.off("error", reject));
}

async function httpConnect(socket: Socket, url: URL, host: string, port: number): Promise<void> {
  const place = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const user = decodeURIComponent(url.username);
  const credentials = user && btoa(`${user}:${decodeURIComponent(url.password)}`);
  const authorization = credentials === "" ? "" : `Proxy-Authorization: Basic ${credentials}\r\n`;
  socket.write(utf8(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${authorization}\r\n`));
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    // Byte by byte: what follows is for whoever uses the tunnel.
    head += fromUtf8(await exactly(socket, 1));
    if (head.length > MAX_HEAD_BYTES) throw refused(url, "its answer has no end");
  }
  const [line = ""] = head.split("\r\n", 1);
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(line)?.[1];
  if (status === undefined) throw refused(url, "it does not answer in HTTP");
  if (!status.startsWith("2")) throw refused(url, `it answers "${line}"`);
}

async function socks(socket: Socket, url: URL, host: string, port: number): Promise<void> {
  const [user, password] = [url.username, url.password].map((it) => utf8(decodeURIComponent(it)));
  const isKnown = user!.length > 0;
  socket.write(Uint8Array.of(5, 1, isKnown ? 2 : 0));
  const [version, method] = await exactly(socket, 2);
  if (version !== 5) throw refused(url, "it does not answer in SOCKS 5");
  if (method !== (isKnown ? 2 : 0)) throw refused(url, "it does not accept our credentials");
  if (isKnown) {
    socket.write(Uint8Array.of(1, user!.length, ...user!, password!.length, ...password!));
    const [, status] = await exactly(socket, 2);
    if (status !== 0) throw refused(url, "it does not accept our credentials");
  }
  const name = utf8(host);
  socket.write(Uint8Array.of(5, 1, 0, 3, name.length, ...name, port >> 8, port & 0xff));
  const [, reply = 1, , kind] = await exactly(socket, 4);
  if (reply !== 0) throw refused(url, SOCKS_REFUSALS[reply] ?? `it answers ${reply}`);
  const addressBytes = kind === 1 ? 4 : kind === 4 ? 16 : (await exactly(socket, 1))[0]!;
  await exactly(socket, addressBytes + 2);
}

/** So many bytes and no more. */
async function exactly(socket: Socket, count: number): Promise<Uint8Array> {
  while (true) {
    const chunk = socket.read(count) as Uint8Array | null;
    if (chunk) return chunk;
    if (socket.readableEnded || socket.destroyed) throw new Error("it hung up");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const events = { readable: resolve, end: resolve, close: resolve, error: reject };
    for (const [event, listener] of Object.entries(events)) socket.once(event, listener);
    await promise.finally(() => {
      for (const [event, listener] of Object.entries(events)) socket.off(event, listener);
    });
  }
}

function refused({ protocol, host }: Pick<URL, "protocol" | "host">, because: string): UserError {
  const shown = protocol === "" ? `"${host}"` : `${protocol}//${host}`;
  return new UserError("KUBE_PROXY_FAILED", `Cannot reach the API server through the proxy ${shown}: ${because}`, {
    hint: "proxy-url in the kubeconfig, HTTPS_PROXY and NO_PROXY say which is used",
  });
}
