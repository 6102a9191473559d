import assert from "node:assert/strict";
import { WireError } from "../base/errors.ts";
import { makeCodec } from "./codec.ts";
import { LAYER, type LayerMessage } from "./layer.ts";
import { type FieldKind, NO_STAT, type Schema } from "./schema.ts";

const codec = makeCodec(LAYER);

/** A value of each kind that is neither zero nor symmetric: swapped or dropped bytes show. */
const SAMPLES: Record<FieldKind, unknown> = {
  bool: true,
  u8: 0xfe,
  u16: 0xfedc,
  u32: 0xfedcba98,
  u64: 0xfedcba9876543210n,
  i32: -2,
  i64: -3n,
  str: "naïve ☕",
  bytes: new Uint8Array([0, 1, 255]),
  stat: { ...NO_STAT, ino: 0x1122334455667788n, size: -1n, mode: 0o100644, btimeNsec: 999_999_999 },
};

function sampleOf(type: keyof typeof LAYER): LayerMessage {
  const fields = Object.entries(LAYER[type].fields).map(([name, kind]) => [name, SAMPLES[kind as FieldKind]]);
  return { type, ...Object.fromEntries(fields) } as LayerMessage;
}

Deno.test("the layer codec returns every message as it was sent", () => {
  for (const type of Object.keys(LAYER) as (keyof typeof LAYER)[]) {
    const message = sampleOf(type);
    const frame = codec.encode(message, 77);
    assert.equal(new DataView(frame.buffer).getUint32(0, true), frame.length - 4, type);
    assert.deepEqual(codec.decode(frame.subarray(4)), { ...message, id: 77 });
  }
});

Deno.test("the layer codec writes little-endian fields in the order of the schema", () => {
  const frame = codec.encode({ type: "Access", path: new Uint8Array([0x61]), mode: 4, flags: 0x100 }, 0x01020304);
  assert.equal(frame.toHex(), "12000000" + "11" + "04030201" + "0100000061" + "04000000" + "00010000");
});

// Row U10
Deno.test("the layer codec refuses every truncation of every message", () => {
  for (const type of Object.keys(LAYER) as (keyof typeof LAYER)[]) {
    const frame = codec.encode(sampleOf(type), 1).subarray(4);
    for (let length = 0; length < frame.length; length++) {
      assert.throws(() => codec.decode(frame.subarray(0, length)), WireError, `${type} cut to ${length}`);
    }
  }
});

Deno.test("the layer codec refuses bytes after the last field, unknown types and text that is not UTF-8", () => {
  const frame = codec.encode({ type: "Done", errno: 0 }, 1).subarray(4);
  assert.throws(() => codec.decode(new Uint8Array([...frame, 0])), /bytes too many/);
  assert.throws(() => codec.decode(new Uint8Array([0xee, 0, 0, 0, 0])), /Unknown message type 238/);
  const note = codec.encode({ type: "Note", text: "x" }, 1);
  note[note.length - 1] = 0xff;
  assert.throws(() => codec.decode(note.subarray(4)), /not UTF-8/);
});

Deno.test("random bytes never make the layer codec throw anything but WireError", () => {
  const bytes = new Uint8Array(64);
  for (let round = 0; round < 20_000; round++) {
    crypto.getRandomValues(bytes);
    bytes[0] = round % 50; // mostly known types, so that fields are reached
    try {
      codec.decode(bytes.subarray(0, round % 64));
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  }
});

Deno.test("no message number is used twice on a wire", async () => {
  const { AGENT } = await import("./agent.ts");
  for (const schema of [LAYER, AGENT] as Schema[]) {
    const ids = Object.values(schema).map((decl) => decl.id);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.every((id) => id >= 1 && id <= 255));
  }
});
