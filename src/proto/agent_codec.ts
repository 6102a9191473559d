/**
 * Agent messages as CBOR maps, checked against the schema on arrival.
 *
 * Integers of 64 bits arrive as number or bigint, whichever CBOR chose; the schema says which the program sees.
 */
import { Encoder } from "cbor-x";
import { concatBytes } from "../base/bytes.ts";
import { WireError } from "../base/errors.ts";
import { AGENT, type AgentFrame } from "./agent.ts";
import { type FieldKind, type MessageDecl, type Stat, STAT_FIELDS } from "./schema.ts";

const cbor = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true });
const BY_TYPE = new Map(
  Object.entries<MessageDecl>(AGENT).map(([type, { fields, absent }]) => [
    type,
    Object.entries(fields).map(([name, kind]) => ({ name, kind, absent: absent?.[name] })),
  ]),
);

/** Bytes from this size on are put behind the rest of their message by hand: copied once, where cbor-x copies four times. */
const APPENDED_BYTES = 4096;

/** A message with bytes, without them. */
type WithoutData<M> = M extends { data: Uint8Array } ? Omit<M, "data"> : never;
export type AgentFrameRest = WithoutData<AgentFrame>;

/** Longest that agentFrameHead() makes. */
export const MAX_HEAD_BYTES = 1024;

/** A whole frame: u32 little-endian length and the CBOR of the message. */
export function encodeAgentFrame(message: AgentFrame): Uint8Array {
  if ("data" in message && message.data.length >= APPENDED_BYTES) {
    const { data, ...rest } = message;
    return concatBytes([agentFrameHead(rest, data.length), data]);
  }
  const body = cbor.encode(message);
  const frame = new Uint8Array(4 + body.length);
  new DataView(frame.buffer).setUint32(0, body.length, true);
  frame.set(body, 4);
  return frame;
}

/** All of a frame but the message's `data`, which has to follow, so that bytes can be read into their frame. */
export function agentFrameHead(rest: AgentFrameRest, dataBytes: number): Uint8Array {
  const body = cbor.encode(rest);
  const head = new Uint8Array(4 + body.length + DATA_KEY.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, head.length - 4 + dataBytes, true);
  head.set(body, 4);
  // RFC 8949 3.1: a map of less than 24 pairs says how many in its first byte. Here is one more.
  head[4]! += 1;
  head.set(DATA_KEY, 4 + body.length);
  view.setUint32(head.length - 4, dataBytes);
  return head;
}

/** `data: <u32 length>` in CBOR. */
const DATA_KEY = Uint8Array.from([0x64, ...new TextEncoder().encode("data"), 0x5a, 0, 0, 0, 0]);

/** What stands before the bytes of a Data frame, always of this length, so that bytes can be read into their frame. */
const DATA_HEAD = dataHead();
/** Where the number of the stream stands in it. */
const DATA_STREAM_AT = 4 + 1 + 5 + 5 + 3 + 1 + 7 + 1;
export const DATA_HEAD_BYTES = DATA_HEAD.length;
/** For those who make Data frames by themselves (native/sys/outlet.c). */
export const DATA_FRAME_HEAD: { readonly bytes: Uint8Array<ArrayBuffer>; readonly streamAt: number } = {
  bytes: DATA_HEAD,
  streamAt: DATA_STREAM_AT,
};

/** Makes `frame`, whose bytes after DATA_HEAD_BYTES are the stream's, a whole Data frame. */
export function writeDataHead(frame: Uint8Array, stream: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  frame.set(DATA_HEAD);
  view.setUint32(0, frame.length - 4, true);
  view.setUint32(DATA_STREAM_AT, stream);
  view.setUint32(DATA_HEAD_BYTES - 4, frame.length - DATA_HEAD_BYTES);
}

