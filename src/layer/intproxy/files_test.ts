import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { concatBytes, fromUtf8, utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS, type AgentFrame, type AgentMessage } from "../../proto/agent.ts";
import { NO_STAT } from "../../proto/schema.ts";
import { layerCodec } from "./shim_connection.ts";
import { Run } from "../../../tests/support/run.ts";

const BIG = crypto.getRandomValues(new Uint8Array(65536));

/** Byte `at` of a file of any size. */
function contents(offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = BIG[(offset + at * 7) % BIG.length]!;
  return bytes;
}

/** An agent that has one file of `size` bytes under every name, which stat calls `statSize`. */
function agentWith(size: number, statSize = size): (frame: AgentFrame) => AgentMessage | undefined {
  return (frame) => {
    if (frame.type === "Open") {
      const stat = { ...NO_STAT, mode: 0o100644, size: BigInt(statSize) };
      return { type: "OpenReply", errno: 0, stat, isWhole: false, handle: 7n, data: new Uint8Array(0) };
    }
    if (frame.type !== "ReadAt") return undefined;
    const offset = Number(frame.offset);
    return { type: "ReadReply", errno: 0, data: contents(offset, Math.max(0, Math.min(frame.length, size - offset))) };
  };
}

const open = { type: "Open", path: utf8("/big"), flags: 0 } as const;

Deno.test("each question about a path is one message to the agent and one answer", async () => {
  const stat = { ...NO_STAT, ino: 5n };
  await using run = await Run.start({
    answer: (frame) => {
      switch (frame.type) {
        case "Stat":
          return { type: "StatReply", errno: 0, stat };
        case "Access":
          return { type: "Done", errno: ERRNO.EACCES };
        case "ReadLink":
        case "RealPath":
          return { type: "PathReply", errno: 0, path: utf8(`/real${fromUtf8(frame.path)}`) };
      }
    },
  });
  await using shim = await run.shim();
  const path = utf8("/a");
  assert.deepEqual((await shim.ask({ type: "Stat", path, flags: 0x100 }, "StatReply")).stat, stat);
  assert.equal((await shim.ask({ type: "Access", path, mode: 4, flags: 0 }, "Done")).errno, ERRNO.EACCES);
  assert.equal(fromUtf8((await shim.ask({ type: "ReadLink", path }, "PathReply")).path), "/real/a");
  assert.equal(fromUtf8((await shim.ask({ type: "RealPath", path }, "PathReply")).path), "/real/a");
  assert.deepEqual(run.agent.types(), ["Stat", "Access", "ReadLink", "RealPath"]);
});

Deno.test("a path that cannot be is refused without asking the agent", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  const errnoOf = async (path: Uint8Array) => (await shim.ask({ type: "Stat", path, flags: 0 }, "StatReply")).errno;
  assert.equal(await errnoOf(utf8("/".repeat(4096))), ERRNO.ENAMETOOLONG);
  assert.equal(await errnoOf(utf8("relative")), ERRNO.EINVAL);
  assert.equal(await errnoOf(utf8("/nul\0")), ERRNO.EINVAL);
  assert.equal((await shim.ask({ ...open, path: utf8("") }, "OpenReply")).errno, ERRNO.EINVAL);
  assert.deepEqual(run.agent.types(), []);
});

Deno.test("a slow file does not delay another question, on the same connection or another", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  await using other = await run.shim();
  const slow = shim.ask(open, "OpenReply");
  const asked = await run.agent.expect("Open");
  for (const client of [shim, other]) {
    const answered = client.ask({ type: "Access", path: utf8("/b"), mode: 0, flags: 0 }, "Done");
    run.agent.reply(await run.agent.expect("Access"), { type: "Done", errno: 0 });
    assert.equal((await answered).errno, 0);
  }
  run.agent.reply(asked, agentWith(0)({ ...asked })!);
  assert.equal((await slow).errno, 0);
});

for (const [kind, statSize] of [["whose size is known", 20_000_001], ["that has no size", 0]] as const) {
  Deno.test(`a big file ${kind} comes whole and in order, with as many reads as it takes`, async () => {
    const size = 20_000_001;
    await using run = await Run.start({ answer: agentWith(size, statSize) });
    await using shim = await run.shim();
    const { handle } = await shim.ask(open, "OpenReply");
    const chunks = await shim.fetch(handle);
    assert.ok(chunks.every(({ errno }) => errno === 0));
    assert.equal(Buffer.compare(concatBytes(chunks.map(({ data }) => data)), contents(0, size)), 0);
    const reads = run.agent.types().filter((type) => type === "ReadAt").length;
    const needed = Math.ceil(size / AGENT_LIMITS.chunkBytes);
    assert.ok(statSize > 0 ? reads === needed : reads <= needed + 32, `${reads} reads`);
  });
}

