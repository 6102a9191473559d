/** The HTTP/1.1 handshake that turns a connection to the API server into something else (RFC 9110, 7.8). */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { WireError } from "../base/errors.ts";

/** What an answer's head may have, and what is kept of a refusal's body. */
const MOST_BYTES = 64 << 10;

/** The server answered something else than "101 Switching Protocols". */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";
  constructor(readonly status: number, readonly body: string, readonly retryAfter: string | null = null) {
    super(`The server answered ${status} instead of switching protocols`);
  }
}

export interface Upgrade {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Resolves with the headers of the answer 101 and the bytes that came behind them. */
export async function upgradeConnection(
  duplex: Duplex,
  upgrade: Upgrade,
): Promise<{ headers: Headers; rest: Uint8Array }> {
  const fields = Object.entries(upgrade.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = `${upgrade.method} ${upgrade.path} HTTP/1.1\r\nHost: ${upgrade.host}\r\n` +
    `Connection: Upgrade\r\n${fields.join("")}\r\n`;
  await duplex.writeAll(utf8(request));
  const { status, headers, rest } = await readResponse(duplex);
  if (status !== 101) {
    throw new HandshakeError(status, await readBody(duplex, headers, rest), headers.get("retry-after"));
  }
  return { headers, rest };
}

async function readResponse(duplex: Duplex): Promise<{ status: number; headers: Headers; rest: Uint8Array }> {
  const buffer = new Uint8Array(MOST_BYTES);
  for (let filled = 0; filled < buffer.length;) {
    const count = await duplex.read(buffer.subarray(filled));
    if (count === null) throw new WireError("The server hung up during the handshake");
    filled += count;
    const text = new TextDecoder("latin1").decode(buffer.subarray(0, filled));
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) continue;
    const [statusLine = "", ...lines] = text.slice(0, end).split("\r\n");
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine);
    if (!status) throw new WireError("The server does not speak HTTP");
    const headers = new Headers();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon > 0) headers.append(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
    }
    return { status: Number(status[1]), headers, rest: buffer.slice(end + 4, filled) };
  }
  throw new WireError("The server's answer to the handshake is too long");
}

/** The body of a refusal, as far as it fits: it is for a message. */
async function readBody(duplex: Duplex, headers: Headers, rest: Uint8Array): Promise<string> {
  const length = Math.min(Number(headers.get("content-length")) || 0, MOST_BYTES);
  const body = new Uint8Array(Math.max(length, rest.length));
  body.set(rest);
  let filled = rest.length;
  while (filled < length) {
    const count = await duplex.read(body.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return fromUtf8(body.subarray(0, filled));
}
