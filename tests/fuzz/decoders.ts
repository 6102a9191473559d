/**
 * The decoders of both sides against damaged bytes: what each reads, from which seeds, and the one error each may throw.
 *
 * Seeds are the lines (hex) of tests/fuzz/corpus/NAME.hex; whatever once broke a decoder is added there. The C decoder is a program of
 * its own, made from the printed header under AddressSanitizer and UndefinedBehaviorSanitizer.
 */
import { Http2Connection } from "../../src/agent/incoming/http2/connection.ts";
import { ConnectionFault } from "../../src/agent/incoming/http2/faults.ts";
import { FieldDecoder } from "../../src/agent/incoming/http2/field_decoder.ts";
import type { Duplex } from "../../src/base/duplex.ts";
import { WireError } from "../../src/base/errors.ts";
import type { StreamEnd } from "../../src/base/socket_end.ts";
import { SpdyForward } from "../../src/kube/spdy.ts";
import { WebSocketStream } from "../../src/kube/websocket.ts";
import { decodeAgentFrame } from "../../src/proto/agent_codec.ts";
import { makeCodec } from "../../src/proto/codec.ts";
import { readFrames } from "../../src/proto/frames.ts";
import { LAYER } from "../../src/proto/layer.ts";

export interface Decoder {
  readonly name: string;
  /** The seeds' file in the corpus. */
  readonly corpus: string;
  readonly read: (bytes: Uint8Array) => void | Promise<void>;
}

class ServerSaidNo extends Error {}

const layer = makeCodec(LAYER);

export const DECODERS: readonly Decoder[] = [
  { name: "the layer codec", corpus: "layer", read: (bytes) => void layer.decode(bytes) },
  { name: "the agent codec", corpus: "agent", read: (bytes) => void decodeAgentFrame(bytes) },
  {
    name: "the frame reader",
    corpus: "frames",
    async read(bytes) {
      const duplex = duplexOver(bytes);
      for await (const _ of readFrames((into) => duplex.read(into), () => 1 << 16, 64));
    },
  },
  {
    name: "the port-forward over SPDY",
    corpus: "spdy",
    async read(bytes) {
      const forward = new SpdyForward(duplexOver(bytes), new Uint8Array(), (words) => new ServerSaidNo(words));
      await drain((into) => forward.read(into));
    },
  },
  {
    name: "the WebSocket",
    corpus: "websocket",
    async read(bytes) {
      const stream = new WebSocketStream(duplexOver(bytes), new Uint8Array());
      while (await stream.nextFrame());
    },
  },
  { name: "HPACK", corpus: "hpack", read: (bytes) => void new FieldDecoder().decode(bytes) },
  {
    name: "HTTP/2 as a client says it",
    corpus: "http2_client",
    read: (bytes) => new Http2Connection(endOver(bytes), routesTo(() => endOver(ANSWERS))).serve(),
  },
  {
    name: "HTTP/2 as a program says it",
    corpus: "http2_program",
    read: (bytes) => new Http2Connection(endOver(REQUESTS, 50), routesTo(() => endOver(bytes))).serve(),
  },
];

/** May a decoder say this of bytes that are wrong? */
export function isAllowed(error: unknown): boolean {
  return error instanceof WireError || error instanceof ServerSaidNo || error instanceof ConnectionFault;
}

async function drain(read: (into: Uint8Array) => Promise<number | null>): Promise<void> {
  const into = new Uint8Array(256);
  while (await read(into) !== null);
}

const [REQUESTS, ANSWERS] = await Promise.all(
  ["http2_client", "http2_program"].map(async (name) => (await seedsOf(name))[0]!),
) as [Uint8Array, Uint8Array];

/** Gives out the bytes by pieces of 1 to 40, and takes whatever is written. */
function duplexOver(bytes: Uint8Array): Duplex {
  let at = 0;
  return {
    read(into) {
      if (at >= bytes.length) return Promise.resolve(null);
      const piece = bytes.subarray(at, at + Math.min(into.length, 1 + (at * 7) % 40));
      into.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
    writeAll: () => Promise.resolve(),
    close() {},
    [Symbol.dispose]() {},
  };
}

/** Every stream to the same program. */
function routesTo(open: () => StreamEnd) {
  return {
    hasLeft: () => false,
    isDeserted: () => false,
    judged: () => undefined,
    bodyLimits: () => undefined,
    choose: () => undefined,
    copies: () => [],
    fields: () => [],
    open: () => Promise.resolve(open()),
  };
}

/** The same as an end of a connection; it ends some turns after its bytes, so that the other side can answer. */
function endOver(bytes: Uint8Array, turns = 5): StreamEnd {
  const duplex = duplexOver(bytes);
  let isClosed = false;
  return {
    async read(into) {
      if (isClosed) return null;
      const count = await duplex.read(into);
      for (let turn = 0; count === null && turn < turns; turn++) await Promise.resolve();
      return count;
    },
    writeAll: () => isClosed ? Promise.reject(new Error("It is closed")) : Promise.resolve(),
    closeWrite() {},
    reset: () => void (isClosed = true),
    close: () => void (isClosed = true),
  };
}

export async function seedsOf(corpus: string): Promise<Uint8Array[]> {
  const text = await Deno.readTextFile(new URL(`corpus/${corpus}.hex`, import.meta.url));
  return text.split("\n").filter((line) => line !== "").map((line) => Uint8Array.fromHex(line));
}

/** A source of numbers below `limit` that is the same for the same seed. */
export function numbersFrom(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const TELLING = [0, 1, 2, 0x7f, 0x80, 0xff];

/** A seed with some of its bytes changed, taken out, doubled, or joined with another's. */
export function mutated(seeds: readonly Uint8Array[], below: (limit: number) => number): Uint8Array {
  let bytes = Array.from(seeds[below(seeds.length)]!);
  for (let change = below(4); change >= 0; change--) {
    const at = below(bytes.length + 1);
    const kind = below(6);
    if (kind === 0) bytes[at] = below(256);
    else if (kind === 1) bytes[at] = TELLING[below(TELLING.length)]!;
    else if (kind === 2) bytes.splice(at, 1 + below(8));
    else if (kind === 3) bytes.splice(at, 0, ...bytes.slice(at, at + 1 + below(16)));
    else if (kind === 4) bytes = [...bytes.slice(0, at), ...seeds[below(seeds.length)]!.slice(at)];
    else bytes.splice(at, 4, ...TELLING.slice(0, 4).map(() => TELLING[below(TELLING.length)]!));
  }
  return new Uint8Array(bytes.slice(0, 4096).map((it) => it ?? 0));
}

/** Reads `rounds` damaged inputs; throws with the input's hex when a decoder says what it may not. */
export async function fuzz(decoder: Decoder, rounds: number, seed: number): Promise<void> {
  const seeds = await seedsOf(decoder.corpus);
  const below = numbersFrom(seed);
  for (let round = 0; round < rounds; round++) {
    const bytes = round < seeds.length ? seeds[round]! : mutated(seeds, below);
    try {
      await decoder.read(bytes);
    } catch (error) {
      if (!isAllowed(error)) throw new Error(`${decoder.name} of ${bytes.toHex()}`, { cause: error });
    }
  }
}
