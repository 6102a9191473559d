/** Calls that change the tree or metadata: what each asks of the target, and that it stays here when the path does. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import { fromUtf8 } from "../../src/base/bytes.ts";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { startUnderShim } from "../support/under_shim.ts";

const READ = 2;
const WRITE = 3;

/** Runs `tree SYMBOL ARGS` in mode write; the target answers each request with `errno`. */
async function call(symbol: string, args: string[], { errno = 0 } = {}) {
  const answer = (): LayerMessage => ({ type: "Done", errno });
  await using app = await startUnderShim("tree", [symbol, ...args], { answer, settings: { fsMode: WRITE } });
  const output = (await app.output()).trimEnd();
  return { output, asked: app.frames.map(shown), frames: app.frames };
}

/** A message in one line: its type and its fields, without those that only say "nothing". */
function shown(frame: LayerFrame): string {
  const { type, id: _, ...fields } = frame;
  const texts = Object.entries(fields).map(([name, value]) =>
    `${name} ${value instanceof Uint8Array ? fromUtf8(value) : value}`
  );
  return [type, ...texts].join(", ");
}

const uid = Deno.uid();
const SUBJECT = "isFollowing true, dev 0, ino 0";
const LINK_ITSELF = "isFollowing false, dev 0, ino 0";
const TIMES = "atimeSec 1, atimeNsec 3000, mtimeSec 2, mtimeNsec 4000";
const OWNER = `uid ${uid}, gid 4294967295`;
const DIRECTORY_MODE = 0o40666;
const FIFO_MODE = 0o10666;
const umask = 0o27;

const node = (mode: number, device: number) => `MakeNode, mode ${mode}, umask ${umask}, device ${device}, path /data/a`;

/** What is asked when the paths are /data/a (and /data/b). */
const ASKED: Record<string, { paths?: 2; asked: string }> = {
  rename: { paths: 2, asked: "Rename, flags 0, from /data/a, to /data/b" },
  renameat: { paths: 2, asked: "Rename, flags 0, from /data/a, to /data/b" },
  renameat2: { paths: 2, asked: "Rename, flags 0, from /data/a, to /data/b" },
  link: { paths: 2, asked: `Link, ${LINK_ITSELF}, from /data/a, to /data/b` },
  linkat: { paths: 2, asked: `Link, ${LINK_ITSELF}, from /data/a, to /data/b` },
  mkdir: { asked: node(DIRECTORY_MODE, 0) },
  mkdirat: { asked: node(DIRECTORY_MODE, 0) },
  rmdir: { asked: "Remove, kinds 1, path /data/a" },
  unlink: { asked: "Remove, kinds 0, path /data/a" },
  unlinkat: { asked: "Remove, kinds 0, path /data/a" },
  remove: { asked: "Remove, kinds 2, path /data/a" },
  mknod: { asked: node(FIFO_MODE, 0x103) },
  mknodat: { asked: node(FIFO_MODE, 0x103) },
  __xmknod: { asked: node(FIFO_MODE, 0x103) },
  __xmknodat: { asked: node(FIFO_MODE, 0x103) },
  mkfifo: { asked: node(FIFO_MODE, 0) },
  mkfifoat: { asked: node(FIFO_MODE, 0) },
  chmod: { asked: `SetMode, ${SUBJECT}, mode ${0o666}, path /data/a` },
  lchmod: { asked: `SetMode, ${LINK_ITSELF}, mode ${0o666}, path /data/a` },
  fchmodat: { asked: `SetMode, ${SUBJECT}, mode ${0o666}, path /data/a` },
  chown: { asked: `SetOwner, ${SUBJECT}, ${OWNER}, path /data/a` },
  lchown: { asked: `SetOwner, ${LINK_ITSELF}, ${OWNER}, path /data/a` },
  fchownat: { asked: `SetOwner, ${SUBJECT}, ${OWNER}, path /data/a` },
  utime: {
    asked: `SetTimes, ${SUBJECT}, atimeSec 1, atimeNsec 0, mtimeSec 2, mtimeNsec 0, path /data/a`,
  },
  utimes: { asked: `SetTimes, ${SUBJECT}, ${TIMES}, path /data/a` },
  lutimes: { asked: `SetTimes, ${LINK_ITSELF}, ${TIMES}, path /data/a` },
  futimesat: { asked: `SetTimes, ${SUBJECT}, ${TIMES}, path /data/a` },
  utimensat: {
    asked: `SetTimes, ${SUBJECT}, atimeSec -1, atimeNsec 3, mtimeSec 2, mtimeNsec 4, path /data/a`,
  },
  truncate: { asked: "Truncate, size 5, path /data/a" },
  truncate64: { asked: "Truncate, size 5, path /data/a" },
};

