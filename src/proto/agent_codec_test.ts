import assert from "node:assert/strict";
import { Encoder } from "cbor-x";
import { WireError } from "../base/errors.ts";
import { AGENT, type AgentFrame } from "./agent.ts";
import { DATA_HEAD_BYTES, decodeAgentFrame, encodeAgentFrame, writeDataHead } from "./agent_codec.ts";
import { NO_STAT } from "./schema.ts";

const cbor = new Encoder({ useRecords: false, tagUint8Array: false });
const roundTrip = (frame: AgentFrame) => decodeAgentFrame(encodeAgentFrame(frame).subarray(4));

Deno.test("an agent message arrives as it was sent, bytes and 64-bit numbers included", () => {
  const messages: AgentFrame[] = [
    { type: "Hello", id: 1, protocol: 1, version: "1.2.3", secret: new Uint8Array(32).fill(7) },
    {
      type: "OpenReply",
      id: 2,
      errno: 0,
      stat: { ...NO_STAT, ino: 2n ** 64n - 1n, size: 5n, mtimeSec: -1n },
      isWhole: false,
      handle: 9n,
      data: new Uint8Array([0, 255]),
    },
    { type: "Data", id: 0, stream: 4_294_967_295, data: new Uint8Array(300_000).fill(1) },
    { type: "Resolve", id: 3, name: "ünïcode_name", family: 6, flags: 2 },
  ];
  for (const message of messages) assert.deepEqual(roundTrip(message), message);
});

Deno.test("an agent frame is plain CBOR that any decoder reads", () => {
  const frame = encodeAgentFrame({ type: "Credit", id: 0, stream: 3, bytes: 70_000 });
  assert.equal(new DataView(frame.buffer, frame.byteOffset).getUint32(0, true), frame.length - 4);
  assert.deepEqual(cbor.decode(frame.subarray(4)), { type: "Credit", id: 0, stream: 3, bytes: 70_000 });
});

Deno.test("an agent message with a field missing or of the wrong kind is refused, and the field is named", () => {
  const cases: [unknown, RegExp][] = [
    [{ type: "ReadAt", id: 1, handle: 1, offset: 0 }, /"ReadAt.length" is not of kind u32/],
    [{ type: "ReadAt", id: 1, handle: -1, offset: 0, length: 1 }, /"ReadAt.handle"/],
    [{ type: "ReadAt", id: 1, handle: 1, offset: 0.5, length: 1 }, /"ReadAt.offset"/],
    [{ type: "Stat", id: 1, path: "/etc", flags: 0 }, /"Stat.path" is not of kind bytes/],
    [{ type: "Stat", id: 2 ** 33, path: new Uint8Array(), flags: 0 }, /"id" is not of kind u32/],
    [{ id: 1 }, /"type" is not of kind str/],
    [[1, 2], /not a CBOR map/],
    [7, /not a CBOR map/],
  ];
  for (const [value, pattern] of cases) {
    const error = (() => {
      try {
        return decodeAgentFrame(cbor.encode(value));
      } catch (thrown) {
        return thrown;
      }
    })();
    assert.ok(error instanceof WireError, JSON.stringify(value));
    assert.match(error.message, pattern);
  }
});

Deno.test("an agent message of a type this build does not know keeps its id, so that it can be refused", () => {
  const frame = cbor.encode({ type: "FromTheFuture", id: 12, what: true });
  assert.deepEqual(decodeAgentFrame(frame), { unknownType: "FromTheFuture", id: 12 });
});

// Row U10
Deno.test("random bytes never make the agent codec throw anything but WireError", () => {
  const bytes = new Uint8Array(48);
  for (let round = 0; round < 20_000; round++) {
    crypto.getRandomValues(bytes);
    try {
      decodeAgentFrame(bytes.subarray(0, round % 48));
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  }
});

Deno.test("a mutated agent frame never makes the codec throw anything but WireError", () => {
  const types = Object.keys(AGENT);
  const original = encodeAgentFrame({ type: "Connect", id: 5, stream: 1, address: new Uint8Array(16), port: 80 });
  for (let round = 0; round < 20_000; round++) {
    const frame = original.slice(4);
    frame[round % frame.length] = round * 31;
    try {
      const message = decodeAgentFrame(frame);
      assert.ok("unknownType" in message || types.includes(message.type));
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  }
});

Deno.test("an agent message with many bytes of data is the same message as with few", () => {
  for (const length of [0, 4095, 4096, 100_000]) {
    const data = new Uint8Array(length).fill(5);
    const message = { type: "OpenReply", id: 9, errno: 0, stat: NO_STAT, isWhole: true, handle: 1n, data } as const;
    const frame = encodeAgentFrame(message);
    assert.equal(new DataView(frame.buffer, frame.byteOffset).getUint32(0, true), frame.length - 4);
    assert.deepEqual(decodeAgentFrame(frame.subarray(4)), message);
  }
});

Deno.test("a Data frame is read the same by its first bytes as by CBOR, and a damaged one is not taken for one", () => {
  const bytes = new Uint8Array(100).map((_, at) => at);
  const frame = new Uint8Array(DATA_HEAD_BYTES + bytes.length);
  frame.set(bytes, DATA_HEAD_BYTES);
  writeDataHead(frame, 0xfedcba98);
  const expected = { type: "Data", id: 0, stream: 0xfedcba98, data: bytes };
  assert.deepEqual(decodeAgentFrame(frame.subarray(4)), expected);
  assert.deepEqual(cbor.decode(frame.subarray(4)), expected);
  assert.deepEqual(decodeAgentFrame(encodeAgentFrame({ ...expected, type: "Data" }).subarray(4)), expected);
  for (const length of [0, 1, DATA_HEAD_BYTES - 5, DATA_HEAD_BYTES - 4, frame.length - 5]) {
    assert.throws(() => decodeAgentFrame(frame.subarray(4, 4 + length)), WireError, `${length}`);
  }
});
