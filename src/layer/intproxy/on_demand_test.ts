/** What a read of a big file asks the agent, ahead of whom; and what becomes of files that are not open there any more. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS, type AgentFrame, type AgentMessage } from "../../proto/agent.ts";
import { NO_STAT } from "../../proto/schema.ts";
import { Run } from "../../../tests/support/run.ts";
import type { ShimClient } from "../../../tests/support/shim_client.ts";
import { eventually } from "../../../tests/support/eventually.ts";

const SIZE = 32 << 20;
const FIRST = 1 << 20;
const PIECE = AGENT_LIMITS.chunkBytes;
const open = { type: "Open", path: utf8("/big"), flags: 0 } as const;

const BYTES = new Uint8Array(SIZE + (1 << 20));
for (let at = 0; at < BYTES.length; at++) BYTES[at] = at * 7 + (at >> 12);
const contents = (offset: number, length: number) => BYTES.subarray(offset, offset + length);

interface AgentFile {
  size: number;
  ino: bigint;
  mtimeSec?: bigint;
}

/** An agent with one file, each open of which has a number of its own. */
function agentWith(file: AgentFile): (frame: AgentFrame) => AgentMessage | undefined {
  let last = 0n;
  return (frame) => {
    const stat = {
      ...NO_STAT,
      mode: 0o100644,
      dev: 3n,
      ino: file.ino,
      size: BigInt(file.size),
      mtimeSec: file.mtimeSec ?? 0n,
    };
    switch (frame.type) {
      case "Open":
        return {
          type: "OpenReply",
          errno: 0,
          stat,
          isWhole: false,
          handle: ++last,
          data: contents(0, frame.inlineBytes ? FIRST : 0),
        };
      case "StatHandle":
      case "Stat":
        return { type: "StatReply", errno: 0, stat };
      case "ReadAt": {
        const offset = Number(frame.offset);
        const data = contents(offset, Math.max(0, Math.min(frame.length, file.size - offset)));
        return { type: "ReadReply", errno: 0, data };
      }
    }
  };
}

const read = (shim: ShimClient, handle: bigint, offset: number, length: number, most = length) =>
  shim.ask({ type: "ReadFile", handle, offset: BigInt(offset), length, most }, "Chunk");

const reads = (run: Run) => run.agent.frames.flatMap((it) => it.type === "ReadAt" ? [it] : []);

