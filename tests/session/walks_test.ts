/**
 * Trees of small files: what is believed of a watched directory until the agent tells of a change, and what comes before it is
 * asked for. The intproxy's clock stands still here: nothing known grows old, only news ends it. Where a change is waited for it
 * goes on by less than what a watch is believed for: what changes while a watch is being set up is not watched, but grows old.
 */
import assert from "node:assert/strict";
import { PATIENCE_MS } from "../support/eventually.ts";
import { type Talk, Whole } from "../support/whole.ts";

const STILL = () => 0;
/** Longer than facts are passed on, shorter than contents that are watched. */
const MOST_MS = 500;
const python = "/usr/bin/python3";
const isPythonMissing = await new Deno.Command(python, { args: ["--version"] }).output().then(() => false, () => true);
const needsPython = isPythonMissing ? ` (needs ${python})` : "";

/** Answers each line, an expression, with its value. */
const ASKED = `import os, sys
def read(path):
    with open(path) as file: return file.read()
def write(path, text, mode="w"):
    with open(path, mode) as file: file.write(text)
for line in sys.stdin:
    try: print(eval(line))
    except OSError as error: print("errno", error.errno)
    sys.stdout.flush()
`;

const FEW = Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [`/data/here/${name}`, `old ${name}`]));

class Asked implements AsyncDisposable {
  readonly #talk: Talk;
  readonly #clock: { ms: number };

  constructor(readonly whole: Whole, clock = { ms: 0 }) {
    this.#clock = clock;
    this.#talk = whole.start([python, "-S", "-u", "-c", ASKED]);
  }