// Row U09
Deno.test("a part of a file is fetched with the reads that cover it", async () => {
  await using run = await Run.start({ answer: agentWith(1 << 30) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  const chunks = await shim.fetch(handle, 1000n, 300_000n);
  assert.equal(Buffer.compare(concatBytes(chunks.map(({ data }) => data)), contents(1000, 300_000)), 0);
  assert.deepEqual(run.agent.types(), ["Open", "ReadAt", "ReadAt"]);
  assert.deepEqual((await shim.fetch(handle, 5n, 0n)).map(({ data, isLast }) => [data.length, isLast]), [[0, true]]);
});

Deno.test("an error in the middle of a file ends the fetch with its errno", async () => {
  await using run = await Run.start({
    answer: (frame) =>
      frame.type === "ReadAt" && frame.offset > 0n
        ? { type: "ReadReply", errno: ERRNO.EIO, data: new Uint8Array(0) }
        : agentWith(1 << 20)(frame),
  });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  const chunks = await shim.fetch(handle);
  assert.deepEqual(chunks.map(({ errno, isLast }) => [errno, isLast]), [[0, false], [ERRNO.EIO, true]]);
});

Deno.test("a handle that nobody opened is EBADF", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  assert.deepEqual((await shim.fetch(99n)).map(({ errno }) => errno), [ERRNO.EBADF]);
});

Deno.test("a handle is closed at the agent when it is given back, once", async () => {
  await using run = await Run.start({ answer: agentWith(1 << 20) });
  await using shim = await run.shim();
  const { handle } = await shim.ask(open, "OpenReply");
  await shim.tell({ type: "CloseHandle", handle });
  await shim.tell({ type: "CloseHandle", handle });
  assert.equal((await run.agent.expect("CloseHandle")).handle, handle);
  assert.deepEqual((await shim.fetch(handle)).map(({ errno }) => errno), [ERRNO.EBADF]);
  assert.deepEqual(run.agent.types(), ["Open", "CloseHandle"]);
});

Deno.test("handles of a process are closed at the agent when its last connection has ended, not before", async () => {
  await using run = await Run.start({ answer: agentWith(1 << 20) });
  await using stays = await run.shim({ pid: 70001 });
  const first = await run.shim({ pid: 70001 });
  const { handle } = await first.ask(open, "OpenReply");
  await first[Symbol.asyncDispose]();
  const chunks = await stays.fetch(handle);
  assert.equal(chunks[0]!.errno, 0);
  await stays[Symbol.asyncDispose]();
  assert.equal((await run.agent.expect("CloseHandle")).handle, handle);
});

Deno.test("a handle that arrives when its process has gone is closed at the agent", async () => {
  await using run = await Run.start();
  const shim = await run.shim({ pid: 70002 });
  const asked = shim.ask(open, "OpenReply").catch(() => {});
  const request = await run.agent.expect("Open");
  await shim[Symbol.asyncDispose]();
  await asked;
  run.agent.reply(request, agentWith(1 << 20)(request)!);
  assert.equal((await run.agent.expect("CloseHandle")).handle, 7n);
});

Deno.test("a shim that does not read its chunks stops the reads, and everybody else goes on", async () => {
  await using run = await Run.start({ answer: agentWith(1 << 30) });
  await using other = await run.shim();
  const { handle } = await other.ask(open, "OpenReply");
  const stuck = await Deno.connect({ transport: "unix", path: `${run.directory}/socket` });
  try {
    const hello = { type: "Hello", build: "b", pid: Deno.pid, isLifeline: false, program: "" } as const;
    await stuck.write(layerCodec.encode(hello, 0));
    await stuck.write(layerCodec.encode({ type: "Fetch", handle, offset: 0n, length: 1n << 30n }, 1));
    let reads = -1;
    for (let calm = 0; calm < 20;) {
      await other.ask({ type: "ConnectStatus", localAddress: new Uint8Array(4), localPort: 1 }, "ConnectStatusReply");
      await new Promise((resolve) => setTimeout(resolve, 1));
      calm = reads === run.agent.frames.length ? calm + 1 : 0;
      reads = run.agent.frames.length;
    }
    assert.ok(reads * AGENT_LIMITS.chunkBytes < 32 << 20, `${reads} reads`);
    assert.equal((await other.fetch(handle, 0n, 10n)).length, 1);
  } finally {
    stuck.close();
  }
});
