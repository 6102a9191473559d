/** Files of the target that change while a program has them open. */
import assert from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { Whole } from "../support/whole.ts";

/** Runs a Python program that says on stdout what it wants done at the target, and is told on stdin when it is done. */
async function conversation(
  files: Record<string, string | Uint8Array>,
  program: string,
  deeds: Record<string, (tree: string) => Promise<void> | void>,
): Promise<{ said: string[]; messages: string[] }> {
  await using whole = await Whole.start(files);
  const head = `import os, sys, time
def do(deed):
    print(deed, flush=True)
    sys.stdin.readline()
def until(attempt, limit=10):
    end = time.monotonic() + limit
    while not (result := attempt()) and time.monotonic() < end: time.sleep(0.02)
    return result
`;
  await using talk = whole.start(["/usr/bin/python3", "-c", head + program]);
  const said: string[] = [];
  for await (const line of talk.lines) {
    const deed = deeds[line];
    if (!deed) said.push(line);
    else {
      await deed(whole.tree);
      await talk.say("done\n");
    }
  }
  assert.equal(await talk.stderr, "");
  return { said, messages: talk.messages };
}

const add = (text: string, path = "/var/log/app") => (tree: string) =>
  Deno.writeTextFile(`${tree}${path}`, text, { append: true });

Deno.test("a log that grows is read on: by read at its end, and in fstat", async () => {
  const { said } = await conversation(
    { "/var/log/app": "one\n" },
    `fd = os.open("/var/log/app", os.O_RDONLY)
print(os.read(fd, 100))
do("grow")
print(until(lambda: os.read(fd, 100)))
do("more")
print(until(lambda: os.fstat(fd).st_size == 14))
print(os.read(fd, 3), os.read(fd, 100))
print(os.pread(fd, 100, 0), os.lseek(fd, 0, os.SEEK_END))`,
    { grow: add("two\n"), more: add("threee") },
  );
  assert.deepEqual(said, [
    "b'one\\n'",
    "b'two\\n'",
    "True",
    "b'thr' b'eee'",
    "b'one\\ntwo\\nthreee' 14",
  ]);
});

Deno.test("a big log that grows is read on, across the page in which it ended", async () => {
  const { said } = await conversation(
    { "/var/log/app": "x".repeat(3_000_001) },
    `fd = os.open("/var/log/app", os.O_RDONLY)
os.lseek(fd, 0, os.SEEK_END)
print(os.read(fd, 100))
do("grow")
print(until(lambda: os.read(fd, 100)))
print(os.pread(fd, 100, 2999999), os.lseek(fd, 0, os.SEEK_END), set(os.pread(fd, 4096, 2995000)))`,
    { grow: add("yz\n") },
  );
  assert.deepEqual(said, ["b''", "b'yz\\n'", "b'xxyz\\n' 3000004 {120}"]);
});

Deno.test("a file that was replaced stays the opened one", async () => {
  const { said } = await conversation(
    { "/conf/a": "old", "/var/big": "x".repeat(3_000_000) },
    `fd = os.open("/conf/a", os.O_RDONLY)
big = os.open("/var/big", os.O_RDONLY)
do("replace")
time.sleep(1.1)
print(os.fstat(fd).st_size, os.read(fd, 100), os.read(fd, 100))
print(os.fstat(big).st_size, set(os.pread(big, 100000, 2000000)))
print(open("/conf/a").read())`,
    {
      replace: async (tree) => {
        await Deno.writeTextFile(`${tree}/conf/b`, "newer");
        await Deno.rename(`${tree}/conf/b`, `${tree}/conf/a`);
        await Deno.remove(`${tree}/var/big`);
        await Deno.writeTextFile(`${tree}/var/big`, "y".repeat(3_000_000));
      },
    },
  );
  assert.deepEqual(said, ["3 b'old' b''", "3000000 {120}", "newer"]);
});

Deno.test("a file that is cut short and written anew is seen so, small or big", async () => {
  for (const size of [100, 3_000_000]) {
    const { said } = await conversation(
      { "/var/log/app": "x".repeat(size) },
      `fd = os.open("/var/log/app", os.O_RDONLY)
while os.read(fd, 100000): pass
do("cut")
print(until(lambda: os.fstat(fd).st_size == 4))
print(os.read(fd, 100))
os.lseek(fd, 0, os.SEEK_SET)
print(os.read(fd, 100), os.read(fd, 100))`,
      { cut: (tree) => Deno.writeTextFile(`${tree}/var/log/app`, "new\n") },
    );
    assert.deepEqual(said, ["True", "b''", "b'new\\n' b''"], String(size));
  }
});

Deno.test("tail -f shows what a log gets, and goes on when it was cut", async () => {
  await using whole = await Whole.start({ "/var/log/app": "first\n" });
  await using tail = whole.start(["tail", "-f", "-s", "0.1", "/var/log/app"]);
  const lines = tail.lines;
  assert.equal((await lines.next()).value, "first");
  await Deno.writeTextFile(`${whole.tree}/var/log/app`, "second\n", { append: true });
  assert.equal((await lines.next()).value, "second");
  await Deno.writeTextFile(`${whole.tree}/var/log/app`, "cut\n");
  assert.equal((await lines.next()).value, "cut");
});

Deno.test("tail -F goes over to the file that took the log's place", async () => {
  await using whole = await Whole.start({ "/var/log/app": "first\n" });
  await using tail = whole.start(["tail", "-F", "-s", "0.1", "/var/log/app"]);
  const lines = tail.lines;
  assert.equal((await lines.next()).value, "first");
  await Deno.rename(`${whole.tree}/var/log/app`, `${whole.tree}/var/log/app.1`);
  await Deno.writeFile(`${whole.tree}/var/log/app`, utf8("rotated\n"));
  assert.equal((await lines.next()).value, "rotated");
});

Deno.test("whoever reads a file and leaves asks once", async () => {
  await using whole = await Whole.start({ "/app/settings": "text\n" });
  const program = `fd = __import__("os").open("/app/settings", 0)
import os
os.fstat(fd)
while os.read(fd, 1): pass
os.close(fd)`;
  const { messages } = await whole.run(["/usr/bin/python3", "-c", program]);
  assert.deepEqual(messages, ["Open"]);
});
