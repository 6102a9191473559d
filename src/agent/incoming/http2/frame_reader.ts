/** Frames out of the bytes of one direction. Its memory holds what came at once, and grows to a few frames at most. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import { CODE, ConnectionFault } from "./faults.ts";
import { type Frame, FRAME_BYTES, FRAME_HEAD_BYTES, readUint24, readUint32 } from "./frames.ts";

const LEAST_ROOM = 4 << 10;
const MOST_ROOM = 64 << 10;
/** After so many short reads in a row the memory shrinks again. */
const MOST_SHORT = 8;

export class FrameReader {
  #bytes = new Uint8Array(LEAST_ROOM);
  #from = 0;
  #to = 0;
  #shortReads = 0;

  /** `bytes` were read before. */
  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    if (bytes.length > LEAST_ROOM) this.#bytes = new Uint8Array(Math.max(MOST_ROOM, bytes.length));
    this.#bytes.set(bytes);
    this.#to = bytes.length;
  }

  /** What lies here and was not taken yet. */
  get held(): Uint8Array {
    return this.#bytes.subarray(this.#from, this.#to);
  }

  /** Waits for more; false at the end. Frames that were read are gone then. Rejects when the end is broken. */
  async fill(end: StreamEnd): Promise<boolean> {
    const held = this.#to - this.#from;
    this.#resize(held);
    const count = await end.read(this.#bytes.subarray(held));
    this.#to += count ?? 0;
    this.#shortReads = (count ?? 0) < LEAST_ROOM / 4 ? this.#shortReads + 1 : 0;
    return count !== null;
  }

  /** What is held moves to the front, of other memory when there is too little of it, or too much. */
  #resize(held: number): void {
    const isFull = held + FRAME_HEAD_BYTES > this.#bytes.length / 2 || this.#to === this.#bytes.length;
    const isRoomy = this.#bytes.length > LEAST_ROOM && held === 0 && this.#shortReads >= MOST_SHORT;
    if (isFull && this.#bytes.length < MOST_ROOM) {
      const larger = new Uint8Array(MOST_ROOM);
      larger.set(this.held);
      this.#bytes = larger;
    } else if (isRoomy) this.#bytes = new Uint8Array(LEAST_ROOM);
    else if (this.#from > 0) this.#bytes.copyWithin(0, this.#from, this.#to);
    this.#from = 0;
    this.#to = held;
  }

  take(count: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#from, this.#from + count);
    this.#from += count;
    return taken;
  }

  /** The next one, when it is here as a whole. */
  next(): Frame | undefined {
    const held = this.#to - this.#from;
    if (held < FRAME_HEAD_BYTES) return undefined;
    const bytes = this.#bytes;
    const at = this.#from;
    const length = readUint24(bytes, at);
    // RFC 9113 4.2: an endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds SETTINGS_MAX_FRAME_SIZE.
    if (length > FRAME_BYTES) throw new ConnectionFault(CODE.frameSizeError, `A frame has ${length} bytes`);
    if (held < FRAME_HEAD_BYTES + length) return undefined;
    this.#from += FRAME_HEAD_BYTES + length;
    return {
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      stream: readUint32(bytes, at + 5) & 0x7fff_ffff,
      payload: bytes.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + length),
    };
  }
}
