/** Big files of the target, read on demand by real programs, through the real intproxy, from the real agent. */
import assert from "node:assert/strict";
import { builtApp } from "../support/under_shim.ts";
import { Whole } from "../support/whole.ts";

/** Bytes without a pattern of pages, and without zeros: a hole that shows is seen. */
function contents(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 12345;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    bytes[at] = ((state >> 16) % 255) + 1;
  }
  return bytes;
}

const SIZE = 9_000_001;
const BYTES = contents(SIZE);
const DIGEST = new Uint8Array(await crypto.subtle.digest("SHA-256", BYTES)).toHex();
const started = () => Whole.start({ "/data/big": BYTES });

for (
  const command of [
    "sha256sum /data/big",
    "sha256sum < /data/big",
    "cat /data/big | sha256sum",
    "cat < /data/big | sha256sum",
    "dd if=/data/big bs=4097 status=none | sha256sum",
    "dd if=/data/big bs=3M status=none | sha256sum",
    "head -c 9000001 /data/big | sha256sum",
    "(head -c 4000000 >/dev/null; cat /data/big) < /data/big | sha256sum",
    "tac -s '' < /dev/null; exec 7< /data/big; cat <&7 | sha256sum",
    "exec 7< /data/big; cat /dev/fd/7 | sha256sum",
    "exec 7< /data/big; python3 -c 'import os; print(os.read(7, 10) and 1)' >/dev/null; sha256sum < /dev/fd/7",
    "cp /data/big copy && sha256sum < copy",
    "tail -c +1 /data/big | sha256sum",
    "awk 1 RS=never ORS= /data/big | sha256sum",
    "perl -e 'undef $/; open F, shift; print <F>' /data/big | sha256sum",
    "tar cf - -C /data big | tar xOf - big | sha256sum",
    "tee < /data/big | sha256sum",
  ]
) {
  Deno.test(`a big file is read right by ${command}`, async () => {
    await using whole = await started();
    const script = `cd $(mktemp -d); ${command}; rm -r "$PWD"`;
    const { stdout, stderr } = await whole.run(["bash", "-c", script]);
    assert.deepEqual([stdout.split(" ")[0], stderr], [DIGEST, ""]);
  });
}

/** Runs a Python program over the big file; `path` and `size` are given to it. */
async function python(program: string, whole?: Whole): Promise<{ stdout: string; stderr: string; messages: string[] }> {
  await using own = whole ? undefined : await started();
  const text = `import os, sys, hashlib, threading, mmap\npath = "/data/big"\nsize = ${SIZE}\n${program}`;
  return await (whole ?? own!).run(["/usr/bin/python3", "-c", text]);
}

const SUM = BYTES.reduce((sum, byte) => sum + byte, 0);

const WAYS: Record<string, string> = {
  "read()": `print(hashlib.sha256(open(path, "rb").read()).hexdigest())`,
  "lines of text in a stream": `h = hashlib.sha256()
for line in open(path, "rb", 8192): h.update(line)
print(h.hexdigest())`,
  "pread from the end to the beginning": `fd = os.open(path, os.O_RDONLY)
parts = []
at = size
while at > 0:
    begin = max(0, at - 70001)
    parts.append(os.pread(fd, at - begin, begin))
    at = begin
print(hashlib.sha256(b"".join(reversed(parts))).hexdigest())`,
  "a mapping": `fd = os.open(path, os.O_RDONLY)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
print(hashlib.sha256(m).hexdigest())`,
  "private mappings of pieces": `fd = os.open(path, os.O_RDONLY)
h = hashlib.sha256()
for at in range(0, size, 1 << 20):
    h.update(mmap.mmap(fd, min(1 << 20, size - at), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, offset=at)[:])
print(h.hexdigest())`,
  "preadv into many buffers": `fd = os.open(path, os.O_RDONLY)
h = hashlib.sha256()
at = 0
while True:
    parts = [bytearray(n) for n in (1, 4095, 4097, 100000, 7)]
    count = os.preadv(fd, parts, at)
    if count == 0: break
    h.update(b"".join(parts)[:count])
    at += count
print(h.hexdigest())`,
  "sendfile to a socket": `import socket
a, b = socket.socketpair()
fd = os.open(path, os.O_RDONLY)
def send():
    at = 0
    while at < size: at += os.sendfile(a.fileno(), fd, at, size - at)
    a.close()
threading.Thread(target=send).start()
h = hashlib.sha256()
while part := b.recv(1 << 20): h.update(part)
print(h.hexdigest())`,
  "splice to a pipe": `r, w = os.pipe()
fd = os.open(path, os.O_RDONLY)
def send():
    while os.splice(fd, w, 1 << 20): pass
    os.close(w)
if not hasattr(os, "splice"): os.splice = None
threading.Thread(target=send).start()
h = hashlib.sha256()
while part := os.read(r, 1 << 20): h.update(part)
print(h.hexdigest())`,
  "a child that goes on where its parent stopped": `fd = os.open(path, os.O_RDONLY)
os.set_inheritable(fd, True)
h = hashlib.sha256()
first = os.read(fd, 3000000)
sys.stdout.flush()
code = "import os,sys,hashlib\\nh=hashlib.sha256(sys.stdin.buffer.read(3000000))\\nwhile p := os.read(%d, 50000): h.update(p)\\nprint(h.hexdigest())" % fd
r, w = os.pipe()
if os.fork() == 0:
    os.dup2(r, 0)
    os.close(w)
    os.execv(sys.executable, [sys.executable, "-c", code])
os.close(r)
os.write(w, first) if False else [os.write(w, first[i:i + 60000]) for i in range(0, len(first), 60000)]
os.close(w)
os.wait()`,
};

