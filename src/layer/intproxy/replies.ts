/** Answers to shims that are put together from bytes as they are kept, without a look at what is in them. */
import { FRAME_HEAD_BYTES } from "../../proto/codec.ts";
import { LAYER } from "../../proto/layer.ts";
import { layerCodec } from "./shim_connection.ts";

/** Part of a file as the shim gets it. */
export function chunk(id: number, errno: number, isLast: boolean, data: Uint8Array): Uint8Array {
  return layerCodec.encode({ type: "Chunk", errno, isLast, data }, id);
}

/** A record is what an OpenReply begins with. */
export function openReply(record: Uint8Array, handle: bigint, data: Uint8Array, id: number): Uint8Array {
  const restBytes = 1 + 8 + 4;
  const frame = new Uint8Array(FRAME_HEAD_BYTES + record.length + restBytes + data.length);
  const view = new DataView(frame.buffer);
  const rest = FRAME_HEAD_BYTES + record.length;
  view.setUint32(0, frame.length - 4, true);
  view.setUint8(4, LAYER.OpenReply.id);
  view.setUint32(5, id, true);
  frame.set(record, FRAME_HEAD_BYTES);
  view.setUint8(rest, 1);
  view.setBigUint64(rest + 1, handle, true);
  view.setUint32(rest + 9, data.length, true);
  frame.set(data, rest + restBytes);
  return frame;
}

/** A record is what a StatReply has behind its head. */
export function statReply(record: Uint8Array, id: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + record.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, frame.length - 4, true);
  view.setUint8(4, LAYER.StatReply.id);
  view.setUint32(5, id, true);
  frame.set(record, FRAME_HEAD_BYTES);
  return frame;
}
