/**
 * Cuts a byte stream into frames: a u32 little-endian length, then that many bytes. Knows nothing of what is in them.
 */
import { WireError } from "../base/errors.ts";

/** Reads some bytes into the front of `into`; null at the end of the stream. */
export type ReadSome = (into: Uint8Array) => Promise<number | null>;

/**
 * Yields the frames of a stream without their length words. A yielded frame is only good until the next is asked for:
 * whoever keeps bytes of it copies them.
 *
 * Throws `WireError` when a length is over `maxFrameBytes()` or the stream ends inside a frame.
 */
export async function* readFrames(
  read: ReadSome,
  maxFrameBytes: () => number,
  initialBytes = 64 << 10,
): AsyncGenerator<Uint8Array, void, void> {
  let buffer = new Uint8Array(initialBytes);
  let view = new DataView(buffer.buffer);
  let from = 0;
  let to = 0;
  while (true) {
    while (to - from >= 4) {
      const length = view.getUint32(from, true);
      if (length > maxFrameBytes()) throw new WireError(`A frame of ${length} bytes is over the limit`);
      const need = length + 4;
      if (to - from < need) {
        if (need > buffer.length - from) {
          // Either the frame starts too far back, or the buffer is too small for it: begin anew at the front.
          const grown = need > buffer.length ? new Uint8Array(need + (need >> 1)) : buffer;
          grown.set(buffer.subarray(from, to));
          buffer = grown;
          view = new DataView(buffer.buffer);
          to -= from;
          from = 0;
        }
        break;
      }
      yield buffer.subarray(from + 4, from + need);
      from += need;
    }
    if (from === to) from = to = 0;
    if (to === buffer.length) {
      buffer.copyWithin(0, from, to);
      to -= from;
      from = 0;
    }
    const count = await read(buffer.subarray(to));
    if (count === null) {
      if (from !== to) throw new WireError("The stream ended inside a frame");
      return;
    }
    to += count;
  }
}