for (const [way, program] of Object.entries(WAYS)) {
  Deno.test(`a big file is read right by ${way}`, async () => {
    const { stdout, stderr } = await python(program);
    assert.deepEqual([stdout.trim(), stderr], [DIGEST, ""]);
  });
}

Deno.test("threads and processes that share a position get every byte once", async () => {
  const { stdout, stderr } = await python(`
fd = os.open(path, os.O_RDONLY)
r, w = os.pipe()
def work():
    total = count = 0
    while part := os.read(fd, 30011):
        assert 0 not in part
        total += sum(part)
        count += len(part)
    os.write(w, b"%d %d\\n" % (total, count))
pids = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        os._exit(0)
    pids.append(pid)
[os.waitpid(pid, 0) for pid in pids]
os.close(w)
lines = [tuple(map(int, line.split())) for line in os.read(r, 10000).splitlines()]
print(sum(l[0] for l in lines), sum(l[1] for l in lines), len(lines))`);
  assert.deepEqual([stdout.trim(), stderr], [`${SUM} ${SIZE} 6`, ""]);
});

Deno.test("threads and processes that read at random see no hole", async () => {
  const { stdout, stderr } = await python(`
import random
fd = os.open(path, os.O_RDONLY)
def work(seed):
    rng = random.Random(seed)
    for _ in range(300):
        part = os.pread(fd, rng.randrange(1, 9000), rng.randrange(0, size - 9000))
        assert part and 0 not in part
pids = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        threads = [threading.Thread(target=work, args=(child * 10 + t,)) for t in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        os._exit(0)
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids])
print(hashlib.sha256(b"".join(os.pread(fd, 100000, at) for at in range(0, size, 100000))).hexdigest())`);
  assert.deepEqual([stdout.trim().split("\n"), stderr], [["[0, 0, 0]", DIGEST], ""]);
});

Deno.test("reading little of a big file asks for little, reading it in order for no more than it takes", async () => {
  await using whole = await started();
  const reads = (messages: string[]) => messages.filter((type) => type === "ReadAt").length;
  const few = await python(
    `fd = os.open(path, os.O_RDONLY)
for at in (5000000, 2000000, 8000000): os.pread(fd, 4096, at)`,
    whole,
  );
  assert.equal(few.messages.filter((type) => type === "Open").length, 1);
  assert.equal(reads(few.messages), 3);
  const all = await python(
    `fd = os.open(path, os.O_RDONLY)
while os.read(fd, 65536): pass`,
    whole,
  );
  assert.equal(reads(all.messages), Math.ceil((SIZE - (1 << 20)) / (256 << 10)));
});

