/**
 * The client's side of a port-forward over SPDY/3.1, as kubectl speaks it: two streams of one connection, one for the
 * data of a port and one for an error in words. Only what that takes.
 *
 * It moves twice as much towards the pod as a WebSocket does: there the server unmasks byte by byte, here bytes stay as
 * they are. SPDY's flow control is not used by the servers, nor here: one data stream, and TCP's own holds both up.
 *
 * Header blocks are to be one zlib stream (RFC 1950). Stored blocks are valid zlib, and with them nothing needs the
 * protocol's dictionary; what the server says in its header blocks is of no interest, and they are passed over.
 */
import { concatBytes, fromUtf8, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { WireError } from "../base/errors.ts";
import { type Upgrade, upgradeConnection } from "./http_upgrade.ts";
import { IncomingBytes } from "./incoming_bytes.ts";

const PROTOCOL = "SPDY/3.1";
const STREAM_PROTOCOL = "portforward.k8s.io";
const CONTROL = 0x8003;
const TYPE = { synStream: 1, rstStream: 3, ping: 6, goAway: 7 } as const;
const FLAG_FIN = 1;
/** A client's streams have odd numbers, rising. */
const STREAM = { error: 1, data: 3 } as const;
const HEAD_BYTES = 8;
/** Payload of the frames that we send, at most; room for a Data frame of the agent wire. More than 64 KiB moved a little more. */
const SENT_FRAME_BYTES = 512 << 10;
/** Control frames that are read are far smaller, and an error in words that is longer is cut. */
const MOST_CONTROL_BYTES = 16 << 10;

/** Opens the streams on a fresh connection, which the result owns from then on. Throws `HandshakeError`. */
export async function openSpdyForward(
  duplex: Duplex,
  upgrade: Omit<Upgrade, "method">,
  port: number,
  explain: Explain,
): Promise<SpdyForward> {
  const headers = { ...upgrade.headers, "Upgrade": PROTOCOL, "X-Stream-Protocol-Version": STREAM_PROTOCOL };
  const { rest } = await upgradeConnection(duplex, { ...upgrade, method: "POST", headers });
  const about = { port: String(port), requestid: "0" };
  await duplex.writeAll(concatBytes([
    synStream(STREAM.error, headerBlock({ streamtype: "error", ...about }, true)),
    head(STREAM.error, FLAG_FIN, 0), // we say nothing on it
    synStream(STREAM.data, headerBlock({ streamtype: "data", ...about }, false)),
  ]));
  return new SpdyForward(duplex, rest, explain);
}

/** Makes an error of the server's words about why a port cannot be reached. */
export type Explain = (words: string) => Error;

/** The port's bytes. Reading throws what `explain` makes of the server's words when the port cannot be reached. */
export class SpdyForward implements Duplex {
  readonly #duplex: Duplex;
  readonly #incoming: IncomingBytes;
  /** Payload of the current data frame that was not handed out yet. */
  #left = 0;
  /** Streams that the server has ended. What the error stream has to say may come after the data stream's end. */
  #isDataOver = false;
  #isErrorOver = false;
  #error = "";
  readonly #explain: Explain;
  readonly #frame = new Uint8Array(HEAD_BYTES + SENT_FRAME_BYTES);
  #writing: Promise<void> = Promise.resolve();

  constructor(duplex: Duplex, received: Uint8Array, explain: Explain) {
    this.#duplex = duplex;
    this.#explain = explain;
    this.#incoming = new IncomingBytes(duplex, received);
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#left === 0) {
      const isOver = this.#isDataOver && this.#isErrorOver;
      if (isOver || !await this.#nextFrame()) return this.#end();
    }
    const count = await this.#incoming.read(into, this.#left);
    if (count !== null) this.#left -= count;
    return count;
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SENT_FRAME_BYTES) {
      const part = bytes.subarray(at, at + SENT_FRAME_BYTES);
      await this.#send(() => {
        this.#frame.set(head(STREAM.data, 0, part.length));
        this.#frame.set(part, HEAD_BYTES);
        return this.#frame.subarray(0, HEAD_BYTES + part.length);
      });
    }
  }

  close(): void {
    this.#duplex.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Frames leave one after the other: the answer to a ping may come between those of `writeAll`. */
  #send(make: () => Uint8Array): Promise<void> {
    const sent = this.#writing.then(() => this.#duplex.writeAll(make()));
    this.#writing = sent.catch(() => {});
    return sent;
  }

  /** Reads a frame, up to the payload when it is data; false when there will be none. */
  async #nextFrame(): Promise<boolean> {
    const header = await this.#incoming.take(HEAD_BYTES);
    if (!header) return false;
    const view = new DataView(header.buffer, header.byteOffset, HEAD_BYTES);
    const [first, flagsAndLength] = [view.getUint32(0), view.getUint32(4)];
    const length = flagsAndLength & 0xffffff;
    const isFin = (flagsAndLength >>> 24 & FLAG_FIN) !== 0;
    if (first >>> 31 === 1) return await this.#control(first, length);
    if (first === STREAM.data) {
      this.#left = length;
      this.#isDataOver ||= isFin;
    } else if (first === STREAM.error) {
      await this.#hearError(length);
      this.#isErrorOver ||= isFin;
    } else throw new WireError("The server speaks of a stream that we did not open");
    return true;
  }

  /** False when it ends the connection. */
  async #control(first: number, length: number): Promise<boolean> {
    if (first >>> 16 !== CONTROL) throw new WireError("The server does not speak SPDY/3");
    const type = first & 0xffff;
    if (type !== TYPE.ping && type !== TYPE.rstStream) {
      return type !== TYPE.goAway && await this.#incoming.skip(length);
    }
    if (length > MOST_CONTROL_BYTES) throw new WireError("The server sent a SPDY frame that is too long");
    const payload = (await this.#incoming.take(length))?.slice();
    if (!payload || length < 4) return false;
    if (type === TYPE.rstStream) {
      if (new DataView(payload.buffer).getUint32(0) === STREAM.data) this.#isDataOver = true;
      else this.#isErrorOver = true;
      return true;
    }
    // Not awaited: a peer that reads nothing must not stop our reading. Its failure is the next writer's to see.
    this.#send(() => concatBytes([controlHead(TYPE.ping, 0, payload.length), payload])).catch(() => {});
    return true;
  }

  async #hearError(length: number): Promise<void> {
    const kept = Math.min(length, MOST_CONTROL_BYTES);
    const text = await this.#incoming.take(kept);
    if (text) this.#error += fromUtf8(text);
    await this.#incoming.skip(length - kept);
  }

  #end(): null {
    this.#isDataOver = this.#isErrorOver = true;
    if (this.#error !== "") throw this.#explain(this.#error);
    return null;
  }
}