Deno.test("a read at random brings a neighbourhood, and nothing is read ahead", async () => {
  await using run = await Run.start({ answer: agentWith({ size: SIZE, ino: 5n }) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  for (const offset of [20 << 20, 10 << 20, 25 << 20, 15 << 20]) {
    const { errno, data } = await read(shim, handle, offset, 4096, 256 << 10);
    assert.equal(errno, 0);
    assert.ok(data.length >= 4096 && data.length <= 64 << 10);
    assert.equal(Buffer.compare(data, contents(offset, data.length)), 0);
  }
  assert.deepEqual(reads(run).map((it) => it.length), [1, 2, 3, 4].map(() => 64 << 10));
});

Deno.test("what was read before a change is not given to who has been told of the change", async () => {
  const file = { size: SIZE, ino: 5n, mtimeSec: 1n };
  await using run = await Run.start({ answer: agentWith(file) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  const told = () => shim.ask({ type: "Refresh", handle }, "StatReply");
  const asked: number[] = [];
  for (const mtimeSec of [1n, 1n, 2n, 2n, 3n]) {
    file.mtimeSec = mtimeSec;
    await told();
    for (const offset of [0, 0]) assert.equal((await read(shim, handle, offset, 100)).data.length, 100);
    asked.push(reads(run).filter((it) => it.offset === 0n).length);
  }
  assert.deepEqual(asked, [1, 1, 2, 2, 3]);
});

Deno.test("a read in order is read ahead of, more and more, within a bound; each byte is asked for once", async () => {
  await using run = await Run.start({ answer: agentWith({ size: SIZE, ino: 5n }) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  let offset = FIRST;
  while (offset < SIZE) {
    const { data } = await read(shim, handle, offset, 100_000, 256 << 10);
    assert.equal(Buffer.compare(data, contents(offset, data.length)), 0);
    offset += data.length;
    const asked = reads(run).reduce((end, it) => Math.max(end, Number(it.offset) + it.length), 0);
    assert.ok(asked - offset <= (8 << 20) + PIECE, `${asked - offset} bytes ahead`);
  }
  assert.equal(reads(run).reduce((sum, it) => sum + it.length, 0), SIZE - FIRST);
  assert.equal((await read(shim, handle, SIZE, 10)).data.length, 0);
});

Deno.test("readers of two places at once are both read ahead of", async () => {
  await using run = await Run.start({ answer: agentWith({ size: SIZE, ino: 5n }) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  const places = [FIRST, 16 << 20];
  for (let round = 0; round < 40; round++) {
    for (const at of [0, 1]) places[at]! += (await read(shim, handle, places[at]!, 65536, 65536)).data.length;
  }
  const asked = reads(run).reduce((sum, it) => sum + it.length, 0);
  assert.ok(asked < 2 * (40 * 65536 + (9 << 20)), `${asked} bytes`);
  assert.equal(new Set(reads(run).map((it) => it.offset)).size, reads(run).length);
});

Deno.test("a file that was closed at the agent is opened again by its path", async () => {
  const file = { size: SIZE, ino: 5n };
  await using run = await Run.start({ answer: agentWith(file) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  await shim.tell({ type: "DescriptorClosed", handle });
  assert.equal((await run.agent.expect("CloseHandle")).handle, 1n);
  const { errno, data } = await read(shim, handle, 5_000_000, 1000);
  assert.deepEqual([errno, Buffer.compare(data, contents(5_000_000, 1000))], [0, 0]);
  assert.equal(reads(run)[0]!.handle, 2n);
});

Deno.test("when another file has taken its place, it is EIO, and its stat ESTALE", async () => {
  const file = { size: SIZE, ino: 5n };
  await using run = await Run.start({ answer: agentWith(file) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  await shim.tell({ type: "DescriptorClosed", handle });
  await run.agent.expect("CloseHandle");
  file.ino = 6n;
  assert.equal((await read(shim, handle, 5_000_000, 1000)).errno, ERRNO.EIO);
  assert.equal((await run.agent.expect("CloseHandle")).handle, 2n);
  assert.equal((await shim.ask({ type: "Refresh", handle }, "StatReply")).errno, ERRNO.ESTALE);
  assert.equal((await read(shim, 99n, 0, 1000)).errno, ERRNO.EIO);
});

Deno.test("an open file is asked itself how it is by now; one that is closed at the agent by its path", async () => {
  const file = { size: SIZE, ino: 5n };
  await using run = await Run.start({ answer: agentWith(file) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  file.size += 1000;
  assert.equal((await shim.ask({ type: "Refresh", handle }, "StatReply")).stat.size, BigInt(file.size));
  assert.equal((await read(shim, handle, SIZE, 5000)).data.length, 1000);
  await shim.tell({ type: "DescriptorClosed", handle });
  await run.agent.expect("CloseHandle");
  assert.equal((await shim.ask({ type: "Refresh", handle }, "StatReply")).errno, 0);
  assert.deepEqual(run.agent.types().filter((it) => /^Stat/.test(it)), ["StatHandle", "Stat"]);
});

Deno.test("reads that wait when the agent is lost are EIO", async () => {
  const answer = agentWith({ size: SIZE, ino: 5n });
  await using run = await Run.start({ answer: (frame) => frame.type === "ReadAt" ? undefined : answer(frame) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  const waiting = [5_000_000, 9_000_000].map((offset) => read(shim, handle, offset, 1000));
  await eventually(() => reads(run).length >= 2);
  await run.agent[Symbol.asyncDispose]();
  assert.deepEqual((await Promise.all(waiting)).map(({ errno }) => errno), [ERRNO.EIO, ERRNO.EIO]);
});

Deno.test("an agent that does not know StatHandle leaves what is known as it is", async () => {
  const answer = agentWith({ size: SIZE, ino: 5n });
  await using run = await Run.start({
    answer: (frame) => frame.type === "StatHandle" ? { type: "Refused", error: "unknown" } : answer(frame),
  });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  assert.deepEqual(await shim.ask({ type: "Refresh", handle }, "StatReply").then((it) => it.errno), ERRNO.EIO);
});
