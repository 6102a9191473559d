/** Files that several write at the same time, of the run or at the target: whose bytes are where, and who sees what. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

const WRITE_MODE = 3;
/** Nothing is sent because time has passed. */
const STILL = () => 0;

/** Runs a Python program in mode write; `theirs` writes as a program of the target does. It must succeed. */
async function python(whole: Whole, script: string): Promise<{ lines: string[]; messages: string[] }> {
  const prelude = `import os, time
def theirs(name, data, at=None):
    fd = os.open("${whole.tree}" + name, os.O_WRONLY | (os.O_APPEND if at is None else 0))
    os.write(fd, data) if at is None else os.pwrite(fd, data, at)
    os.close(fd)
    time.sleep(0.25)
`;
  const { code, stdout, stderr, messages } = await whole.run(["python3", "-c", prelude + script]);
  assert.deepEqual([code, stderr], [0, ""], stdout);
  return { lines: stdout.trimEnd().split("\n"), messages };
}

function start(files: Record<string, string>, now?: () => number): Promise<Whole> {
  return Whole.start(files, now, { fsMode: WRITE_MODE });
}

function at(whole: Whole, path: string): string {
  return Deno.readTextFileSync(`${whole.tree}${path}`);
}

Deno.test("two sides that change different bytes of one block lose none of them", async () => {
  await using whole = await start({ "/data/file": ".".repeat(100) });
  const script = `
f = os.open("/data/file", os.O_WRONLY)
for i in range(0, 20, 2):
    os.pwrite(f, b"x", i)
    if i == 10: os.fsync(f)
    fd = os.open("${whole.tree}/data/file", os.O_WRONLY); os.pwrite(fd, b"y", i + 1); os.close(fd)
os.close(f)
`;
  await python(whole, script);
  assert.equal(at(whole, "/data/file"), "xy".repeat(10) + ".".repeat(80));
});

Deno.test("what changes in a file is sent, not the file, and in one message", async () => {
  await using whole = await start({ "/data/file": ".".repeat(50_000) }, STILL);
  const { messages } = await python(
    whole,
    `
f = os.open("/data/file", os.O_RDWR)
os.pwrite(f, (b"x" + b"." * 4999) * 10, 0)
os.close(f)
`,
  );
  assert.deepEqual(messages.slice(-2), ["OpenWriting", "Patch"]);
  assert.equal(at(whole, "/data/file"), ("x" + ".".repeat(4999)).repeat(10));
});

Deno.test("fstat, read and the end of a file that is open for writing are what the target's program made of it", async () => {
  await using whole = await start({ "/data/file": "one\n" });
  const { lines, messages } = await python(
    whole,
    `
f = os.open("/data/file", os.O_RDWR)
def say(): print(os.fstat(f).st_size, os.pread(f, 100, 0), os.lseek(f, 0, 2), os.fstat(f).st_mtime_ns == os.stat("/data/file").st_mtime_ns)
say()
theirs("/data/file", b"two\\n"); say()
os.write(f, b"three\\n"); os.fsync(f); say()
theirs("/data/file", b"T", 0); say()
os.truncate("${whole.tree}/data/file", 2); time.sleep(0.25); say()
os.pwrite(f, b"w", 1); os.close(f)
`,
  );
  assert.deepEqual(lines, [
    "4 b'one\\n' 4 True",
    "8 b'one\\ntwo\\n' 8 True",
    "14 b'one\\ntwo\\nthree\\n' 14 True",
    "14 b'Tne\\ntwo\\nthree\\n' 14 True",
    "2 b'Tn' 2 True",
  ]);
  assert.equal(at(whole, "/data/file"), "Tw");
  assert.equal(messages.filter((type) => type === "ReadWriting").length, 3, "once for each change of the target's");
});

Deno.test("a log that both sides append to has all lines, in the order in which they came", async () => {
  await using whole = await start({ "/data/log": "" });
  const { lines } = await python(
    whole,
    `
log = os.open("/data/log", os.O_RDWR | os.O_APPEND)
for i in range(3):
    os.write(log, b"ours %d\\n" % i); os.fsync(log)
    theirs("/data/log", b"theirs %d\\n" % i)
    print(os.pread(log, 1000, 0).count(b"\\n"), os.fstat(log).st_size)
os.write(log, b"end\\n"); os.close(log)
`,
  );
  assert.deepEqual(lines, ["2 16", "4 32", "6 48"]);
  const expected = [0, 1, 2].map((i) => `ours ${i}\ntheirs ${i}\n`).join("") + "end\n";
  assert.equal(at(whole, "/data/log"), expected);
});

Deno.test("who maps a file sees what others have written into it", async () => {
  await using whole = await start({ "/data/map": "a".repeat(5000) });
  const { lines } = await python(
    whole,
    `
import mmap
f = open("/data/map", "r+b"); m = mmap.mmap(f.fileno(), 0)
m[10:13] = b"our"; m.flush()
theirs("/data/map", b"THEIRS", 4000)
os.fstat(f.fileno())
print(m[10:13], m[4000:4006])
`,
  );
  assert.deepEqual(lines, ["b'our' b'THEIRS'"]);
  assert.equal(at(whole, "/data/map").slice(10, 13) + at(whole, "/data/map").slice(4000, 4006), "ourTHEIRS");
});

Deno.test("who opened a file before the run wrote it reads what is written at once, whoever of the run writes", async () => {
  await using whole = await start({ "/data/small": "o".repeat(10), "/data/big": "o".repeat(3 << 20) });
  const script = `
import mmap
for path in "/data/small", "/data/big":
    size = os.stat(path).st_size
    r = os.open(path, os.O_RDONLY); m = mmap.mmap(r, 0, prot=mmap.PROT_READ); m[0]
    w = os.open(path, os.O_WRONLY)
    os.pwrite(w, b"NEW", 2)
    print(os.pread(r, 6, 0), m[:6])
    os.pwrite(w, b"END", size)
    print(os.fstat(r).st_size - size, os.pread(r, 10, size - 2), os.lseek(r, 0, 2) - size)
    if os.fork() == 0:
        os.pwrite(os.open(path, os.O_RDWR), b"CHILD", 1); os._exit(0)
    os.wait()
    print(os.pread(r, 8, 0))
    os.close(w)
    os.system("echo over > " + path)
    print(os.pread(r, 12, 0), os.fstat(r).st_size)
    os.system("echo longer >> " + path)
    print(os.pread(r, 20, 0))
`;
  const { lines } = await python(whole, script);
  const expected = ["b'ooNEWo' b'ooNEWo'", "3 b'ooEND' 3", "b'oCHILDoo'", "b'over\\n' 5", "b'over\\nlonger\\n'"];
  assert.deepEqual(lines, [...expected, ...expected]);
});

Deno.test("who reads what the run does not write asks no more than before", async () => {
  await using whole = await start({ "/data/file": "text", "/data/other": "x" });
  const { messages } = await python(
    whole,
    `
open("/data/other", "w").close()
r = os.open("/data/file", os.O_RDONLY)
for i in range(5): os.pread(r, 4, 0)
`,
  );
  assert.deepEqual(messages.slice(-1), ["Open"]);
});
