/** Trees at the edges: what vanishes between two calls, the longest paths, names that are no text, very many entries. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

const WRITE = { fsMode: 3 };
const STILL = () => 0;
const PYTHON = ["/usr/bin/python3", "-S", "-c"];

/** What python prints under the shim, and the messages to the agent. */
async function python(whole: Whole, script: string): Promise<{ lines: string[]; messages: string[] }> {
  const { code, stdout, stderr, messages } = await whole.run([...PYTHON, script]);
  assert.deepEqual([code, stderr], [0, ""]);
  return { lines: stdout.trim().split("\n"), messages };
}

const SAY = `import errno, os, sys
def say(act, *args, **more):
    try: print(act(*args, **more), flush=True)
    except OSError as error: print(errno.errorcode[error.errno], flush=True)
`;

Deno.test("what vanishes between two calls is ENOENT, and never what it was before", async () => {
  await using whole = await Whole.start({ "/data/d/gone": "1", "/data/d/stays": "2" }, undefined, WRITE);
  const remove = `${whole.tree}/data/d/gone`;
  const { lines } = await python(
    whole,
    `${SAY}
import subprocess, time
names = sorted(os.listdir("/data/d")); fd = os.open("/data/d/gone", os.O_RDONLY); dir = os.open("/data/d", os.O_RDONLY)
subprocess.run(["rm", "-r", ${JSON.stringify(whole.tree)} + "/data/d/gone"], env={})
# What others do at the target is known when the agent has told of it.
while os.path.exists("/data/d/gone"): time.sleep(0.01)
say(os.stat, "/data/d/gone"); say(os.open, "/data/d/gone", os.O_RDONLY); say(os.unlink, "/data/d/gone")
say(os.rename, "/data/d/gone", "/data/d/x"); say(os.chmod, "/data/d/gone", 0o600); say(os.open, "gone", 0, dir_fd=dir)
print(names, os.read(fd, 10)); say(os.fchmod, fd, 0o600); say(os.listdir, "/data/d")
subprocess.run(["rm", "-r", ${JSON.stringify(whole.tree)} + "/data/d"], env={})
while os.path.exists("/data/d"): time.sleep(0.01)
say(os.listdir, "/data/d"); say(os.mkdir, "/data/d/x"); say(os.open, "stays", 0, dir_fd=dir); say(os.rmdir, "/data/d")`,
  );
  assert.deepEqual(lines, [
    ...Array(6).fill("ENOENT"),
    "['gone', 'stays'] b'1'",
    "ESTALE",
    "['stays']",
    ...Array(4).fill("ENOENT"),
  ]);
  await assert.rejects(Deno.stat(remove));
});

Deno.test("a tree is removed by a walk that comes up by `..` from what it has removed", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_, at) => [`/data/t/${at % 3}/${"deep/".repeat(8)}${at}`, "x"]),
  );
  await using whole = await Whole.start(files, undefined, WRITE);
  const { code, stderr } = await whole.run(["rm", "-rf", "/data/t"]);
  assert.deepEqual([code, stderr], [0, ""]);
  await assert.rejects(Deno.stat(`${whole.tree}/data/t`), Deno.errors.NotFound);
});

Deno.test("names are bytes: what is not UTF-8 is made, listed, moved and removed", async () => {
  await using whole = await Whole.start({ "/data/x": "" }, STILL, WRITE);
  const { lines } = await python(
    whole,
    `${SAY}
name = b"/data/caf\\xe9 \\xff\\n"
os.mkdir(name); os.symlink(b"\\xfe", name + b"/l"); os.rename(name + b"/l", name + b"/\\x80")
print(os.listdir(name), os.readlink(name + b"/\\x80"), os.path.realpath(name), os.stat(name).st_nlink)
os.setxattr(name, "user.it", b"\\xff\\x00"); print(os.getxattr(name, "user.it")); os.chdir(name); print(os.getcwdb())
os.chdir("/"); os.unlink(name + b"/\\x80"); os.rmdir(name); print(os.listdir(b"/data"))`,
  );
  assert.deepEqual(lines, [
    String.raw`[b'\x80'] b'\xfe' b'/data/caf\xe9 \xff\n' 2`,
    String.raw`b'\xff\x00'`,
    String.raw`b'/data/caf\xe9 \xff\n'`,
    "[b'x']",
  ]);
});

Deno.test("a path of 4095 bytes works, one of 4096 is ENAMETOOLONG, and so is a name of 256", async () => {
  await using whole = await Whole.start({ "/data/x": "" }, STILL, WRITE);
  const { lines } = await python(
    whole,
    `${SAY}
deep = "/data" + ("/" + "d" * 200) * 20
print(len(deep)); fd = os.open("/data", os.O_RDONLY)
os.makedirs(deep) if len(deep) < 3900 else None
for at in range(1, 21):
    path = "/data" + ("/" + "d" * 200) * at
    if not os.path.isdir(path): os.mkdir(path)
for length in (4094, 4095, 4096, 4097, 5000):
    path = deep + "/" + "f" * (length - len(deep) - 1) if length - len(deep) - 1 <= 255 else deep + "/" * (length - len(deep) - 1) + "f"
    print(len(path))
    for act in (os.mkdir, os.stat, lambda it: os.rename(it, it), lambda it: os.chmod(it, 0o700), os.listdir, os.rmdir):
        say(act, path) if act is not os.stat else say(lambda: os.stat(path).st_nlink)
for length in (255, 256):
    for act in (os.mkdir, lambda it: os.stat(it).st_nlink, os.rmdir, os.unlink):
        say(act, "/data/" + "n" * length)`,
  );
  const fits = ["None", "2", "None", "None", "[]", "None"];
  const isTooLong = Array(6).fill("ENAMETOOLONG");
  assert.deepEqual(lines, [
    "4025",
    ...["4094", ...fits, "4095", ...fits, "4096", ...isTooLong, "4097", ...isTooLong, "5000", ...isTooLong],
    ...["None", "2", "None", "ENOENT"],
    ...Array(4).fill("ENAMETOOLONG"),
  ]);
});

/** On a disk that is busy with others, 100 000 files may take a minute. */
async function startInMemory(files: Record<string, string>): Promise<Whole> {
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", "/dev/shm");
  try {
    return await Whole.start(files, STILL, WRITE);
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
}

Deno.test("a directory of 100 000 entries is listed whole, walked, and left when one is removed", async () => {
  await using whole = await startInMemory({ "/data/many/0": "" });
  const many = `cd ${whole.tree}/data/many && seq 1 99999 | xargs touch`;
  await new Deno.Command("sh", { args: ["-c", many] }).output();
  const { lines, messages } = await python(
    whole,
    `${SAY}
names = os.listdir("/data/many"); print(len(names), len(set(names)))
with os.scandir("/data/many") as it: print(sum(entry.is_file() for entry in it))
os.unlink("/data/many/77777"); say(os.stat, "/data/many/77777"); print(len(os.listdir("/data/many")))
fd = os.open("/data/many", os.O_RDONLY); print(len(os.listdir(fd)), len(os.listdir(fd)))`,
  );
  assert.deepEqual(lines, ["100000 100000", "100000", "ENOENT", "99999", "99999 99999"]);
  const asked = messages.filter((it) => it === "Walk" || it === "Remove" || it === "Open");
  // The second time, the descriptor is read from its beginning anew.
  assert.deepEqual(asked.slice(-6), ["Walk", "Walk", "Remove", "Walk", "Open", "Walk"]);
});