const NODE = `const fs = require("fs"), crypto = require("crypto"), { pipeline } = require("stream/promises");
const path = "/data/big", out = process.argv[1];
const hash = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");
(async () => {
  console.log(hash(fs.readFileSync(path)));
  console.log(hash(await fs.promises.readFile(path)));
  const h = crypto.createHash("sha256");
  for await (const part of fs.createReadStream(path)) h.update(part);
  console.log(h.digest("hex"));
  fs.copyFileSync(path, out);
  console.log(hash(fs.readFileSync(out)));
  await fs.promises.copyFile(path, out);
  console.log(hash(fs.readFileSync(out)));
  const handle = await fs.promises.open(path);
  const parts = await Promise.all(Array.from({ length: 20 }, async (_, at) => {
    const part = Buffer.alloc(500000);
    return part.subarray(0, (await handle.read(part, 0, part.length, at * 500000)).bytesRead);
  }));
  await handle.close();
  console.log(hash(Buffer.concat(parts)));
})();`;

const JAVA =
  `import java.io.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.security.*;
public class Big {
  static MessageDigest d;
  static void say() { System.out.println(java.util.HexFormat.of().formatHex(d.digest())); }
  public static void main(String[] a) throws Exception {
    Path p = Path.of("/data/big"), out = Path.of(a[0]);
    d = MessageDigest.getInstance("SHA-256");
    d.update(Files.readAllBytes(p)); say();
    try (FileChannel c = FileChannel.open(p)) {
      d.update(c.map(FileChannel.MapMode.READ_ONLY, 0, c.size())); say();
      try (FileOutputStream o = new FileOutputStream(out.toFile())) {
        for (long at = 0; at < c.size();) at += c.transferTo(at, c.size() - at, o.getChannel());
      }
      d.update(Files.readAllBytes(out)); say();
    }
    try (RandomAccessFile r = new RandomAccessFile(p.toFile(), "r")) {
      byte[] b = new byte[1000003];
      r.seek(r.length() - 3); r.readFully(b, 0, 3);
      r.seek(0);
      for (int n; (n = r.read(b)) > 0;) d.update(b, 0, n);
      say();
    }
    Files.copy(p, out, StandardCopyOption.REPLACE_EXISTING);
    d.update(Files.readAllBytes(out)); say();
  }
}`;

