/** Directory reading: remote directories come with one message, whatever way they are read. */
import assert from "node:assert/strict";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { answerFrom, directory, file, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const NAMES = ["b.txt", "a.txt", "inner/"];
const TREE: Tree = {
  "/data": directory(...NAMES),
  "/data/..": directory(),
  "/data/a.txt": file("A"),
  "/data/b.txt": file("BB"),
  "/data/inner": directory(),
  "/data/inner/deep": file("deep bytes"),
  "/data/full": directory(...Array.from({ length: 3000 }, (_, at) => `entry-${at}`)),
};

async function call(symbol: string, args: string[]): Promise<{ output: string; asked: string[] }> {
  await using app = await startUnderShim("files", [symbol, ...args], { answer: answerFrom(TREE) });
  const output = await app.output();
  return {
    output: output.trimEnd(),
    asked: app.frames.map((it) => `${it.type} ${"path" in it ? fromUtf8(it.path) : ""}`),
  };
}

async function localDirectory(): Promise<{ path: string } & Disposable> {
  const path = await Deno.makeTempDir({ prefix: "mirrord-local-" });
  for (const name of ["b.txt", "a.txt"]) await Deno.writeTextFile(`${path}/${name}`, "");
  await Deno.mkdir(`${path}/inner`);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

const ALL = "./1/4 ../2/4 b.txt/3/8 a.txt/4/8 inner/5/4";
const STAT = "mode 40755 size 4096 ino 4242 links 3 uid 1234 gid 567 dev 2049 blocks 0 mtime 1700000000.000000005";

/** What each symbol prints of the remote directory, and the names it prints of the local one (sorted). */
const SYMBOLS: Record<string, { remote: string; local: RegExp }> = {
  opendir: { remote: ALL, local: /a\.txt/ },
  fdopendir: { remote: ALL, local: /a\.txt/ },
  readdir: { remote: ALL, local: /a\.txt/ },
  readdir64: { remote: ALL, local: /a\.txt/ },
  readdir_r: { remote: ALL, local: /a\.txt/ },
  readdir64_r: { remote: ALL, local: /a\.txt/ },
  telldir: { remote: ALL.replace("./1/4 ", ""), local: /\// },
  seekdir: { remote: ALL.replace("./1/4 ", ""), local: /\// },
  closedir: { remote: "0 then closed", local: /^0 then closed$/ },
  dirfd: { remote: STAT, local: /^mode 40700 / },
  scandir: { remote: "a.txt b.txt inner", local: /^a\.txt b\.txt inner$/ },
  scandir64: { remote: "a.txt b.txt inner", local: /^a\.txt b\.txt inner$/ },
  scandirat: { remote: "a.txt b.txt inner", local: /^a\.txt b\.txt inner$/ },
  scandirat64: { remote: "a.txt b.txt inner", local: /^a\.txt b\.txt inner$/ },
  getdents64: { remote: ". .. b.txt a.txt inner", local: /a\.txt/ },
};

for (const [symbol, expected] of Object.entries(SYMBOLS)) {
  Deno.test(`${symbol}() works on the target's directory when the path is remote, with one message`, async () => {
    assert.deepEqual(await call(symbol, ["/data"]), { output: expected.remote, asked: ["Open /data"] });
  });

  Deno.test(`${symbol}() works on the local directory without a message when the path is local`, async () => {
    using local = await localDirectory();
    const { output, asked } = await call(symbol, [local.path]);
    assert.match(output, expected.local);
    assert.deepEqual(asked, []);
  });
}

Deno.test("rewinddir() makes who reads on see the target's directory as it is by then", async () => {
  const { output, asked } = await call("rewinddir", ["/data"]);
  assert.deepEqual({ output, asked }, { output: ALL, asked: ["Open /data", "Open /data"] });
});

Deno.test("rewinddir() works on the local directory without a message when the path is local", async () => {
  using local = await localDirectory();
  const { output, asked } = await call("rewinddir", [local.path]);
  assert.match(output, /inner/);
  assert.deepEqual(asked, []);
});

for (const symbol of ["glob", "glob64"]) {
  Deno.test(`${symbol}() matches in the target's directory when the pattern is remote`, async () => {
    assert.equal((await call(symbol, ["/data/*.txt"])).output, "/data/a.txt /data/b.txt");
  });

  Deno.test(`${symbol}() matches locally without a message when the pattern is local`, async () => {
    using local = await localDirectory();
    const { output, asked } = await call(symbol, [`${local.path}/*.txt`]);
    assert.deepEqual({ output, asked }, { output: `${local.path}/a.txt ${local.path}/b.txt`, asked: [] });
  });
}

Deno.test("wordexp() finds the target's names; what is quoted is none", async () => {
  const { output } = await call("wordexp", ["/data/*.txt '/data/*.txt' /data/x* $(echo a)"]);
  assert.equal(output, "/data/a.txt /data/b.txt /data/*.txt /data/x* a");
});

Deno.test("wordexp() finds local names without a message", async () => {
  using local = await localDirectory();
  const { output, asked } = await call("wordexp", [`${local.path}/*.txt`]);
  assert.deepEqual({ output, asked }, { output: `${local.path}/a.txt ${local.path}/b.txt`, asked: [] });
});

Deno.test("opendir() fails with the agent's errno", async () => {
  assert.equal((await call("opendir", ["/data/a.txt"])).output, "ENOTDIR");
  assert.equal((await call("opendir", ["/data/none"])).output, "ENOENT");
  assert.equal((await call("fdopendir", ["/data/a.txt"])).output, "ENOTDIR");
});

// Row L34
Deno.test("readdir() hands out a directory of thousands of entries", async () => {
  const { output, asked } = await call("readdir", ["/data/full"]);
  assert.equal(output.split(" ").length, 3002);
  assert.equal(asked.length, 1);
});

Deno.test("openat() and fstatat() relative to a remote directory go to the target", async () => {
  const { output, asked } = await call("relative", ["/data/inner", "deep"]);
  const lines = output.split("\n");
  assert.equal(lines[0], "deep bytes");
  assert.match(lines[1]!, /size 10 /);
  assert.deepEqual(asked, ["Open /data/inner", "Open /data/inner/deep", "Stat /data/inner/deep"]);
});

Deno.test("openat() relative to a local directory stays local", async () => {
  using local = await localDirectory();
  const { output, asked } = await call("relative", [local.path, "a.txt"]);
  assert.match(output, /\nmode .* size 0 .*\nread -1 EISDIR$/);
  assert.deepEqual(asked, []);
});

Deno.test("read() of a remote directory is EISDIR, in libc's checked form __read_chk() too", async () => {
  assert.match((await call("relative", ["/data/inner", "deep"])).output, /\nread -1 EISDIR$/);
});

Deno.test("ls -la and find walk a remote tree", async () => {
  await using ls = await startUnderShim("/usr/bin/ls", ["-la", "/data"], { answer: answerFrom(TREE) });
  const listing = await ls.output();
  assert.match(listing, /^total .*\n.* \.\n.* \.\.\n.* a\.txt\n.* b\.txt\n.* inner\n$/);
  await using find = await startUnderShim("/usr/bin/find", ["/data"], { answer: answerFrom(TREE) });
  assert.equal(await find.output(), "/data\n/data/b.txt\n/data/a.txt\n/data/inner\n");
});
