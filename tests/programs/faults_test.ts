/** What goes wrong at the target, with the agent, or with us: each ends in the right errno or the right end, and nothing hangs. */
import assert from "node:assert/strict";
import { spawnMirrord } from "../support/mirrord.ts";
import { eventually } from "../support/sandbox.ts";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";

const PYTHON = "/usr/bin/python3";
const MB = 1 << 20;

/** What a Python program says that ends well. */
async function python(
  it: Case,
  script: string,
  options: { flags?: string[]; before?: string[] } = {},
): Promise<string> {
  const command = [...options.before ?? [], PYTHON, "-S", "-c", script];
  const { code, stdout, stderr } = await it.run(command, { flags: options.flags ?? [] });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, stdout);
  return stdout;
}

async function inMounts(it: Case, ...command: string[]): Promise<void> {
  const args = ["--target", String(it.sandbox.pid), "--mount", "--", ...command];
  const { success, stderr } = await new Deno.Command("nsenter", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Processes of mirrord's own whose command line holds all of `words`. */
function ownProcesses(...words: string[]): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => {
    try {
      const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return words.every((word) => command.includes(word));
    } catch {
      return false;
    }
  });
}

/** Starts a program that says a line when it is under way, and calls `fault` then; resolves with how it ended. */
async function faultWhile(
  it: Case,
  script: string,
  fault: (directory: string) => void,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const flags = ["exec", "-t", `process/${it.sandbox.pid}`, "--fs-mode=write", "--"];
  const env = { MIRRORD_PROGRESS_MODE: "off", XDG_RUNTIME_DIR: it.here, PYTHONUNBUFFERED: "1" };
  const child = spawnMirrord([...flags, PYTHON, "-S", "-c", script], { env, cwd: "/tmp" });
  await child.stdin.close();
  const [watched, rest] = child.stdout.tee();
  const reader = watched.getReader();
  const { value } = await reader.read();
  assert.match(new TextDecoder().decode(value), /^under way/);
  fault(it.here);
  const drained = (async () => {
    while (!(await reader.read()).done);
  })();
  const [stdout, stderr, { code }] = await Promise.all([
    new Response(rest).text(),
    new Response(child.stderr).text(),
    child.status,
  ]);
  await drained;
  return { code, stdout, stderr };
}

function kill(pids: readonly number[]): void {
  assert.notEqual(pids.length, 0, "nothing to kill");
  for (const pid of pids) Deno.kill(pid, "SIGKILL");
}

const agentOf = (it: Case) => ownProcesses("agent", "--pid", String(it.sandbox.pid));
const intproxyOf = (directory: string) =>
  [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").includes("intproxy") &&
        Deno.readTextFileSync(`/proc/${pid}/environ`).includes(directory);
    } catch {
      return false;
    }
  });

