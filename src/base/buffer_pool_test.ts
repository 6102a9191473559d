import assert from "node:assert/strict";
import { BufferPool } from "./buffer_pool.ts";

Deno.test("a pool hands out a copy, and the same memory again once it was given back", () => {
  const pool = new BufferPool(64 << 10, 2);
  const bytes = new Uint8Array(20_000).fill(3);
  const copy = pool.copyOf(bytes);
  bytes.fill(4);
  assert.deepEqual(copy, new Uint8Array(20_000).fill(3));
  pool.giveBack(copy);
  assert.equal(pool.copyOf(bytes).buffer, copy.buffer);
});

Deno.test("two copies that are out at once never share memory", () => {
  const pool = new BufferPool(64 << 10, 2);
  const [one, two] = [pool.copyOf(new Uint8Array(20_000)), pool.copyOf(new Uint8Array(20_000))];
  assert.notEqual(one.buffer, two.buffer);
});

Deno.test("a pool keeps no more than it may, and nothing that is not its own", () => {
  const pool = new BufferPool(64 << 10, 1);
  const copies = [1, 2, 3].map((value) => pool.copyOf(new Uint8Array(20_000).fill(value)));
  pool.giveBack(new Uint8Array(20_000));
  for (const copy of copies) pool.giveBack(copy);
  assert.equal(pool.copyOf(new Uint8Array(20_000)).buffer, copies[0]!.buffer);
  assert.ok(!copies.some((copy) => copy.buffer === pool.copyOf(new Uint8Array(20_000)).buffer));
});

Deno.test("small and oversized pieces are plain copies", () => {
  const pool = new BufferPool(64 << 10, 1);
  assert.equal(pool.copyOf(new Uint8Array(100)).buffer.byteLength, 100);
  assert.equal(pool.copyOf(new Uint8Array(100_000)).buffer.byteLength, 100_000);
});
