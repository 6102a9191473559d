/** Real programs that write files of the target, through the real shim, intproxy and agent; and how many messages that takes. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { builtApp } from "../support/under_shim.ts";
import { Whole } from "../support/whole.ts";

const WRITE_MODE = 3;
/** Nothing is sent because time has passed. */
const STILL = () => 0;

function start(
  files: Record<string, string | Uint8Array> = { "/data/.keep": "" },
  now?: () => number,
): Promise<Whole> {
  return Whole.start(files, now, { fsMode: WRITE_MODE });
}

function at(whole: Whole, path: string): string {
  return Deno.readTextFileSync(`${whole.tree}${path}`);
}

Deno.test("what a shell redirects is at the target when the program has ended, with two messages", async () => {
  await using whole = await start(undefined, STILL);
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

/** Runs a Python program in mode write; it must succeed. */
async function python(whole: Whole, script: string): Promise<{ stdout: string; messages: string[] }> {
  const { code, stdout, stderr, messages } = await whole.run(["python3", "-c", script]);
  assert.deepEqual([code, stderr], [0, ""], stdout);
  return { stdout, messages };
}

Deno.test("a file opened again within the run is the same one, without a round trip of its contents", async () => {
  await using whole = await start({ "/data/file": "0123456789" });
  const script = `import os
a = open("/data/file", "r+b", 0)
a.write(b"ab")
b = open("/data/file", "rb")
print(b.read(), os.stat("/data/file").st_size)
a.seek(0, 2); a.write(b"end")
print(b.read(), os.fstat(a.fileno()).st_size, os.fstat(b.fileno()).st_size)
os.ftruncate(a.fileno(), 4)
print(open("/data/file").read(), os.stat("/data/file").st_size)
c = open("/data/file", "w"); print(os.fstat(a.fileno()).st_size); c.write("fresh"); c.close()
print(os.pread(a.fileno(), 10, 0))
`;
  const { stdout } = await python(whole, script);
  assert.deepEqual(stdout.split("\n"), [
    "b'ab23456789' 10",
    "b'end' 13 13",
    "ab23 4",
    "0",
    "b'fresh'",
    "",
  ]);
  assert.equal(at(whole, "/data/file"), "fresh");
});

Deno.test("what is appended goes behind what others have appended at the target", async () => {
  await using whole = await start({ "/data/log": "first\n" }, STILL);
  const script = `import os, subprocess
log = open("/data/log", "a")
print(log.tell())
log.write("second\\n"); log.flush(); os.fsync(log.fileno())
with open("/proc/self/environ") as f: pass
open("${whole.tree}/data/log", "a").write("theirs\\n")
log.write("third\\n"); log.close()
print(open("/data/log").read())
`;
  const { stdout, messages } = await python(whole, script);
  assert.equal(stdout, "6\nfirst\nsecond\ntheirs\nthird\n\n");
  assert.deepEqual(messages.filter((type) => type === "Write").length, 2);
});

Deno.test("two processes that append do not lose each other's lines", async () => {
  await using whole = await start();
  const loop = (name: string) => `for i in $(seq 200); do echo ${name} $i >> /data/log; done`;
  const { code, stderr } = await whole.run(["bash", "-c", `(${loop("a")}) & (${loop("b")}) & wait`]);
  assert.deepEqual([code, stderr], [0, ""]);
  const lines = at(whole, "/data/log").trimEnd().split("\n");
  assert.equal(lines.length, 400);
  assert.equal(new Set(lines).size, 400);
});

Deno.test("what a program appends is not lost when others of the run open the log, whatever for", async () => {
  await using whole = await start();
  for (const mode of ["r", "r+", "a+"]) {
    const script = `import os
open("/data/log", "w").write("start\\n")
pid = os.fork()
if pid == 0:
    log = os.open("/data/log", os.O_WRONLY | os.O_APPEND)
    for i in range(1500): os.write(log, b"line %d\\n" % i)
    os._exit(0)
right = "start\\n" + "".join("line %d\\n" % i for i in range(1500))
while os.waitpid(pid, os.WNOHANG) == (0, 0):
    with open("/data/log", "${mode}") as f:
        f.seek(0)
        seen = f.read()
    if not right.startswith(seen): print("wrong", repr(seen[-50:]))
print(open("/data/log").read() == right)
`;
    const { stdout } = await python(whole, script);
    assert.deepEqual([mode, stdout, at(whole, "/data/log").split("\n").length], [mode, "True\n", 1502]);
  }
});

Deno.test("a counter under a lock counts whoever opens the file as another lets go of it", async () => {
  await using whole = await start();
  const script = `import fcntl, os
open("/data/counter", "w").close()
for _ in range(4):
    if os.fork() == 0:
        for _ in range(40):
            with open("/data/counter", "r+") as f:
                fcntl.lockf(f, fcntl.LOCK_EX)
                n = int(f.read() or 0)
                f.seek(0); f.truncate(); f.write(str(n + 1)); f.flush()
                fcntl.lockf(f, fcntl.LOCK_UN)
        os._exit(0)
for _ in range(4): os.wait()
print(open("/data/counter").read())
`;
  assert.equal((await python(whole, script)).stdout, "160\n");
  assert.equal(at(whole, "/data/counter"), "160");
});

Deno.test("a forked child shares the offset", async () => {
  await using whole = await start();
  await python(
    whole,
    `import os
fd = os.open("/data/shared", os.O_WRONLY | os.O_CREAT, 0o600)
os.write(fd, b"parent ")
if os.fork() == 0:
    os.write(fd, b"child ")
    os._exit(0)
os.wait()
os.write(fd, b"parent")
`,
  );
  assert.equal(at(whole, "/data/shared"), "parent child parent");
});

Deno.test("what a killed program had written arrives", async () => {
  await using whole = await start();
  const { code } = await whole.run(["sh", "-c", "exec > /data/out; echo written; kill -9 $$"]);
  assert.notEqual(code, 0);
  await eventually(() => at(whole, "/data/out") === "written\n");
});

Deno.test("a shared mapping is written", async () => {
  await using whole = await start({ "/data/map": "a".repeat(10_000) });
  await python(
    whole,
    `import mmap
f = open("/data/map", "r+b")
m = mmap.mmap(f.fileno(), 0)
m[5000:5005] = b"HELLO"
m.flush()
assert open("${whole.tree}/data/map").read()[5000:5005] == "HELLO"
m[0:1] = b"Z"
f.close()
m.close()
`,
  );
  assert.equal(at(whole, "/data/map").slice(0, 1) + at(whole, "/data/map").slice(4999, 5006), "ZaHELLOa");
});

Deno.test("modes, flags and errors of creating are the kernel's", async () => {
  await using whole = await start({ "/data/there": "x", "/data/dir/x": "" });
  const { stdout } = await python(
    whole,
    `import os, errno
def say(*a):
    try: print(os.open(*a) > 2)
    except OSError as e: print(errno.errorcode[e.errno])
os.umask(0o027)
say("/data/new", os.O_CREAT | os.O_WRONLY, 0o666)
print(oct(os.stat("/data/new").st_mode))
say("/data/there", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
say("/data/none/x", os.O_CREAT | os.O_WRONLY)
say("/data/none", os.O_WRONLY)
say("/data/dir", os.O_WRONLY)
say("/data/dir", os.O_RDONLY | os.O_CREAT)
say("/data/there/x", os.O_CREAT | os.O_WRONLY)
os.symlink("there", "/data/link"); os.symlink("dangling", "/data/broken")
say("/data/link", os.O_WRONLY | os.O_NOFOLLOW)
say("/data/broken", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
say("/data/broken", os.O_WRONLY | os.O_CREAT)
print(os.path.exists("/data/dangling"))
say("/data", os.O_TMPFILE | os.O_RDWR, 0o600)
say("/data/" + "n" * 300, os.O_CREAT | os.O_WRONLY)
`,
  );
  assert.deepEqual(stdout.trimEnd().split("\n"), [
    "True",
    "0o100640",
    "EEXIST",
    "ENOENT",
    "ENOENT",
    "EISDIR",
    "EISDIR",
    "ENOTDIR",
    "ELOOP",
    "EEXIST",
    "True",
    "True",
    "True",
    "ENAMETOOLONG",
  ]);
});

Deno.test("holes stay holes, zeros that were written do not", async () => {
  await using whole = await start();
  await python(
    whole,
    `import os
f = os.open("/data/sparse", os.O_WRONLY | os.O_CREAT)
os.pwrite(f, b"end", 10_000_000)
os.close(f)
f = os.open("/data/zeros", os.O_WRONLY | os.O_CREAT)
os.write(f, bytes(1_000_000))
os.close(f)
`,
  );
  const sparse = Deno.statSync(`${whole.tree}/data/sparse`);
  assert.equal(sparse.size, 10_000_003);
  assert.ok(sparse.blocks! < 100);
  assert.ok(Deno.statSync(`${whole.tree}/data/zeros`).blocks! >= 1953);
});

Deno.test("stdio streams are flushed and sent however a program ends", async () => {
  await using whole = await start();
  const app = await builtApp("stdio_end");
  for (const how of ["return", "exit", "freopen", "stdout", "append"]) {
    const { code, stderr } = await whole.run([app, how, `/data/${how}`]);
    assert.deepEqual([how, code, stderr], [how, 0, ""]);
    assert.equal(at(whole, `/data/${how}`), "buffered");
  }
});

Deno.test("sqlite3 creates and changes a database at the target", async () => {
  await using whole = await start();
  await python(
    whole,
    `import sqlite3
db = sqlite3.connect("/data/db")
db.execute("create table t (x, y)")
db.executemany("insert into t values (?, ?)", [(i, "v" * i) for i in range(500)])
db.commit(); db.close()
db = sqlite3.connect("/data/db")
db.execute("update t set y = 'changed' where x = 250"); db.commit()
print(db.execute("select count(*), sum(length(y)) from t").fetchall())
db.close()
`,
  );
  const check = await new Deno.Command("python3", {
    args: [
      "-c",
      `import sqlite3; print(sqlite3.connect("${whole.tree}/data/db").execute("select y from t where x = 250 union all select count(*) from t").fetchall())`,
    ],
  }).output();
  assert.equal(new TextDecoder().decode(check.stdout), "[('changed',), (500,)]\n");
});

const whyNoMount = Deno.uid() === 0 ? undefined : "needs root";

Deno.test({
  name: "a full disk is told by the write that it has no room for, and what did fit counts and is there",
  ignore: whyNoMount !== undefined,
  fn: async () => {
    await using whole = await start({ "/full/.keep": "" });
    const mount = (...args: string[]) => new Deno.Command("mount", { args }).output();
    await mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", `${whole.tree}/full`);
    try {
      const { stdout } = await python(
        whole,
        `import os, errno
def say(what, *a):
    try: r = what(*a); print(r if isinstance(r, int) else "fine")
    except OSError as e: print(errno.errorcode[e.errno])
fd = os.open("/full/a", os.O_RDWR | os.O_CREAT)
say(os.write, fd, b"x" * 1_000_000)
say(os.lseek, fd, 0, 1)
say(os.write, fd, b"x")
say(os.fsync, fd)
say(os.pwrite, fd, b"x", 1_000_000)
print(os.fstat(fd).st_size)
os.ftruncate(fd, 1000)
say(os.write, fd, b"x" * 1_000_000)
say(os.close, fd)
say(os.unlink, "/full/a")
fd = os.open("/full/b", os.O_WRONLY | os.O_CREAT)
say(os.posix_fallocate, fd, 0, 1_000_000)
say(os.posix_fallocate, fd, 0, 100_000)
print(os.fstat(fd).st_size)
say(os.close, fd)
log = open("/full/c", "a")
say(log.write, "y" * 200_000)
say(log.close)
print(os.stat("/full/c").st_size)
`,
      );
      const kernel = ["262144", "262144", "ENOSPC", "fine", "ENOSPC", "262144", "258048", "fine", "fine"];
      const room = ["ENOSPC", "fine", "100000", "fine", "ENOSPC", "fine", "159744"];
      assert.deepEqual(stdout.trimEnd().split("\n"), [...kernel, ...room]);
      const script = "head -c 300000 /dev/zero > /full/fill; echo x > /full/e; echo $?; printf x > /full/p; echo $?";
      const shell = await whole.run(["bash", "-c", script]);
      assert.equal(shell.stdout, "1\n1\n");
      assert.match(shell.stderr, /echo: write error: No space left on device/);
      const { code, stderr } = await whole.run(["dd", "if=/dev/zero", "of=/full/zeros", "bs=1M", "count=1"]);
      assert.equal(code, 1);
      assert.match(stderr, /No space left on device/);
    } finally {
      await new Deno.Command("umount", { args: ["-l", `${whole.tree}/full`] }).output();
    }
  },
});

Deno.test("when the agent is gone, what waits for it fails with EIO and nothing hangs", async () => {
  await using whole = await start();
  const program = whole.run([
    "python3",
    "-c",
    `import os, errno, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
fd = os.open("/data/file", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"before"); os.fsync(fd)
os.write(fd, b"after")
while True:
    try: os.fsync(fd)
    except OSError as e: print(errno.errorcode[e.errno]); break
    time.sleep(0.01)
    os.write(fd, b".")
try: os.close(fd)
except OSError as e: print(errno.errorcode[e.errno])
`,
  ]);
  await eventually(() => at(whole, "/data/file").startsWith("beforeafter"));
  whole.near.close();
  const { stdout } = await program;
  assert.deepEqual(stdout.trimEnd().split("\n"), ["EIO", "EIO"]);
});

Deno.test("a run that ends sends what a child that the shim never entered has left", async () => {
  await using whole = await start();
  // The file is handed to a program without LD_PRELOAD, which is killed.
  const script = `exec 5> /data/left; env -i /bin/sh -c 'printf left >&5; kill -9 $$'; exec 5>&-; cat /data/left`;
  const { stdout } = await whole.run(["bash", "-c", script]);
  assert.equal(stdout, "left");
  assert.equal(at(whole, "/data/left"), "left");
});
