/** Bursts of real programs over one directory: what a listing of a moment ago answers, and what is still asked. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

const STILL = () => 0;
const MANY = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`/data/file${at}`, `${at}`]));

/** Waits until nothing has changed in /data for so long that a listing is sure to be all there is. */
async function startStill(files: Record<string, string>, now: () => number = STILL): Promise<Whole> {
  const whole = await Whole.start(files, now);
  // mtime in the place of ctime, of which Deno tells whole seconds.
  const changed = (await Deno.stat(`${whole.tree}/data`)).mtime!.getTime();
  while (Date.now() - changed < 100) await new Promise((resolve) => setTimeout(resolve, 5));
  return whole;
}

const python = (script: string) => ["/usr/bin/python3", "-S", "-c", script];
const isPythonMissing = await new Deno.Command("/usr/bin/python3", { args: ["--version"] }).output()
  .then(() => false, () => true);
const needsPython = isPythonMissing ? " (needs /usr/bin/python3)" : "";

Deno.test("ls -l of 1 000 files is four messages: stat and listing, and the attributes of both that ls asks for", async () => {
  await using whole = await Whole.start(MANY, STILL);
  const { code, stdout, stderr, messages } = await whole.run(["ls", "-l", "/data"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(stdout.split("\n").filter((line) => /^-rw.* file\d+$/.test(line)).length, 1000);
  assert.deepEqual(messages, ["Stat", "EntryAttributes", "Walk", "EntryAttributes"]);
});

Deno.test("ls -l of a directory too long for one answer shows all of it, and asks by the thousand", async () => {
  const names = Array.from({ length: 15_000 }, (_, at) => `${at}`.padEnd(100, "x"));
  await using whole = await Whole.start({ "/data/a": "" }, STILL);
  for (const name of names) Deno.writeTextFileSync(`${whole.tree}/data/${name}`, "");
  const { stdout, stderr, messages } = await whole.run(["ls", "-l", "/data"]);
  assert.equal(stderr, "");
  assert.equal(stdout.split("\n").filter((line) => line.startsWith("-rw")).length, 15_001);
  const asked = messages.filter((type) => !["ReadAt", "CloseHandle"].includes(type));
  const blocks = Array.from({ length: 8 }, () => ["StatEntries", "EntryAttributes"]).flat();
  assert.deepEqual(asked, ["Stat", "EntryAttributes", "Walk", ...blocks]);
});

Deno.test("ls without -l is no more", async () => {
  await using whole = await Whole.start(MANY, STILL);
  const { stdout, messages } = await whole.run(["ls", "/data"]);
  assert.equal(stdout.split("\n").length, 1001);
  assert.deepEqual(messages, ["Stat", "Walk"]);
});

Deno.test({
  name: `lstat of every entry says what it says at the target, links included${needsPython}`,
  ignore: isPythonMissing,
  async fn() {
    await using whole = await Whole.start({ "/data/file": "1", "/data/below/file": "2", "/other/file": "3" }, STILL);
    await Deno.symlink("file", `${whole.tree}/data/link`);
    await Deno.symlink("/other", `${whole.tree}/data/away`);
    await Deno.symlink("nowhere", `${whole.tree}/data/dangling`);
    const script = (top: string) =>
      `import os
top = "${top}"
names = sorted(os.listdir(top + "/data"))
def say(name, follow):
    try:
        st = os.stat(top + "/data/" + name, follow_symlinks=follow)
        print(name, follow, oct(st.st_mode), st.st_ino, st.st_dev, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    except OSError as error:
        print(name, follow, error.errno)
for name in names + ["below/../file", "away/file", "away/../data/link", "file/", "missing", "below/", ".", ".."]:
    say(name, False)
for name in ["file", "link", "below", "dangling"]:
    say(name, True)
`;
    const remote = await whole.run(python(script("")));
    const local = await new Deno.Command("/usr/bin/python3", { args: ["-S", "-c", script(whole.tree)] }).output();
    // An absolute link means the target's root there and this machine's here.
    const but = (text: string) => text.split("\n").filter((line) => !line.startsWith("away/"));
    assert.deepEqual(but(remote.stdout), but(new TextDecoder().decode(local.stdout)));
    assert.match(remote.stdout, /^away\/file False 0o100/m);
  },
});

Deno.test({
  name: `names beside a listed one that do not exist cost nothing${needsPython}`,
  ignore: isPythonMissing,
  async fn() {
    await using whole = await startStill({ "/data/there": "1" });
    const { stdout, messages } = await whole.run(python(`import os
print(os.listdir("/data"))
print([os.path.exists("/data/missing%d" % at) for at in range(50)].count(False))
try: open("/data/config.yaml")
except FileNotFoundError as error: print(error.errno)
`));
    assert.equal(stdout, "['there']\n50\n2\n");
    assert.deepEqual(messages, ["Walk"]);
  },
});

Deno.test({
  name: `a module looked for in a path at the target costs its listing${needsPython}`,
  ignore: isPythonMissing,
  async fn() {
    await using whole = await startStill({ "/data/settings": "1" });
    const { stdout, messages } = await whole.run(python(`import sys, importlib.util
sys.path[:] = ["/data"]
print([importlib.util.find_spec("missing%d" % at) for at in range(20)].count(None))
`));
    assert.equal(stdout, "20\n");
    // Python asks for the directory's own mtime for each module and lists it once; that, and the three spellings of each
    // module's name, cost nothing. The second question about an entry of / brings that, too.
    assert.ok(messages.filter((type) => type === "Walk").length <= 2, `${messages}`);
    assert.ok(messages.length <= 8, `${messages}`);
  },
});

Deno.test("a loop that waits for a file beside a listed one sees it when its time is over", async () => {
  let now = 0;
  // Every look at the clock takes it a little further.
  await using whole = await startStill({ "/data/there": "1" }, () => now += 10);
  const script =
    `ls /data; touch ${whole.tree}/data/new; while [ ! -e /data/new ]; do looked=1; done; cat /data/new; echo seen`;
  const { stdout } = await whole.run(["bash", "-c", script]);
  assert.equal(stdout, "there\nseen\n");
});
