/** Frames of HTTP/2 (RFC 9113 4, 6): their names and numbers, where one ends, and how one is written. No state, no judgement. */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export const FRAME_HEAD_BYTES = 9;
/** The longest payload that a peer has to take, and that we take: nothing else was agreed. */
export const FRAME_BYTES = 16384;
export const DEFAULT_WINDOW = 65535;
export const MOST_WINDOW = 0x7fff_ffff;
export const PREFACE: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Do these bytes begin an HTTP/2 connection (RFC 9113 3.4)? Undefined: too early to tell. */
export function looksLikeHttp2(bytes: Uint8Array): boolean | undefined {
  const count = Math.min(bytes.length, PREFACE.length);
  for (let at = 0; at < count; at++) if (bytes[at] !== PREFACE[at]) return false;
  return count === PREFACE.length ? true : undefined;
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** Good until the next one is read. */
  readonly payload: Uint8Array;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

export function readUint24(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!;
}

/** Memory that frames are written to, one after the other. */
export class FrameBuffer {
  bytes = new Uint8Array(1 << 10);
  length = 0;

  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    this.#head(payload.length, type, flags, stream);
    this.bytes.set(payload, this.length);
    this.length += payload.length;
  }

  /** A whole header block, in as many frames as it takes. */
  headers(stream: number, block: Uint8Array, isEnd: boolean): void {
    const endStream = isEnd ? FLAG.endStream : 0;
    if (block.length <= FRAME_BYTES) return this.frame(FRAME.headers, FLAG.endHeaders | endStream, stream, block);
    this.frame(FRAME.headers, endStream, stream, block.subarray(0, FRAME_BYTES));
    for (let at = FRAME_BYTES; at < block.length; at += FRAME_BYTES) {
      const flags = at + FRAME_BYTES >= block.length ? FLAG.endHeaders : 0;
      this.frame(FRAME.continuation, flags, stream, block.subarray(at, at + FRAME_BYTES));
    }
  }

  settings(settings: readonly (readonly [number, number])[]): void {
    this.#head(settings.length * 6, FRAME.settings, 0, 0);
    for (const [name, value] of settings) {
      this.#byte(name >>> 8);
      this.#byte(name);
      this.#uint32(value);
    }
  }

  rstStream(stream: number, code: number): void {
    this.#head(4, FRAME.rstStream, 0, stream);
    this.#uint32(code);
  }

  windowUpdate(stream: number, increment: number): void {
    this.#head(4, FRAME.windowUpdate, 0, stream);
    this.#uint32(increment);
  }

  goAway(lastStream: number, code: number, text: Uint8Array): void {
    this.#head(8 + text.length, FRAME.goAway, 0, 0);
    this.#uint32(lastStream);
    this.#uint32(code);
    this.raw(text);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  #head(length: number, type: number, flags: number, stream: number): void {
    this.#reserve(FRAME_HEAD_BYTES + length);
    const { bytes } = this;
    const at = this.length;
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    this.length += 5;
    this.#uint32(stream);
  }

  #byte(value: number): void {
    this.bytes[this.length++] = value;
  }

  #uint32(value: number): void {
    const { bytes } = this;
    const at = this.length;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    this.length += 4;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