for (const [symbol, { paths, asked }] of Object.entries(ASKED)) {
  const remote = paths === 2 ? ["/data/a", "/data/b"] : ["/data/a"];

  Deno.test(`${symbol}() is one message when the path is the target's`, async () => {
    const did = await call(symbol, remote);
    assert.deepEqual([did.output, did.asked], ["0", [asked]]);
  });

  Deno.test(`${symbol}() fails with the agent's errno`, async () => {
    assert.equal((await call(symbol, remote, { errno: ERRNO.EACCES })).output, "EACCES");
  });

  Deno.test(`${symbol}() stays here, without a message, when the path does`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/a`, "ten bytes.");
      const makes = /mk(dir|nod|fifo)/.test(symbol);
      if (makes) await Deno.remove(`${directory}/a`);
      if (symbol === "rmdir") {
        await Deno.remove(`${directory}/a`);
        await Deno.mkdir(`${directory}/a`);
      }
      const local = paths === 2 ? [`${directory}/a`, `${directory}/b`] : [`${directory}/a`];
      assert.deepEqual(await call(symbol, local), { output: "0", asked: [], frames: [] });
      const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort().join();
      const expected = symbol.startsWith("rename") ? "b" : symbol.startsWith("link") ? "a,b" : "a";
      assert.equal(names, /^(rmdir|unlink|unlinkat|remove)$/.test(symbol) ? "" : expected);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

for (const symbol of ["symlink", "symlinkat"]) {
  Deno.test(`${symbol}() takes the text as it is, wherever that leads`, async () => {
    const asked = ["Symlink, path /data/b, text ../etc//x"];
    const did = await call(symbol, ["../etc//x", "/data/b"]);
    assert.deepEqual([did.output, did.asked], ["0", asked]);
  });
}

for (const symbol of ["rename", "renameat", "renameat2", "link", "linkat"]) {
  Deno.test(`${symbol}() between here and the target is EXDEV, and nobody is asked`, async () => {
    assert.deepEqual(await call(symbol, ["/data/a", "/tmp/none"]), { output: "EXDEV", asked: [], frames: [] });
    assert.deepEqual(await call(symbol, ["/tmp/none", "/data/a"]), { output: "EXDEV", asked: [], frames: [] });
  });
}

Deno.test("renameat2() hands on its flags", async () => {
  const { asked } = await call("renameat2", ["/data/a", "/data/b", "2"]);
  assert.deepEqual(asked, ["Rename, flags 2, from /data/a, to /data/b"]);
  assert.deepEqual((await call("renameat2", ["/data/a", "/data/b", "3"])).output, "EINVAL");
});

Deno.test("two paths of the greatest length go in one message", async () => {
  const long = (letter: string) => `/data/${`${letter.repeat(250)}/`.repeat(16)}`.slice(0, 4090);
  const { output, frames } = await call("rename", [long("a"), long("b")]);
  assert.equal(output, "0");
  assert.ok(frames[0]?.type === "Rename");
  assert.equal(fromUtf8(frames[0].from), long("a"));
  assert.equal(fromUtf8(frames[0].to), long("b"));
});

Deno.test("linkat() follows a link only when it is told to, and refuses other flags", async () => {
  const { asked } = await call("linkat", ["/data/a", "/data/b", "0x400"]);
  assert.deepEqual(asked, [`Link, ${SUBJECT}, from /data/a, to /data/b`]);
  assert.equal((await call("linkat", ["/data/a", "/data/b", "0x1"])).output, "EINVAL");
});

Deno.test("unlinkat() with AT_REMOVEDIR removes a directory", async () => {
  assert.deepEqual((await call("unlinkat", ["/data/a", "0x200"])).asked, ["Remove, kinds 1, path /data/a"]);
  assert.equal((await call("unlinkat", ["/data/a", "0x1"])).output, "EINVAL");
});

Deno.test("a slash at the end, `.` and `..` reach the target", async () => {
  for (const path of ["/data/a/", "/data/a/.", "/data/a/../"]) {
    assert.deepEqual((await call("rmdir", [path])).asked, [`Remove, kinds 1, path ${path}`]);
  }
});

Deno.test("utimensat() hands on what is wrong with the times, and asks nobody when there is nothing to do", async () => {
  const OMIT = "0x3ffffffe";
  const { asked } = await call("utimensat", ["/data/a", OMIT]);
  assert.match(asked.join(), /mtimeNsec 1073741822/);
  assert.match((await call("utimensat", ["/data/a", "1000000000"])).asked.join(), /mtimeNsec 1000000000/);
  assert.match((await call("utimensat", ["/data/a", "-1"])).asked.join(), /mtimeNsec 2147483647/);
  assert.match((await call("utimes", ["/data/a", "1000000"])).asked.join(), /mtimeNsec 2147483647/);
});

Deno.test("utime() without times means now", async () => {
  assert.match((await call("utime", ["/data/a", "now"])).asked.join(), /atimeNsec 1073741823.*mtimeNsec 1073741823/);
});

Deno.test("fchmodat(), fchownat() and utimensat() do not follow links when they are told so", async () => {
  for (const [symbol, ...args] of [["fchmodat", "0x100"], ["fchownat", "0x100"], ["utimensat", "1", "0x100"]]) {
    assert.match((await call(symbol!, ["/data/a", ...args])).asked.join(), /isFollowing false/);
  }
});

Deno.test("truncate() to less than nothing is EINVAL", async () => {
  assert.deepEqual(await call("truncate", ["/data/a", "-1"]), { output: "EINVAL", asked: [], frames: [] });
});

Deno.test("mkdtemp() makes a directory at the target by a name of its own choice", async () => {
  const { output, frames } = await call("mkdtemp", ["/data/my-XXXXXX"]);
  const [made] = frames;
  assert.match(output, /^\/data\/my-[0-9A-Za-z]{6}$/);
  assert.notEqual(output, "/data/my-XXXXXX");
  assert.ok(frames.length === 1 && made?.type === "MakeNode");
  assert.equal(fromUtf8(made.path), output);
  assert.equal(made.mode, 0o40700);
  assert.equal((await call("mkdtemp", ["/data/my-XXXXX"])).output, "EINVAL");
});

Deno.test("mkdtemp() stays here when the path does", async () => {
  const { output, asked } = await call("mkdtemp", ["/tmp/mirrord-XXXXXX"]);
  assert.deepEqual(asked, []);
  await Deno.remove(output);
});

// conformance.md E02: what would be written is this machine's in mode read.
Deno.test("in mode read a change stays here, and the log is told so", async () => {
  await using app = await startUnderShim("tree", ["mkdir", "/data/a"], { settings: { fsMode: READ } });
  assert.equal(await app.output(), "ENOENT\n");
  await app.untilCount("Note", 1);
  assert.deepEqual(app.frames.map(shown), [
    'Note, text Changed here, not at the target: "/data/a": it is the target\'s only for reading, in mode read',
  ]);
});