  async ask(expression: string): Promise<string> {
    await this.#talk.say(expression + "\n");
    return (await this.#talk.lines.next()).value ?? `no answer: ${await this.#talk.stderr}`;
  }

  /** Its value, and what the agent was asked for it. */
  async counted(expression: string): Promise<[string, string[]]> {
    const before = this.#talk.messages.length;
    return [await this.ask(expression), this.#talk.messages.slice(before)];
  }

  /** Asks until it says so. */
  async until(expression: string, value: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let last = ""; last !== value; last = await this.ask(expression)) {
      if (performance.now() > deadline) assert.equal(last, value);
      this.#clock.ms = Math.min(this.#clock.ms + 1, MOST_MS);
    }
  }

  /** Has the directory listed, and all of its files here. */
  async walk(): Promise<void> {
    assert.equal(await this.ask("len(os.listdir('/data/here'))"), "5");
    for (const name of ["a", "b", "c"]) assert.equal(await this.ask(`read('/data/here/${name}')`), `old ${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#talk[Symbol.asyncDispose]();
  }
}

function walkTest(name: string, fn: (asked: Asked, tree: string) => Promise<void>): void {
  Deno.test({
    name: name + needsPython,
    ignore: isPythonMissing,
    async fn() {
      const clock = { ms: 0 };
      await using whole = await Whole.start(FEW, () => clock.ms, { fsMode: 3 });
      await using asked = new Asked(whole, clock);
      await asked.walk();
      await fn(asked, whole.tree);
    },
  });
}

Deno.test("tar of 1 000 small files costs a message for some hundred, and packs what is there", async () => {
  const files = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`/data/many/f${at}`, `${at}`.repeat(500)]));
  await using whole = await Whole.start(files, STILL);
  const sum = "| sha256sum";
  const { stdout, stderr, messages } = await whole.run(["sh", "-c", `tar -C /data -cf - many ${sum}`]);
  const { stdout: expected } = await new Deno.Command("sh", {
    args: ["-c", `tar -C ${whole.tree}/data -cf - many ${sum}`],
  })
    .output();
  assert.deepEqual([stdout, stderr], [new TextDecoder().decode(expected), ""]);
  assert.ok(messages.length <= 25, `${messages.length}: ${messages}`);
});

Deno.test("grep -r through a tree of directories costs their listings and a message for the files of each", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, at) => [`/data/d${at % 10}/f${at}`, `text ${at}\n`]),
  );
  await using whole = await Whole.start(files, STILL);
  const { stdout, stderr, messages } = await whole.run(["grep", "-rhc", "text", "/data"]);
  assert.deepEqual([stdout, stderr], ["1\n".repeat(200), ""]);
  assert.ok(messages.length <= 90, `${messages.length}: ${messages}`);
});

Deno.test("a tree is listed directory by directory, each once, however it is walked, and walked again for nothing", async () => {
  const files = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`/data/d${at % 6}/e${at % 12}/f${at}`, ""]));
  await using whole = await Whole.start(files, STILL);
  const { stdout, stderr, messages } = await whole.run(["sh", "-c", "find /data; ls -R /data; find /data -type f"]);
  const { stdout: expected } = await new Deno.Command("sh", {
    args: ["-c", "find data; ls -R data; find data -type f"],
    cwd: whole.tree,
  }).output();
  const sorted = (text: string) => text.split("\n").map((line) => line.replace(/^\//, "")).sort();
  assert.deepEqual([sorted(stdout), stderr], [sorted(new TextDecoder().decode(expected)), ""]);
  assert.ok(messages.filter((it) => it === "Walk").length <= 1 + 6 + 12 + 1, `${messages}`);
});

Deno.test("who lists one of many directories has few others listed", async () => {
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`/data/d${at}/f`, ""]));
  await using whole = await Whole.start(files, STILL);
  const { messages } = await whole.run(["sh", "-c", "ls -l /data; ls /data/d7"]);
  assert.ok(messages.filter((it) => it === "Walk").length <= 2 + 4 + 1, `${messages}`);
});

Deno.test("what comes in vain has an end", async () => {
  const text = "x".repeat(20_000);
  const names = Array.from({ length: 100 * 10 }, (_, at) => `/data/d${Math.floor(at / 10)}/f${at % 10}`);
  await using whole = await Whole.start(Object.fromEntries(names.map((name) => [name, text])), STILL);
  const script = "for d in /data/*; do ls -l $d; cat $d/f1 $d/f2; done | wc -c";
  const { messages } = await whole.run(["sh", "-c", script]);
  const count = messages.filter((it) => it === "ReadEntries").length;
  assert.ok(count > 20 && count < 80, `${count}`);
});

Deno.test("stat of all files of a tree, and their contents, cost some messages a directory", async () => {
  const files = Object.fromEntries(Array.from({ length: 160 }, (_, at) => [`/data/d${at % 20}/f${at}`, `${at}`]));
  await using whole = await Whole.start(files, STILL);
  const paths = Object.keys(files).sort().join(" ");
  const { stdout, stderr, messages } = await whole.run(["cat", ...paths.split(" ")]);
  assert.deepEqual([stdout, stderr], [paths.split(" ").map((path) => files[path]).join(""), ""]);
  assert.ok(messages.length <= 70, `${messages.length}: ${messages}`);
});

walkTest("what has come before it is opened costs nothing, nor does opening it again, nor its stat", async (asked) => {
  for (const what of ["read('/data/here/d')", "read('/data/here/e')", "read('/data/here/a')"]) {
    const [, messages] = await asked.counted(what);
    assert.deepEqual(messages, [], what);
  }
  assert.deepEqual(await asked.counted("os.lstat('/data/here/e').st_size"), ["5", []]);
  assert.deepEqual(await asked.counted("os.path.isdir('/data/here')"), ["True", []]);
  assert.deepEqual(await asked.counted("sorted(os.listdir('/data/here'))"), ["['a', 'b', 'c', 'd', 'e']", []]);
});

walkTest("a file that is written at the target is read anew, and its stat is", async (asked, tree) => {
  await Deno.writeTextFile(`${tree}/data/here/d`, "new and longer");
  await asked.until("read('/data/here/d')", "new and longer");
  await asked.until("os.stat('/data/here/d').st_size", "14");
  assert.equal(await asked.ask("read('/data/here/e')"), "old e");
});

walkTest("a file that is written on and on at the target is read as it is each time", async (asked, tree) => {
  for (let at = 0; at < 20; at++) {
    await Deno.writeTextFile(`${tree}/data/here/d`, `${at}`);
    await asked.until("read('/data/here/d')", `${at}`);
  }
});

walkTest("a file that another one replaces, or that is removed, is what it is then", async (asked, tree) => {
  await Deno.writeTextFile(`${tree}/data/other`, "other");
  await Deno.rename(`${tree}/data/other`, `${tree}/data/here/d`);
  await asked.until("read('/data/here/d')", "other");
  await asked.walk();
  await Deno.remove(`${tree}/data/here/e`);
  await asked.until("read('/data/here/e')", "errno 2");
  await Deno.symlink("a", `${tree}/data/here/e`);
  await asked.until("read('/data/here/e')", "old a");
});

walkTest("a new file beside those that were read is found", async (asked, tree) => {
  assert.equal(await asked.ask("os.path.exists('/data/here/new')"), "False");
  await Deno.writeTextFile(`${tree}/data/here/new`, "new");
  await asked.until("os.path.exists('/data/here/new')", "True");
  await Deno.writeTextFile(`${tree}/data/here/newer`, "newer");
  await asked.until("len(os.listdir('/data/here'))", "7");
});

walkTest("another directory in the place of one above it is seen", async (asked, tree) => {
  await Deno.rename(`${tree}/data`, `${tree}/before`);
  await asked.until("read('/data/here/d')", "errno 2");
  await Deno.mkdir(`${tree}/data/here`, { recursive: true });
  await Deno.writeTextFile(`${tree}/data/here/d`, "another");
  await asked.until("read('/data/here/d')", "another");
});

walkTest(
  "a file with a second name elsewhere is asked for each time: nobody tells of that name",
  async (asked, tree) => {
    await Deno.link(`${tree}/data/here/d`, `${tree}/second`);
    await Deno.writeTextFile(`${tree}/data/here/new`, "");
    await asked.until("len(os.listdir('/data/here'))", "6");
    for (let at = 0; at < 5; at++) {
      await Deno.writeTextFile(`${tree}/second`, `${at}`);
      assert.equal(await asked.ask("read('/data/here/d')"), `${at}`);
    }
  },
);

walkTest(
  "a descriptor of a directory that is read again from its beginning shows the directory as it is by then",
  async (asked) => {
    assert.equal(
      await asked.ask("globals().update(fd=os.open('/data/here', os.O_RDONLY)) or len(os.listdir(fd))"),
      "5",
    );
    assert.equal(await asked.ask("write('/data/here/new', '') or len(os.listdir(fd))"), "6");
    assert.equal(await asked.ask("os.unlink('/data/here/new') or len(os.listdir(fd))"), "5");
    assert.equal(await asked.ask("len(list(os.scandir(fd)))"), "5");
  },
);

walkTest("what the run itself changes is seen by its next question", async (asked) => {
  const changes: [string, string, string][] = [
    ["write('/data/here/d', 'mine')", "read('/data/here/d')", "mine"],
    ["write('/data/here/d', ' too', 'a')", "read('/data/here/d')", "mine too"],
    ["os.rename('/data/here/a', '/data/here/d')", "read('/data/here/d')", "old a"],
    ["os.listdir('/data/here') and None", "os.path.exists('/data/here/a')", "False"],
    ["os.unlink('/data/here/b')", "read('/data/here/b')", "errno 2"],
    ["write('/data/here/b', '12345')", "os.stat('/data/here/b').st_size", "5"],
    ["os.truncate('/data/here/c', 2)", "read('/data/here/c')", "ol"],
    ["os.chmod('/data/here/e', 0o600)", "oct(os.stat('/data/here/e').st_mode)", "0o100600"],
    ["os.utime('/data/here/e', (1, 1))", "os.stat('/data/here/e').st_mtime", "1.0"],
    ["os.link('/data/here/e', '/data/second')", "os.stat('/data/here/e').st_nlink", "2"],
    ["write('/data/second', 'by the other name')", "read('/data/here/e')", "by the other name"],
    ["os.mkdir('/data/here/f')", "os.path.isdir('/data/here/f')", "True"],
    ["os.rename('/data/here', '/data/there')", "read('/data/here/e')", "errno 2"],
    ["None", "read('/data/there/e')", "by the other name"],
  ];
  for (const [change, question, answer] of changes) {
    // Known again before each change.
    await asked.ask(
      "[os.stat('/data/here/' + it) and read('/data/here/' + it) for it in sorted(os.listdir('/data/here'))]",
    );
    assert.equal(await asked.ask(change).then((said) => said.startsWith("errno") ? said : ""), "", change);
    assert.equal(await asked.ask(question), answer, question);
  }
});

walkTest("what a link leads to is asked for each time, and not taken for what the link is", async (asked, tree) => {
  await Deno.writeTextFile(`${tree}/away`, "0");
  await Deno.symlink("../../away", `${tree}/data/here/link`);
  await asked.until("len(os.listdir('/data/here'))", "6");
  for (let at = 0; at < 3; at++) {
    await Deno.writeTextFile(`${tree}/away`, `${at}`);
    assert.equal(await asked.ask("read('/data/here/link')"), `${at}`);
    assert.equal(await asked.ask("os.open('/data/here/link', os.O_NOFOLLOW)"), "errno 40");
  }
});

walkTest(
  "what a service at the target has written before it answers is there when the answer comes",
  async (asked, tree) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const served = (async () => {
      using conn = await listener.accept();
      const request = new Uint8Array(16);
      for (let at = 0; await conn.read(request) !== null; at++) {
        await Deno.writeTextFile(`${tree}/data/here/d`, `${at}`);
        if (at % 5 === 0) await Deno.rename(`${tree}/data/here/d`, `${tree}/data/here/e`);
        await conn.write(request.subarray(0, 1));
      }
    })();
    const connect = `globals().update(s=__import__('socket').create_connection(('127.0.0.1', ${listener.addr.port})))`;
    const [connected, messages] = await asked.counted(connect);
    assert.deepEqual([connected, messages.includes("Connect")], ["None", true]);
    for (let at = 0; at < 50; at++) {
      const name = at % 5 === 0 ? "e" : "d";
      assert.equal(await asked.ask(`[s.sendall(b'x'), s.recv(1)] and read('/data/here/${name}')`), `${at}`);
      await asked.ask("[read('/data/here/' + it) for it in os.listdir('/data/here')] and None");
    }
    assert.equal(await asked.ask("s.close()"), "None");
    await served;
  },
);

walkTest("FIFOs, links and directories beside what is read are left alone", async (asked, tree) => {
  const { success } = await new Deno.Command("mkfifo", { args: [`${tree}/data/here/fifo`] }).output();
  assert.ok(success);
  await Deno.symlink("a", `${tree}/data/here/link`);
  await Deno.mkdir(`${tree}/data/here/below`);
  await asked.until("len(os.listdir('/data/here'))", "8");
  for (const name of ["a", "b", "c", "d", "e"]) {
    assert.equal(await asked.ask(`read('/data/here/${name}')`), `old ${name}`);
  }
  assert.equal(await asked.ask("read('/data/here/link')"), "old a");
});

Deno.test({
  name:
    `what several ask about in one directory is listed unasked, and what is not there costs nothing more${needsPython}`,
  ignore: isPythonMissing,
  async fn() {
    await using whole = await Whole.start(FEW, STILL);
    await using asked = new Asked(whole);
    for (const name of ["a", "b"]) await asked.ask(`os.stat('/data/here/${name}')`);
    await asked.until("os.path.exists('/data/here/x')", "False");
    const [, messages] = await asked.counted("[os.path.exists('/data/here/' + it) for it in 'abcdexyz']");
    assert.deepEqual(messages, []);
  },
});
