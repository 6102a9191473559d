/**
 * The client's side of a WebSocket (RFC 6455) over a `Duplex`: binary frames out, frames in as a stream of bytes.
 *
 * Deno's own WebSocket takes in whatever arrives, wanted or not, and so has no bound on memory; here nothing is read
 * before somebody asks for it. No extensions, no text. Messages in several frames are understood, and pings answered.
 */
import { utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { WireError } from "../base/errors.ts";
import { type Upgrade, upgradeConnection } from "./http_upgrade.ts";
import { IncomingBytes } from "./incoming_bytes.ts";

/** Payload of the frames that we send, at most. 256 KiB moved more than 64 KiB (measured), and 1 MiB no more. */
const SENT_FRAME_BYTES = 256 << 10;
const MAX_HEADER_BYTES = 14;
const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
/** RFC 6455 section 1.3: what the server has to hash together with our key. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export interface Handshake extends Omit<Upgrade, "method"> {
  readonly protocol: string;
}

/** Speaks the handshake over a fresh connection, which the result owns from then on. */
export async function openWebSocket(duplex: Duplex, handshake: Handshake): Promise<WebSocketStream> {
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  const { headers, rest } = await upgradeConnection(duplex, {
    ...handshake,
    method: "GET",
    headers: {
      ...handshake.headers,
      "Upgrade": "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Protocol": handshake.protocol,
    },
  });
  const digest = await crypto.subtle.digest("SHA-1", utf8(key + ACCEPT_GUID));
  if (headers.get("sec-websocket-accept") !== new Uint8Array(digest).toBase64()) {
    throw new WireError("The server's answer does not belong to our WebSocket handshake");
  }
  if (headers.get("sec-websocket-protocol") !== handshake.protocol) {
    throw new WireError(`The server does not speak ${handshake.protocol}`);
  }
  return new WebSocketStream(duplex, rest);
}

/** Frames over a connection whose handshake is done. One reader and one writer at a time. */
export class WebSocketStream implements Disposable {
  readonly #duplex: Duplex;
  readonly #incoming: IncomingBytes;
  /** Payload of the current frame that was not handed out yet. */
  #left = 0;
  #hasEnded = false;
  readonly #outgoing = new Uint8Array(SENT_FRAME_BYTES + MAX_HEADER_BYTES);
  #writing: Promise<void> = Promise.resolve();

  constructor(duplex: Duplex, received: Uint8Array) {
    this.#duplex = duplex;
    this.#incoming = new IncomingBytes(duplex, received);
  }

  /**
   * Goes on to the next frame of data that is not empty; what is left of the current one is skipped. Answers whether a
   * message begins with it, or null when the server has closed.
   */
  async nextFrame(): Promise<{ isFirst: boolean } | null> {
    // The server may wait for us after its last word: we must not wait for more.
    if (this.#hasEnded) return null;
    if (!await this.#incoming.skip(this.#left)) return null;
    while (true) {
      const start = await this.#incoming.look(2);
      if (!start) return null;
      const [first, second] = [start[0]!, start[1]!];
      // "A server MUST NOT mask any frames that it sends to the client."
      if (first & 0x70 || second & 0x80) throw new WireError("The server broke the rules of WebSocket frames");
      const header = await this.#incoming.take(headerBytes(second));
      if (!header) return null;
      this.#left = payloadBytes(header);
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
    const count = await this.#incoming.read(into, this.#left);
    if (count !== null) this.#left -= count;
    return count;
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
    const payload = (await this.#incoming.take(this.#left))?.slice();
    if (!payload) return;
    this.#left = 0;
    // Not awaited: a peer that reads nothing must not stop our reading. Its failure is the next writer's to see.
    if (opcode === OPCODE.ping) this.#write(OPCODE.pong, [], payload).catch(() => {});
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
