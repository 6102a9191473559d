/** Real programs that write files of the target, through the real shim, intproxy and agent; and how many messages that takes. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

const WRITE_MODE = 3;

function start(files: Record<string, string | Uint8Array> = { "/data/.keep": "" }): Promise<Whole> {
  return Whole.start(files, undefined, { fsMode: WRITE_MODE });
}

function at(whole: Whole, path: string): string {
  return Deno.readTextFileSync(`${whole.tree}${path}`);
}

Deno.test("what a shell redirects is at the target when the program has ended, with two messages", async () => {
  await using whole = await start();
  const { code, stderr, messages } = await whole.run(["sh", "-c", "echo hello > /data/new"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(at(whole, "/data/new"), "hello\n");
  assert.deepEqual(messages, ["OpenWriting", "Write"]);
});

Deno.test("output of programs by stdio, raw calls and children lands in the file", async () => {
  await using whole = await start();
  const script =
    "ls /nowhere > /data/a 2>&1; printf '%s\\n' one two > /data/b; seq 1000 >> /data/c; (echo x; /bin/echo y) > /data/d";
  const { code, stderr } = await whole.run(["bash", "-c", script]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(at(whole, "/data/a"), /No such file/);
  assert.equal(at(whole, "/data/b"), "one\ntwo\n");
  assert.equal(at(whole, "/data/c").length, 3893);
  assert.equal(at(whole, "/data/d"), "x\ny\n");
});
