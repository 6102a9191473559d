/** FIFOs in directories of the target: within a run, and with the target's own programs at the other end. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { Whole } from "../support/whole.ts";

const WRITE_MODE = 3;

async function start(): Promise<Whole> {
  const whole = await Whole.start({ "/data/.keep": "" }, undefined, { fsMode: WRITE_MODE });
  const { success } = await new Deno.Command("mkfifo", { args: ["-m", "0640", `${whole.tree}/data/p`] }).output();
  assert.ok(success);
  return whole;
}

/** Of this machine: for the run, a program of the target. */
function ofTarget(whole: Whole, script: string): Deno.ChildProcess {
  return new Deno.Command("bash", { args: ["-c", script], cwd: `${whole.tree}/data`, stdout: "piped" }).spawn();
}

async function python(whole: Whole, script: string): Promise<string[]> {
  const { code, stdout, stderr } = await whole.run(["python3", "-c", `import errno, os, select, stat\n${script}`]);
  assert.deepEqual([code, stderr], [0, ""], stdout);
  return stdout.trimEnd().split("\n");
}

/** What is left of a FIFO when nobody of the run has it. */
async function isForgotten(whole: Whole): Promise<void> {
  await eventually(() => [...Deno.readDirSync(`${whole.directory}/fifos`)].length === 0);
}

Deno.test("a shell makes a FIFO at the target and two of its programs talk over it", async () => {
  await using whole = await start();
  const script = "mkfifo /data/q; cat /data/q & echo hello > /data/q; wait; stat -c %F /data/q; rm /data/q";
  const { stdout, stderr, code } = await whole.run(["bash", "-c", script]);
  assert.deepEqual([stdout, stderr, code], ["hello\nfifo\n", "", 0]);
  await isForgotten(whole);
});

Deno.test("what a program of the target writes to a FIFO is read to its end, again and again", async () => {
  await using whole = await start();
  for (const [writing, last] of [["echo one", "one"], ["true", ""], ["seq 100000", "100000"]]) {
    const writer = ofTarget(whole, `${writing} > p`);
    const { stdout, stderr } = await whole.run(["bash", "-c", "cat /data/p | tail -n 1"]);
    assert.deepEqual([stdout.trim(), stderr], [last, ""]);
    assert.ok((await writer.output()).success);
    await isForgotten(whole);
  }
});

Deno.test("what a program writes to a FIFO is read by one of the target, to its end", async () => {
  await using whole = await start();
  const reading = ofTarget(whole, "cat p; cat p | tail -n 1");
  const { stderr, code } = await whole.run(["bash", "-c", "echo hello > /data/p; seq 100000 > /data/p"]);
  assert.deepEqual([stderr, code], ["", 0]);
  assert.equal(new TextDecoder().decode((await reading.output()).stdout), "hello\n100000\n");
  await isForgotten(whole);
});

Deno.test("open() of a FIFO without another end waits or is ENXIO, and fstat() tells the target's", async () => {
  await using whole = await start();
  const lines = await python(
    whole,
    `try: os.open("/data/p", os.O_WRONLY | os.O_NONBLOCK)
except OSError as error: print(errno.errorcode[error.errno])
r = os.open("/data/p", os.O_RDONLY | os.O_NONBLOCK)
print(os.read(r, 10), select.select([r], [], [], 0)[0] == [])
there, here = os.stat("/data/p"), os.fstat(r)
print(stat.S_ISFIFO(here.st_mode), oct(here.st_mode), (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
w = os.open("/data/p", os.O_WRONLY | os.O_NONBLOCK)
count = 0
try:
    while True: count += os.write(w, b"x" * 4096)
except BlockingIOError: print(count)
print(len(os.read(r, 1 << 20)))
try: os.read(r, 1)
except BlockingIOError: print("EAGAIN")
os.close(w); print(os.read(r, 1)); os.close(r)
b = os.open("/data/p", os.O_RDWR); os.write(b, b"both"); print(os.read(b, 10))`,
  );
  assert.deepEqual(lines, [
    "ENXIO",
    "b'' True",
    "True 0o10640 True",
    "65536",
    "65536",
    "EAGAIN",
    "b''",
    "b'both'",
  ]);
});