/** `{ type: "Data", id: 0, stream: u32, data: <u32 length>` in CBOR (RFC 8949), after room for the length word. */
function dataHead(): Uint8Array<ArrayBuffer> {
  const text = (word: string) => [0x60 + word.length, ...new TextEncoder().encode(word)];
  const u32 = [0, 0, 0, 0];
  const upToStream = [...u32, 0xa4, ...text("type"), ...text("Data"), ...text("id"), 0x00, ...text("stream"), 0x1a];
  return Uint8Array.from([...upToStream, ...u32, ...text("data"), 0x5a, ...u32]);
}

/**
 * The message in a frame (length word removed). Bytes in it share the frame's memory. Throws `WireError` when it is no
 * CBOR map or a field is missing or of the wrong kind; returns `{ unknownType, id }` for a type this build does not know.
 */
export function decodeAgentFrame(frame: Uint8Array): AgentFrame | { unknownType: string; id: number } {
  const data = decodeData(frame);
  if (data) return data;
  let raw: unknown;
  try {
    raw = cbor.decode(frame);
  } catch (error) {
    throw new WireError("A frame is not CBOR", { cause: error });
  }
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) throw new WireError("A frame is not a CBOR map");
  const map = raw as Record<string, unknown>;
  const id = check(map.id, "u32", "", "id") as number;
  const type = check(map.type, "str", "", "type") as string;
  const fields = BY_TYPE.get(type);
  if (!fields) return { unknownType: type, id };
  const message: Record<string, unknown> = { type, id };
  for (const { name, kind, absent } of fields) message[name] = check(map[name] ?? absent, kind, type, name);
  return message as AgentFrame;
}

/** The commonest message, known by its first bytes as writeDataHead() makes them; undefined for all others. */
function decodeData(frame: Uint8Array): AgentFrame | undefined {
  const headBytes = DATA_HEAD_BYTES - 4; // without the length word
  if (frame.length < headBytes) return undefined;
  for (let at = 0; at < headBytes - 4; at++) {
    const isStream = at >= DATA_STREAM_AT - 4 && at < DATA_STREAM_AT;
    if (!isStream && frame[at] !== DATA_HEAD[at + 4]) return undefined;
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint32(headBytes - 4) !== frame.length - headBytes) return undefined;
  return { type: "Data", id: 0, stream: view.getUint32(DATA_STREAM_AT - 4), data: frame.subarray(headBytes) };
}

const INTEGER_RANGES = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
} as const;
const BIG_RANGES = {
  u64: [0n, 0xffff_ffff_ffff_ffffn],
  i64: [-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn],
} as const;

function check(value: unknown, kind: FieldKind, type: string, name: string): unknown {
  switch (kind) {
    case "bool":
      if (typeof value === "boolean") return value;
      break;
    case "str":
      if (typeof value === "string") return value;
      break;
    case "bytes":
      if (value instanceof Uint8Array) return value;
      break;
    case "stat":
      if (typeof value === "object" && value !== null) return checkStat(value as Record<string, unknown>, type);
      break;
    case "u64":
    case "i64":
      return checkBig(value, kind, type, name);
    default: {
      const integer = typeof value === "bigint" ? Number(value) : value;
      const [least, most] = INTEGER_RANGES[kind];
      if (Number.isInteger(integer) && integer as number >= least && integer as number <= most) return integer;
    }
  }
  throw wrongKind(kind, type, name);
}

function checkBig(value: unknown, kind: keyof typeof BIG_RANGES, type: string, name: string): bigint {
  const [least, most] = BIG_RANGES[kind];
  if (typeof value === "bigint" || Number.isSafeInteger(value)) {
    const big = BigInt(value as number | bigint);
    if (big >= least && big <= most) return big;
  }
  throw wrongKind(kind, type, name);
}

function checkStat(map: Record<string, unknown>, type: string): Stat {
  const stat: Record<string, unknown> = {};
  for (const [name, kind] of STAT_FIELDS) stat[name] = check(map[name], kind, type, name);
  return stat as unknown as Stat;
}

function wrongKind(kind: FieldKind, type: string, name: string): WireError {
  return new WireError(`"${type === "" ? name : `${type}.${name}`}" is not of kind ${kind}`);
}
