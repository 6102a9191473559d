/**
 * The client's side of a WebSocket (RFC 6455) over a `Duplex`: binary frames out, frames in as a stream of bytes.
 *
 * Deno's own WebSocket takes in whatever arrives, wanted or not, and so has no bound on memory; here nothing is read
 * before somebody asks for it. No extensions, no text. Messages in several frames are understood, and pings answered.
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { WireError } from "../base/errors.ts";

/** Payload of the frames that we send, at most. 256 KiB moved more than 64 KiB (measured), and 1 MiB no more. */
const SENT_FRAME_BYTES = 256 << 10;
/** Ours, and what a server's answer to the handshake may have. */
const BUFFER_BYTES = 64 << 10;
const MAX_HEADER_BYTES = 14;
const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
/** RFC 6455 section 1.3: what the server has to hash together with our key. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The server answered something else than "101 Switching Protocols". */
export class HandshakeError extends Error {
  override readonly name = "HandshakeError";
  constructor(readonly status: number, readonly body: string) {
    super(`The server answered ${status} instead of switching protocols`);
  }
}

export interface Handshake {
  readonly path: string;
  readonly host: string;
  readonly protocol: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Speaks the handshake over a fresh connection, which the result owns from then on. */
export async function openWebSocket(duplex: Duplex, handshake: Handshake): Promise<WebSocketStream> {
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  const lines = [
    `GET ${handshake.path} HTTP/1.1`,
    `Host: ${handshake.host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Protocol: ${handshake.protocol}`,
    ...Object.entries(handshake.headers).map(([name, value]) => `${name}: ${value}`),
  ];
  await duplex.writeAll(utf8(`${lines.join("\r\n")}\r\n\r\n`));
  const { status, headers, rest } = await readResponse(duplex);
  if (status !== 101) throw new HandshakeError(status, await readBody(duplex, headers, rest));
  const digest = await crypto.subtle.digest("SHA-1", utf8(key + ACCEPT_GUID));
  if (headers.get("sec-websocket-accept") !== new Uint8Array(digest).toBase64()) {
    throw new WireError("The server's answer does not belong to our WebSocket handshake");
  }
  if (headers.get("sec-websocket-protocol") !== handshake.protocol) {
    throw new WireError(`The server does not speak ${handshake.protocol}`);
  }
  return new WebSocketStream(duplex, rest);
}

async function readResponse(duplex: Duplex): Promise<{ status: number; headers: Headers; rest: Uint8Array }> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (let filled = 0; filled < buffer.length;) {
    const count = await duplex.read(buffer.subarray(filled));
    if (count === null) throw new WireError("The server hung up during the WebSocket handshake");
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
  throw new WireError("The server's answer to the WebSocket handshake is too long");
}

/** The body of a refusal, as far as it fits: it is for a message. */
async function readBody(duplex: Duplex, headers: Headers, rest: Uint8Array): Promise<string> {
  const length = Math.min(Number(headers.get("content-length")) || 0, BUFFER_BYTES);
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

/** Frames over a connection whose handshake is done. One reader and one writer at a time. */
export class WebSocketStream implements Disposable {
  readonly #duplex: Duplex;
  readonly #incoming = new Uint8Array(BUFFER_BYTES);
  #from = 0;
  #to: number;
  /** Payload of the current frame that was not handed out yet. */
  #left = 0;
  #hasEnded = false;
  readonly #outgoing = new Uint8Array(SENT_FRAME_BYTES + MAX_HEADER_BYTES);
  #writing: Promise<void> = Promise.resolve();

  constructor(duplex: Duplex, received: Uint8Array) {
    this.#duplex = duplex;
    this.#incoming.set(received);
    this.#to = received.length;
  }

  /**
   * Goes on to the next frame of data that is not empty; what is left of the current one is skipped. Answers whether a
   * message begins with it, or null when the server has closed.
   */
  async nextFrame(): Promise<{ isFirst: boolean } | null> {
    // The server may wait for us after its last word: we must not wait for more.
    if (this.#hasEnded) return null;
    while (this.#left > 0) if (!await this.#skip()) return null;
    while (true) {
      if (!await this.#have(2)) return null;
      const [first, second] = [this.#incoming[this.#from]!, this.#incoming[this.#from + 1]!];
      // "A server MUST NOT mask any frames that it sends to the client."
      if (first & 0x70 || second & 0x80) throw new WireError("The server broke the rules of WebSocket frames");
      const size = headerBytes(second);
      if (!await this.#have(size)) return null;
      this.#left = payloadBytes(this.#incoming.subarray(this.#from, this.#from + size));
      this.#from += size;
      const opcode = first & 0x0f;
      if (opcode === OPCODE.close) {
        this.#hasEnded = true;
        return null;
      }
      if (opcode >= OPCODE.close) await this.#control(opcode);
      else if (this.#left > 0) return { isFirst: opcode !== OPCODE.continuation };
    }
  }

  /** Some bytes of the current frame; 0 when it has no more, null when the connection ended inside it. */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#left === 0) return 0;
    const buffered = this.#to - this.#from;
    const count = Math.min(this.#left, into.length);
    if (buffered === 0) {
      // A small read takes more along: likely the next frame's header. A big one is spared the copy.
      if (count >= BUFFER_BYTES / 4) {
        const direct = await this.#duplex.read(into.subarray(0, count));
        if (direct !== null) this.#left -= direct;
        return direct;
      }
      if (!await this.#have(1)) return null;
    }
    const copied = Math.min(count, this.#to - this.#from);
    into.set(this.#incoming.subarray(this.#from, this.#from + copied));
    this.#from += copied;
    this.#left -= copied;
    return copied;
  }

  /** Sends messages that each consist of `first`, one byte, and a part of `bytes`. */
  async send(first: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SENT_FRAME_BYTES - 1) {
      const part = bytes.subarray(at, at + SENT_FRAME_BYTES - 1);
      await this.#write(OPCODE.binary, [first], part);
    }
  }

  close(): void {
    this.#duplex.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Frames leave one after the other: a pong may come between those of `send`. */
  #write(opcode: number, head: readonly number[], bytes: Uint8Array): Promise<void> {
    const written = this.#writing.then(() => {
      const size = putHeader(this.#outgoing, opcode, head.length + bytes.length);
      this.#outgoing.set(head, size);
      this.#outgoing.set(bytes, size + head.length);
      return this.#duplex.writeAll(this.#outgoing.subarray(0, size + head.length + bytes.length));
    });
    this.#writing = written.catch(() => {});
    return written;
  }

  async #control(opcode: number): Promise<void> {
    // "All control frames MUST have a payload length of 125 bytes or less."
    if (this.#left > 125) throw new WireError("The server broke the rules of WebSocket frames");
    if (!await this.#have(this.#left)) return;
    const payload = this.#incoming.slice(this.#from, this.#from + this.#left);
    this.#from += this.#left;
    this.#left = 0;
    // Not awaited: a peer that reads nothing must not stop our reading. Its failure is the next writer's to see.
    if (opcode === OPCODE.ping) this.#write(OPCODE.pong, [], payload).catch(() => {});
  }

  async #skip(): Promise<boolean> {
    if (!await this.#have(1)) return false;
    const count = Math.min(this.#left, this.#to - this.#from);
    this.#from += count;
    this.#left -= count;
    return true;
  }

  /** Reads until `count` bytes are buffered; false when the connection ended before. */
  async #have(count: number): Promise<boolean> {
    while (this.#to - this.#from < count) {
      if (this.#from === this.#to) this.#from = this.#to = 0;
      else if (this.#incoming.length - this.#from < count) {
        this.#incoming.copyWithin(0, this.#from, this.#to);
        this.#to -= this.#from;
        this.#from = 0;
      }
      const got = await this.#duplex.read(this.#incoming.subarray(this.#to));
      if (got === null) return false;
      this.#to += got;
    }
    return true;
  }
}

function headerBytes(second: number): number {
  const length = second & 0x7f;
  return length === 126 ? 4 : length === 127 ? 10 : 2;
}

function payloadBytes(header: Uint8Array): number {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (header.length === 2) return header[1]! & 0x7f;
  if (header.length === 4) return view.getUint16(2);
  const length = view.getBigUint64(2);
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw new WireError(`A frame of ${length} bytes is over the limit`);
  return Number(length);
}

/**
 * A masked frame's header; answers its size. The mask is zero, which leaves the payload as it is: masks defend proxies
 * against what a web page chooses to send, and here the bytes are our own program's.
 */
function putHeader(into: Uint8Array, opcode: number, length: number): number {
  const view = new DataView(into.buffer, into.byteOffset);
  into[0] = 0x80 | opcode;
  let size = 2;
  if (length < 126) into[1] = 0x80 | length;
  else if (length < 1 << 16) {
    into[1] = 0x80 | 126;
    view.setUint16(2, length);
    size = 4;
  } else {
    into[1] = 0x80 | 127;
    view.setBigUint64(2, BigInt(length));
    size = 10;
  }
  view.setUint32(size, 0);
  return size + 4;
}