async function hasProgram(name: string): Promise<boolean> {
  try {
    return (await new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

for (
  const [name, lines, command] of [
    ["node", 6, (directory: string) => ["node", "-e", NODE, `${directory}/out`]],
    ["java", 5, (directory: string) => ["java", "-XX:+UseSerialGC", `${directory}/Big.java`, `${directory}/out`]],
  ] as const
) {
  const ignore = !await hasProgram(name);
  const reason = ignore ? ` (needs ${name})` : "";
  Deno.test({ name: `a big file is read right by every way that ${name} has${reason}`, ignore }, async () => {
    await using whole = await started();
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/Big.java`, JAVA);
      const { stdout, stderr } = await whole.run(command(directory));
      assert.deepEqual([stdout.trim().split("\n"), stderr], [Array(lines).fill(DIGEST), ""]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

const hasSqlite = await hasProgram("sqlite3");
Deno.test(
  { name: "SQLite reads a big database of the target, and no more of it than it needs", ignore: !hasSqlite },
  async () => {
    const local = await Deno.makeTempFile();
    const make = "create table t (a integer primary key, b text);" +
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000) " +
      "insert into t select i, hex(randomblob(60)) from n;";
    await new Deno.Command("sqlite3", { args: [local, make] }).output();
    const bytes = await Deno.readFile(local);
    await Deno.remove(local);
    assert.ok(bytes.length > 6_000_000);
    await using whole = await Whole.start({ "/data/base.db": bytes });
    // Not by its own program, which looks at the file by stdio first.
    const query = `import sqlite3
base = sqlite3.connect("file:/data/base.db?mode=ro", uri=True)
print(base.execute("select length(b) from t where a = 31415").fetchone())`;
    const one = await whole.run(["/usr/bin/python3", "-c", query]);
    assert.deepEqual([one.stdout, one.stderr], ["(120,)\n", ""]);
    assert.ok(one.messages.filter((type) => type === "ReadAt").length < 8, one.messages.join());
    const all = await whole.run([
      "sqlite3",
      "/data/base.db",
      "select count(*), sum(length(b)) from t; pragma integrity_check",
    ]);
    assert.deepEqual([all.stdout, all.stderr], ["60000|7200000\nok\n", ""]);
  },
);

Deno.test("ten thousand files can be open at once", async () => {
  const files = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`/many/${at}`, `file ${at}`]));
  await using whole = await Whole.start(files);
  const { stdout, stderr } = await whole.run([
    "/usr/bin/python3",
    "-c",
    `
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (12000, 12000))
fds = [os.open("/many/%d" % (i % 100), os.O_RDONLY) for i in range(10000)]
print(len(fds), all(os.read(fd, 100) == b"file %d" % (i % 100) for i, fd in enumerate(fds)))
resource.setrlimit(resource.RLIMIT_NOFILE, (10010, 12000))
try:
    while True: os.open("/many/1", os.O_RDONLY)
except OSError as e: print(e.errno)`,
  ]);
  assert.deepEqual([stdout, stderr], ["10000 True\n24\n", ""]);
});

Deno.test("a file that is bigger than what is kept of one is read right, in bounded memory", async () => {
  // 34 times the same bytes: more than 256 MiB.
  const times = 34;
  await using whole = await Whole.start({ "/data/huge": "" });
  const out = await Deno.open(`${whole.tree}/data/huge`, { append: true });
  for (let at = 0; at < times; at++) await out.write(BYTES);
  out.close();
  await using program = whole.start([
    "/usr/bin/python3",
    "-c",
    `
import os, hashlib, threading
fd = os.open("/data/huge", os.O_RDONLY)
def digest(read):
    h = hashlib.sha256()
    left = ${SIZE}
    while left: part = read(left); left -= len(part); h.update(part)
    return h.hexdigest()
print([digest(lambda left: os.read(fd, min(left, 70001))) for _ in range(${times})] == ["${DIGEST}"] * ${times}, os.read(fd, 1))
print(fd, flush=True)
input()
# What is not kept: at random, by vectors, by sendfile, from threads that share a position.
at = ${SIZE} * ${times - 1}
print(digest(lambda left: os.pread(fd, min(left, 100003), at + ${SIZE} - left)))
parts = [bytearray(1000000) for _ in range(10)]
count = os.preadv(fd, parts, at)
print(hashlib.sha256(b"".join(parts)[:count]).hexdigest())
import socket
a, b = socket.socketpair()
def send():
    done = at
    while done < at + ${SIZE}: done += os.sendfile(a.fileno(), fd, done, at + ${SIZE} - done)
    a.close()
threading.Thread(target=send).start()
print(digest(lambda left: b.recv(left)))
os.lseek(fd, at, os.SEEK_SET)
totals = []
def work():
    while part := os.read(fd, 30011): totals.append((len(part), sum(part)))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sum(t[0] for t in totals), sum(t[1] for t in totals))`,
  ]);
  const { lines } = program;
  assert.equal((await lines.next()).value, "True b''");
  // What it keeps, as only somebody who is not of the run is told.
  const { blocks } = await Deno.stat(`/proc/${program.pid}/fd/${(await lines.next()).value}`);
  assert.ok(blocks! * 512 <= 257 << 20, String(blocks));
  await program.say("\n");
  assert.deepEqual(await Array.fromAsync(lines), [DIGEST, DIGEST, DIGEST, `${SIZE} ${SUM}`]);
});

Deno.test("a program that the shim cannot enter inherits all of a big file, and so does a script for it", async () => {
  const app = await builtApp("sum_descriptor", ["-static"]);
  const script = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(script, `#! ${app} -x\n`);
    await Deno.chmod(script, 0o755);
    for (const program of [app, script]) {
      for (const start of ["os.execv(program, args)", "os.waitpid(os.posix_spawn(program, args, {}), 0)"]) {
        const { stdout, stderr } = await python(`fd = os.open(path, os.O_RDONLY)
os.set_inheritable(fd, True)
program = "${program}"
args = [program, str(fd)]
${start}`);
        assert.deepEqual([stdout, stderr], [`${SIZE} ${SUM}\n`, ""], `${program} ${start}`);
      }
    }
  } finally {
    await Deno.remove(script);
  }
});

Deno.test("a program that goes on as another user reads on", async () => {
  if (Deno.uid() !== 0) return;
  const { stdout, stderr } = await python(`fd = os.open(path, os.O_RDONLY)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
h = hashlib.sha256()
while part := os.read(fd, 50001): h.update(part)
print(h.hexdigest(), os.fstat(fd).st_size)`);
  assert.deepEqual([stdout.trim(), stderr], [`${DIGEST} ${SIZE}`, ""]);
});