function controlHead(type: number, flags: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, CONTROL);
  view.setUint16(2, type);
  view.setUint32(4, flags << 24 | length);
  return bytes;
}

/** Of a data frame. */
function head(stream: number, flags: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, stream);
  view.setUint32(4, flags << 24 | length);
  return bytes;
}

function synStream(stream: number, block: Uint8Array): Uint8Array {
  const numbers = new Uint8Array(10); // stream, associated stream (none), priority and slot (0)
  new DataView(numbers.buffer).setUint32(0, stream);
  return concatBytes([controlHead(TYPE.synStream, 0, numbers.length + block.length), numbers, block]);
}

/** Names and values as SPDY/3 has them, in a stored block of the connection's one zlib stream. Names in lower case. */
function headerBlock(fields: Readonly<Record<string, string>>, isFirst: boolean): Uint8Array {
  const entries = Object.entries(fields);
  const pairs = concatBytes([u32(entries.length), ...entries.flat().flatMap((text) => [u32(text.length), utf8(text)])]);
  // RFC 1950: deflate, window of 32 KiB, no dictionary. RFC 1951, 3.2.4: stored, not the last; length and its
  // complement.
  const zlibHead = new Uint8Array(isFirst ? [0x78, 0x01] : []);
  const blockHead = new Uint8Array(5);
  const view = new DataView(blockHead.buffer);
  view.setUint16(1, pairs.length, true);
  view.setUint16(3, ~pairs.length & 0xffff, true);
  // An empty block behind it is a flush: without it a reader waits for more before it hands out what it has.
  const flush = new Uint8Array([0, 0, 0, 0xff, 0xff]);
  return concatBytes([zlibHead, blockHead, pairs, flush]);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
