import assert from "node:assert/strict";
import type { Duplex } from "../base/duplex.ts";
import { AGENT_LIMITS } from "./agent.ts";
import { decodeAgentFrame } from "./agent_codec.ts";
import { AgentLink } from "./agent_link.ts";
import { duplexPair } from "../base/duplex_pair.ts";

/** A duplex whose writes are taken one at a time, when the test says so. */
class Slow implements Duplex {
  readonly writes: Uint8Array[] = [];
  isClosed = false;
  #taken = Promise.withResolvers<void>();

  read(): Promise<number | null> {
    return Promise.resolve(null);
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    this.writes.push(bytes.slice());
    await this.#taken.promise;
  }

  takeAll(): void {
    this.#taken.resolve();
  }

  breakOff(): void {
    this.#taken.reject(new Error("broken"));
  }

  close(): void {
    this.isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  types(): string[] {
    return this.writes.flatMap((bytes) => {
      const types: string[] = [];
      for (let at = 0; at < bytes.length;) {
        const length = new DataView(bytes.buffer, at).getUint32(0, true);
        const message = decodeAgentFrame(bytes.slice(at + 4, at + 4 + length));
        types.push("type" in message ? message.type : message.unknownType);
        at += 4 + length;
      }
      return types;
    });
  }
}

const bulk = (stream: number) => ({ type: "Data", id: 0, stream, data: new Uint8Array(200_000) }) as const;

Deno.test("control goes ahead of bulk that waits, and the end of a stream stays behind its bytes", async () => {
  const duplex = new Slow();
  const link = new AgentLink(duplex);
  link.send(bulk(1));
  await Promise.resolve();
  await Promise.resolve();
  link.send(bulk(2));
  link.send({ type: "End", id: 0, stream: 2 });
  link.send({ type: "Ping", id: 1 });
  duplex.takeAll();
  await link.flushed();
  assert.deepEqual(duplex.types(), ["Data", "Ping", "Data", "End"]);
});

Deno.test("small messages of one turn leave in one write", async () => {
  const duplex = new Slow();
  const link = new AgentLink(duplex);
  for (let id = 1; id <= 20; id++) link.send({ type: "Ping", id });
  duplex.takeAll();
  await link.flushed();
  assert.equal(duplex.writes.length, 1);
  assert.equal(duplex.types().length, 20);
});

Deno.test("what messages that came together lead to leaves together", async () => {
  const duplex = new Slow();
  const [near, far] = duplexPair();
  const asker = new AgentLink(near);
  for (let id = 1; id <= 20; id++) asker.send({ type: "Ping", id });
  await asker.flushed();
  asker.close();
  using answerer = new AgentLink({ ...far, writeAll: (bytes) => duplex.writeAll(bytes) });
  for await (const batch of answerer.batches(() => AGENT_LIMITS.frameBytes)) {
    for (const { id } of batch) answerer.send({ type: "Pong", id });
  }
  duplex.takeAll();
  await answerer.flushed();
  assert.equal(duplex.writes.length, 1);
  assert.equal(duplex.types().length, 20);
});

Deno.test("a write that fails closes the stream, and the reader learns of it", async () => {
  const duplex = new Slow();
  const link = new AgentLink(duplex);
  link.send({ type: "Ping", id: 1 });
  duplex.breakOff();
  await link.flushed();
  assert.ok(duplex.isClosed);
  link.send({ type: "Ping", id: 2 });
  assert.equal(duplex.writes.length, 1);
  await assert.rejects(async () => {
    for await (const _ of link.messages(() => AGENT_LIMITS.frameBytes));
  }, /broken/);
});
