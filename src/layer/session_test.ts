import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { NO_STAT } from "../proto/schema.ts";
import { LAYER } from "../proto/layer.ts";
import { makeCodec } from "../proto/codec.ts";
import { Run } from "../../tests/support/run.ts";

Deno.test("a run starts with one message pair, leaves settings and a socket, and goes when its program has gone", async () => {
  await using run = await Run.start();
  assert.equal(run.intproxy.target.hostname, "target-host");
  assert.equal(fromUtf8(run.intproxy.target.environ), "A=1\0");
  const settings = makeCodec(LAYER).decode((await Deno.readFile(`${run.directory}/settings`)).subarray(4));
  assert.equal(settings.type === "Settings" && settings.hostname, "target-host");
  assert.equal(settings.type === "Settings" && settings.holePort4 > 0 && settings.acceptPort4 > 0, true);
  await run.program.leave();
  assert.equal(await run.intproxy.finished, "programs left");
  await run.agent.ended();
  await assert.rejects(Deno.stat(run.directory), Deno.errors.NotFound);
});

Deno.test("a small file takes one message to the agent", async () => {
  await using run = await Run.start();
  await using shim = await run.shim();
  const asked = shim.ask({ type: "Open", path: utf8("/etc/x"), flags: 0 }, "OpenReply");
  const open = await run.agent.expect("Open");
  assert.equal(fromUtf8(open.path), "/etc/x");
  const stat = { ...NO_STAT, size: 2n, mode: 0o100644 };
  run.agent.reply(open, { type: "OpenReply", errno: 0, stat, isWhole: true, handle: 0n, data: utf8("hi") });
  const reply = await asked;
  assert.equal(fromUtf8(reply.data), "hi");
  assert.deepEqual(reply.stat, stat);
  assert.deepEqual(run.agent.types(), ["Open"]);
});