Deno.test("who writes to a FIFO whose reader at the target has gone gets SIGPIPE", async () => {
  await using whole = await start();
  const reading = ofTarget(whole, "head -n 1 p");
  const { code, stderr } = await whole.run(["bash", "-c", "(yes > /data/p) ; echo $? >&2"]);
  assert.deepEqual([code, stderr], [0, "141\n"]);
  assert.equal(new TextDecoder().decode((await reading.output()).stdout), "y\n");
});

Deno.test("a program that holds a FIFO for reading hears one writer of the target after the other", async () => {
  await using whole = await start();
  await using server = whole.start([
    "python3",
    "-uc",
    `import os
fd = os.open("/data/p", os.O_RDWR)
print("ready")
while True:
    line = os.read(fd, 100)
    if line == b"end\\n": break
    print(line.decode().strip())`,
  ]);
  const next = async () => (await server.lines.next()).value;
  assert.equal(await next(), "ready");
  for (const word of ["one", "two"]) {
    assert.ok((await ofTarget(whole, `echo ${word} > p`).output()).success);
    assert.equal(await next(), word);
  }
  assert.ok((await whole.run(["sh", "-c", "echo three > /data/p"])).code === 0);
  assert.equal(await next(), "three");
  assert.ok((await ofTarget(whole, "echo end > p").output()).success);
  assert.equal(await next(), undefined);
  await isForgotten(whole);
});

Deno.test("nobody at the target takes a run that reads no more for a reader", async () => {
  await using whole = await start();
  const writing = ofTarget(whole, "echo first > p");
  assert.equal((await whole.run(["cat", "/data/p"])).stdout, "first\n");
  await writing.output();
  await isForgotten(whole);
  const nobody = ofTarget(
    whole,
    "python3 -c 'import os; os.open(\"p\", os.O_WRONLY | os.O_NONBLOCK)' 2>&1 | tail -n 1",
  );
  assert.match(new TextDecoder().decode((await nobody.output()).stdout), /^OSError: \[Errno 6\]/);
});

Deno.test("a program that waits for the other end of a FIFO can be interrupted, and killed", async () => {
  await using whole = await start();
  const lines = await python(
    whole,
    `import signal
rings = 0
def ring(*_):
    global rings
    rings -= 1
    if rings == 0: raise InterruptedError
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
for flags in (os.O_RDONLY, os.O_WRONLY):
    try:
        rings = 2
        os.open("/data/p", flags)
    except InterruptedError:
        print("rung")
signal.setitimer(signal.ITIMER_REAL, 0)
pid = os.fork()
if pid == 0: os.open("/data/p", os.O_RDONLY)
os.kill(pid, 9); os.waitpid(pid, 0)`,
  );
  assert.deepEqual(lines, ["rung", "rung"]);
  await isForgotten(whole);
});

Deno.test("a FIFO that the target's user may not use, and what is none, are refused", async () => {
  await using whole = await start();
  await new Deno.Command("python3", {
    args: ["-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", `${whole.tree}/data/s`],
  }).output();
  const lines = await python(
    whole,
    `for path, flags in (("/data/s", os.O_RDONLY), ("/data/s", os.O_WRONLY), ("/data/p", os.O_RDONLY | os.O_DIRECTORY)):
    try: os.open(path, flags)
    except OSError as error: print(errno.errorcode[error.errno])
try: os.open("/data/p", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
except OSError as error: print(errno.errorcode[error.errno])
print(stat.S_ISFIFO(os.fstat(os.open("/data/p", os.O_PATH)).st_mode))`,
  );
  assert.deepEqual(lines, ["ENXIO", "ENXIO", "ENOTDIR", "EEXIST", "True"]);
});