sandboxTest("a full disk at the target is ENOSPC, and what had room is there", {}, async (it) => {
  await Deno.mkdir(`${it.sandbox.root}/full`);
  await inMounts(it, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", `${it.sandbox.root}/full`);
  const script = `import os, errno
fd = os.open("/full/file", os.O_WRONLY | os.O_CREAT, 0o644)
said = None
try:
    for _ in range(64): os.write(fd, b"x" * 65536)
    os.fsync(fd)
except OSError as error: said = error.errno
try: os.close(fd)
except OSError as error: said = said or error.errno
print(errno.errorcode[said])
os.unlink("/full/file")
open("/full/small", "w").write("fits")
print(open("/full/small").read())
try: os.mkdir("/full/" + "d" * 256)
except OSError as error: print(errno.errorcode[error.errno])`;
  assert.equal(await python(it, script, { flags: ["--fs-mode=write"] }), "ENOSPC\nfits\nENAMETOOLONG\n");
});

sandboxTest("a file that goes between two calls is ENOENT by its name and whole by its descriptor", {
  files: { "/data/goes": "all of it", "/data/stays": "" },
}, async (it) => {
  const script = `import os, time
print(os.stat("/data/goes").st_size)
held = open("/data/goes")
os.remove("${it.sandbox.root}/data/goes")
# What others do at the target is known when the agent has told of it.
while os.path.exists("/data/goes"): time.sleep(0.01)
print(held.read(), os.fstat(held.fileno()).st_size)
for attempt in (lambda: open("/data/goes"), lambda: os.stat("/data/goes"), lambda: os.readlink("/data/goes")):
    try: attempt()
    except OSError as error: print(error.errno)`;
  assert.equal(await python(it, script), "9\nall of it 9\n2\n2\n2\n");
});

for (
  const [what, loop] of [
    [
      "a big file is read",
      'while True:\n    with open("/data/big", "rb", buffering=0) as it:\n        while it.read(65536): pass',
    ],
    [
      "stats are asked by the thousand",
      'import os\nwhile True:\n    for n in range(1000): os.path.exists("/data/none/%d" % n)',
    ],
    [
      "a file is written",
      'import os\nout = open("/data/written", "wb", buffering=0)\nwhile True: out.write(b"x" * 10000); out.seek(0); os.fsync(out.fileno())',
    ],
  ] as const
) {
  const files = { "/data/big": new Uint8Array(20 * MB), "/data/none/x": "" };
  sandboxTest(`when the agent dies while ${what}, the program is told and ended`, { files }, async (it) => {
    const { code, stderr } = await faultWhile(it, `print("under way", flush=True)\n${loop}`, () => kill(agentOf(it)));
    assert.match(stderr, /mirrord: .*|OSError|EIO/);
    assert.notEqual(code, 0);
  });
  sandboxTest(
    `when the intproxy dies while ${what}, calls fail and the program goes on or ends by itself`,
    { files },
    async (it) => {
      const script = `print("under way", flush=True)\ntry:\n    ${
        loop.replaceAll("\n", "\n    ")
      }\nexcept OSError as error: print("ended by", error.errno)`;
      const isEndless = loop.includes("exists");
      const bounded = isEndless ? script.replace("while True:", "for _ in range(20):") : script;
      const { stdout } = await faultWhile(it, bounded, (directory) => kill(intproxyOf(directory)));
      if (!isEndless) assert.match(stdout, /ended by \d+/);
      await eventually(() => agentOf(it).length === 0);
    },
  );
}

sandboxTest("10 000 files may be open at once, and one more than the limit is EMFILE", {
  files: Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`/data/f${at}`, `text ${at}`])),
}, async (it) => {
  const script = `import os
fds = [os.open("/data/f%d" % (n % 100), os.O_RDONLY) for n in range(10000)]
print(sum(os.read(fd, 100) == b"text %d" % (n % 100) for n, fd in enumerate(fds)), os.fstat(fds[-1]).st_size)
try:
    while True: fds.append(os.open("/data/f1", os.O_RDONLY))
except OSError as error: print(error.errno)
for fd in fds: os.close(fd)
print(open("/data/f7").read())`;
  const before = ["prlimit", "--nofile=12000:12000"];
  assert.equal(await python(it, script, { before }), "10000 7\n24\ntext 7\n");
});

sandboxTest("long paths: 4 095 bytes are found, 4 096 are ENAMETOOLONG, and so is a name of 256", {}, async (it) => {
  const script = `import os
deep = "/data" + "/" + "x" * 200
os.makedirs(deep)
slashes = "/data" + "/" * (4095 - len("/data") - 201) + "x" * 200 + "/"
for path in (slashes, slashes + "/", "/data/" + "n" * 255, "/data/" + "n" * 256, "/data/" + "x/" * 2100):
    for attempt in (os.stat, os.listdir, lambda it: os.open(it, os.O_RDONLY)):
        try: attempt(path); print(len(path), "ok")
        except OSError as error: print(len(path), error.errno)`;
  const said = (await python(it, script, { flags: ["--fs-mode=write"] })).trimEnd().split("\n");
  assert.deepEqual(said, ["4095 ok", "4096 36", "261 2", "262 36", "4206 36"].flatMap((line) => [line, line, line]));
});

