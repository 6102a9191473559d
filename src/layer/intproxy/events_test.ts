import assert from "node:assert/strict";
import { eventually } from "../../../tests/support/eventually.ts";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import type { AgentMessage } from "../../proto/agent.ts";
import { Events } from "./events.ts";
import type { ShimConnection } from "./shim_connection.ts";

const LOOK_MS = 5;

/** Asks for a watch of /data/sub; `told` is what the agent hears without an answer. */
async function scene(reply: AgentMessage | undefined) {
  const directory = await Deno.makeTempDir();
  const told: AgentMessage[] = [];
  const agent = {
    request: (_: unknown, onAnswer: (answer: never) => void) => onAnswer(reply as never),
    tell: (message: AgentMessage) => void told.push(message),
    onEvents: () => {},
  };
  const it = { told, looks: 0 };
  const everybody = () => {
    it.looks++;
    return [Deno.pid];
  };
  const events = new Events(directory, agent as never, everybody, LOOK_MS);
  const answers: { errno: number; path: Uint8Array }[] = [];
  const shim = { send: (answer: never) => void answers.push(answer) } as unknown as ShimConnection;
  events.onRequest({ type: "WatchPath", path: utf8("/data/sub"), mask: 2 }, 1, shim);
  const dispose = async () => {
    events[Symbol.dispose]();
    await Deno.remove(directory, { recursive: true });
  };
  return Object.assign(it, { answer: answers[0]!, [Symbol.asyncDispose]: dispose });
}

const REPLY: AgentMessage = {
  type: "WatchEventsReply",
  errno: 0,
  path: utf8("/data/sub"),
  isDirectory: true,
  entries: utf8("ddeep\0ffile\0"),
};

Deno.test("what stands for a directory holds what the directory holds", async () => {
  await using it = await scene(REPLY);
  const entries = [...Deno.readDirSync(fromUtf8(it.answer.path))].map((it) => `${it.name} ${it.isDirectory}`);
  assert.deepEqual(entries.sort(), ["deep true", "file false"]);
});

Deno.test("what nobody watches any more is not watched at the target", async () => {
  await using it = await scene(REPLY);
  using watcher = Deno.watchFs(fromUtf8(it.answer.path), { recursive: false });
  await eventually(() => it.looks > 3);
  assert.deepEqual(it.told, []);
  watcher.close();
  await eventually(() => it.told.length > 0);
  assert.deepEqual(it.told, [{ type: "UnwatchEvents", watch: 1 }]);
});

Deno.test("an agent that does not know the request is as if there were no watches left", async () => {
  await using it = await scene(undefined);
  assert.equal(it.answer.errno, ERRNO.ENOSPC);
});
