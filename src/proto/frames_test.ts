import assert from "node:assert/strict";
import { WireError } from "../base/errors.ts";
import { concatBytes } from "../base/bytes.ts";
import { readBatches, readFrames, type ReadSome } from "./frames.ts";

function framed(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(4 + body.length);
  new DataView(frame.buffer).setUint32(0, body.length, true);
  frame.set(body, 4);
  return frame;
}

/** A source that hands out at most `piece` bytes at a time. */
function inPieces(bytes: Uint8Array, piece: number): ReadSome {
  let at = 0;
  return (into) => {
    if (at === bytes.length) return Promise.resolve(null);
    const count = Math.min(piece, into.length, bytes.length - at);
    into.set(bytes.subarray(at, at + count));
    at += count;
    return Promise.resolve(count);
  };
}

async function collect(read: ReadSome, limit = 1 << 20, initialBytes = 16): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of readFrames(read, () => limit, initialBytes)) frames.push(frame.slice());
  return frames;
}

Deno.test("frames come out whole however the stream is cut", async () => {
  const bodies = [0, 1, 5, 12, 13, 300, 0, 7].map((length, at) => new Uint8Array(length).fill(at + 1));
  const stream = concatBytes(bodies.map(framed));
  for (const piece of [1, 2, 3, 7, 16, 50, 1000]) assert.deepEqual(await collect(inPieces(stream, piece)), bodies);
});

Deno.test("a frame of exactly the limit passes and one byte more is refused", async () => {
  assert.equal((await collect(inPieces(framed(new Uint8Array(100)), 9), 100)).length, 1);
  await assert.rejects(collect(inPieces(framed(new Uint8Array(101)), 9), 100), WireError);
});

Deno.test("a stream that ends inside a frame is refused", async () => {
  const stream = framed(new Uint8Array(10));
  for (const length of [1, 3, 4, 13]) {
    await assert.rejects(collect(inPieces(stream.subarray(0, length), 4)), /ended inside a frame/);
  }
  assert.deepEqual(await collect(inPieces(new Uint8Array(), 1)), []);
});

Deno.test("frames that came together are one batch, a long row is several, and what is wrong is told in its place", async () => {
  const batches: number[] = [];
  const good = concatBytes(Array.from({ length: 70 }, (_, at) => framed(Uint8Array.of(at))));
  const bad = framed(new Uint8Array(101));
  const count = async () => {
    for await (const batch of readBatches(inPieces(concatBytes([good, bad]), 1000), () => 100)) {
      batches.push(0);
      for (const _ of batch) batches[batches.length - 1]!++;
    }
  };
  await assert.rejects(count, WireError);
  assert.deepEqual(batches, [32, 32, 6]);
});