sandboxTest("names that are not UTF-8 are listed, opened, made and removed", {}, async (it) => {
  const script = `import os
os.mkdir(b"/data")
name = b"/data/caf\\xe9 \\xff\\x01"
with open(name, "w") as it: it.write("bytes")
print(os.listdir(b"/data"), open(name).read(), os.path.realpath(name))
os.rename(name, b"/data/\\xfe"); os.symlink(b"\\xfe", b"/data/l"); print(os.readlink(b"/data/l"), open(b"/data/l").read())
os.unlink(b"/data/\\xfe"); print(os.listdir(b"/data"))`;
  const said = await python(it, script, { flags: ["--fs-mode=write"] });
  assert.equal(said, "[b'caf\\xe9 \\xff\\x01'] bytes b'/data/caf\\xe9 \\xff\\x01'\nb'\\xfe' bytes\n[b'l']\n");
});

sandboxTest("a directory of 100 000 entries is listed whole, and its end is found", {}, async (it) => {
  await Deno.mkdir(`${it.sandbox.root}/data/many`, { recursive: true });
  const make = `cd ${it.sandbox.root}/data/many && seq -f entry-%06g 100000 | xargs touch`;
  assert.ok((await new Deno.Command("sh", { args: ["-c", make] }).output()).success);
  const script = `import os
names = os.listdir("/data/many")
print(len(names), len(set(names)), min(names), max(names), sum(it.is_file() for it in os.scandir("/data/many")))
print(os.path.exists("/data/many/entry-099999"), os.path.exists("/data/many/entry-100001"))`;
  assert.equal(await python(it, script), "100000 100000 entry-000001 entry-100000 100000\nTrue False\n");
});

sandboxTest("200 processes at once read the target's files, each its own", {
  files: Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`/data/f${at}`, `text ${at}\n`])),
}, async (it) => {
  const { stdout, stderr, code } = await it.run(["sh", "-c", "for n in $(seq 0 199); do cat /data/f$n & done; wait"]);
  assert.deepEqual([code, stderr], [0, ""]);
  const said = stdout.trimEnd().split("\n").map((line) => Number(line.slice(5))).sort((a, b) => a - b);
  assert.deepEqual(said, Array.from({ length: 200 }, (_, at) => at));
});

sandboxTest("when the target's tree goes, its paths are ENOENT and its open files stay readable", {
  files: { "/data/deep/file": "text" },
}, async (it) => {
  const script = `import os, shutil
held = open("/data/deep/file"); above = os.open("/data/deep", os.O_RDONLY)
shutil.rmtree("${it.sandbox.root}/data")
print(held.read())
for attempt in (lambda: open("/data/deep/file"), lambda: os.stat("/data"), lambda: os.open("file", os.O_RDONLY, dir_fd=above)):
    try: attempt()
    except OSError as error: print(error.errno)`;
  assert.equal(await python(it, script), "text\n2\n2\n2\n");
});

sandboxTest(
  "what a program wrote arrives at the target, though it is killed then",
  {},
  async (it) => {
    await Deno.mkdir(`${it.sandbox.root}/data`);
    const script = `import os, signal
fd = os.open("/data/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
for n in range(200): os.write(fd, b"line %d\\n" % n)
print("under way", flush=True)
signal.pause()`;
    let pids: number[] = [];
    const { code } = await faultWhile(it, script, (directory) => {
      pids = [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => {
        try {
          return Deno.readTextFileSync(`/proc/${pid}/comm`).startsWith("python3") &&
            Deno.readTextFileSync(`/proc/${pid}/environ`).includes(directory);
        } catch {
          return false;
        }
      });
      kill(pids);
    });
    assert.equal(code, 137);
    const all = Array.from({ length: 200 }, (_, at) => `line ${at}\n`).join("");
    await eventually(() => Deno.readTextFileSync(`${it.sandbox.root}/data/log`) === all);
  },
);
