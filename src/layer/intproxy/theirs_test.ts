/** What others write into a file of the run's, with a shelf and an agent that say what the test wants. */
import assert from "node:assert/strict";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import type { Shelf } from "../../sys/shelf.ts";
import type { AgentClient } from "./agent_client.ts";
import { mergeTheirs } from "./theirs.ts";
import type { WrittenFile } from "./written_file.ts";

Deno.test("what a program appends while others' bytes are brought is sent in messages that the wire takes", async () => {
  const own = crypto.getRandomValues(new Uint8Array(60_000));
  const ours = Uint8Array.from({ length: 6_000_000 }, (_, at) => own[at % own.length]!);
  const theirs = "theirs\n";
  const sent: Uint8Array[] = [];
  let ends = 0;
  const file = {
    number: 1n,
    handle: 2n,
    error: 0,
    canMerge: true,
    hasContents: true,
    isAppending: true,
    isBehind: true,
    sentSize: 0,
    stat: { size: BigInt(theirs.length) },
    theirsEnd: (size: number) => ends = size,
  };
  const shelf = {
    look: () => ({ size: 0 }),
    append: () => ours.length,
    read: (_: bigint, from: number, into: Uint8Array) => {
      into.set(ours.subarray(from, from + into.length));
      return Promise.resolve(Math.min(into.length, ours.length - from));
    },
  };
  const agent = {
    ask: (wish: { type: string; data: Uint8Array }, finish: (answer: unknown) => unknown) => {
      if (wish.type === "Write") sent.push(wish.data);
      const data = wish.type === "ReadWriting" ? new TextEncoder().encode(theirs) : undefined;
      return Promise.resolve(finish({ errno: 0, data }));
    },
  };
  await mergeTheirs(file as unknown as WrittenFile, shelf as unknown as Shelf, agent as unknown as AgentClient);
  assert.deepEqual([file.error, file.isBehind, ends], [0, false, ours.length + theirs.length]);
  assert.deepEqual(sent.filter((it) => it.length > AGENT_LIMITS.chunkBytes), []);
  assert.ok(
    new Uint8Array(await new Blob(sent as Uint8Array<ArrayBuffer>[]).arrayBuffer()).every((it, at) => it === ours[at]),
  );
  assert.equal(sent.reduce((all, it) => all + it.length, 0), ours.length);
});
