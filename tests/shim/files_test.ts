/** open, access, links and the stat family: one remote and one bypass test per symbol, and what sets single ones apart. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { answerFrom, failing, file, link, statOf, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const TREE: Tree = {
  "/data/file": file("remote bytes"),
  "/data/secret": failing(ERRNO.EACCES),
  "/data/link": link("/data/elsewhere"),
};

/** Runs `files SYMBOL …` in a directory of its own that holds `file` ("local bytes") and `link`. */
async function call(symbol: string, args: string[], tree: Tree = TREE): Promise<{ output: string; asked: string[] }> {
  await using app = await startUnderShim("files", [symbol, ...args], { answer: answerFrom(tree) });
  const output = await app.output();
  const asked = app.frames.map((it) => `${it.type} ${"path" in it ? fromUtf8(it.path) : ""}`);
  return { output: output.trimEnd(), asked };
}

async function localFile(): Promise<{ path: string } & Disposable> {
  const path = await Deno.makeTempFile({ prefix: "mirrord-local-" });
  await Deno.writeTextFile(path, "local bytes");
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

async function localLink(): Promise<{ path: string; to: string } & Disposable> {
  const directory = await Deno.makeTempDir({ prefix: "mirrord-local-" });
  await Deno.writeTextFile(`${directory}/to`, "local bytes");
  await Deno.symlink(`${directory}/to`, `${directory}/link`);
  const clean = () => Deno.removeSync(directory, { recursive: true });
  return { path: `${directory}/link`, to: `${directory}/to`, [Symbol.dispose]: clean };
}

const OPENS = ["open", "open64", "__open_2", "__open64_2", "openat", "openat64", "__openat_2", "__openat64_2"];
const STREAMS = ["fopen", "fopen64"];
const REOPENS = ["freopen", "freopen64"];

for (const symbol of [...OPENS, ...STREAMS, ...REOPENS]) {
  Deno.test(`${symbol}() hands out the target's bytes when the path is remote, with one message`, async () => {
    const { output, asked } = await call(symbol, ["/data/file"]);
    assert.match(output, /^remote bytes/);
    assert.deepEqual(asked, ["Open /data/file"]);
  });

  Deno.test(`${symbol}() opens the local file without a message when the path is local`, async () => {
    using local = await localFile();
    const { output, asked } = await call(symbol, [local.path]);
    assert.match(output, /^local bytes/);
    assert.deepEqual(asked, []);
  });

  Deno.test(`${symbol}() fails with the agent's errno`, async () => {
    assert.equal((await call(symbol, ["/data/secret"])).output, "EACCES");
    assert.equal((await call(symbol, ["/data/none"])).output, "ENOENT");
  });
}

const STAT = "mode 100640 size 12 ino 4242 links 2 uid 1234 gid 567 dev 2049 blocks 0 mtime 1700000000.000000005";
const STATX = "mode 100640 size 12 ino 4242 mtime 1700000000.000000005 btime 4 mask 7ff";
const STATS: Record<string, { output: string; asked: string[] }> = {
  ...both("stat", [STAT], ["Stat"]),
  ...both("lstat", [STAT], ["Stat"]),
  ...both("fstat", [STAT], ["Open"]),
  ...both("fstatat", [STAT, STAT], ["Stat", "Open"]),
  ...both("__xstat", [STAT], ["Stat"]),
  ...both("__lxstat", [STAT], ["Stat"]),
  ...both("__fxstat", [STAT], ["Open"]),
  ...both("__fxstatat", [STAT], ["Stat"]),
  statx: { output: [STATX, STATX].join("\n"), asked: ["Stat /data/file", "Open /data/file"] },
};

function both(
  symbol: string,
  lines: string[],
  requests: string[],
): Record<string, { output: string; asked: string[] }> {
  const expected = { output: lines.join("\n"), asked: requests.map((it) => `${it} /data/file`) };
  return { [symbol]: expected, [`${symbol}64`]: expected };
}

for (const [symbol, expected] of Object.entries(STATS)) {
  Deno.test(`${symbol}() tells the target's stat, whole seconds and nanoseconds, of a remote file`, async () => {
    assert.deepEqual(await call(symbol, ["/data/file"]), expected);
  });

  Deno.test(`${symbol}() tells the local stat without a message when the path is local`, async () => {
    using local = await localFile();
    const { output, asked } = await call(symbol, [local.path]);
    const { ino } = await Deno.stat(local.path);
    for (const line of output.split("\n")) assert.match(line, new RegExp(`size 11 ino ${ino} `));
    assert.deepEqual(asked, []);
  });
}

Deno.test("lstat() asks not to follow a symlink, stat() to follow it", async () => {
  const flagsOf = async (symbol: string) => {
    await using app = await startUnderShim("files", [symbol, "/data/file"], { answer: answerFrom(TREE) });
    await app.output();
    const [request] = app.frames;
    return request?.type === "Stat" ? request.flags : undefined;
  };
  assert.equal(await flagsOf("stat"), 0);
  assert.equal(await flagsOf("lstat"), 0x100);
});

for (const symbol of ["access", "faccessat", "euidaccess", "eaccess"]) {
  Deno.test(`${symbol}() asks the target when the path is remote`, async () => {
    assert.deepEqual(await call(symbol, ["/data/file"]), { output: "0", asked: ["Access /data/file"] });
    assert.equal((await call(symbol, ["/data/secret"])).output, "EACCES");
  });

  Deno.test(`${symbol}() stays local when the path is local`, async () => {
    using local = await localFile();
    assert.deepEqual(await call(symbol, [local.path]), { output: "0", asked: [] });
  });
}

for (const symbol of ["readlink", "readlinkat", "__readlink_chk", "__readlinkat_chk"]) {
  Deno.test(`${symbol}() reads the target's link when the path is remote`, async () => {
    assert.deepEqual(await call(symbol, ["/data/link"]), { output: "/data/elsewhere", asked: ["ReadLink /data/link"] });
    assert.equal((await call(symbol, ["/data/file"])).output, "EINVAL");
  });

  Deno.test(`${symbol}() reads the local link when the path is local`, async () => {
    using local = await localLink();
    assert.deepEqual(await call(symbol, [local.path]), { output: local.to, asked: [] });
  });
}

Deno.test("readlink() cuts the text at the size of the buffer", async () => {
  assert.equal((await call("readlink", ["/data/link", "5"])).output, "/data");
  assert.deepEqual(await call("readlink", ["/data/link", "0"]), { output: "EINVAL", asked: [] });
});

for (const symbol of ["realpath", "__realpath_chk", "canonicalize_file_name"]) {
  const times = symbol === "realpath" ? 2 : 1;
  Deno.test(`${symbol}() resolves in the target when the path is remote`, async () => {
    const { output, asked } = await call(symbol, ["/data/link"]);
    assert.deepEqual(output.split("\n"), Array(times).fill("/data/elsewhere"));
    assert.deepEqual(asked, Array(times).fill("RealPath /data/link"));
    assert.match((await call(symbol, ["/data/none"])).output, /^ENOENT/);
  });

  Deno.test(`${symbol}() resolves locally when the path is local`, async () => {
    using local = await localLink();
    const { output, asked } = await call(symbol, [local.path]);
    assert.deepEqual(output.split("\n"), Array(times).fill(local.to));
    assert.deepEqual(asked, []);
  });
}

Deno.test("syscall() takes the same way as libc's names when the path is remote", async () => {
  const { output, asked } = await call("syscall", ["/data/file"]);
  const bytes = "remote bytes";
  const paths = ["EINVAL", "EINVAL"];
  assert.deepEqual(output.split("\n"), [bytes, bytes, bytes, STAT, STAT, STAT, STAT, STATX, "0", "0", "0", ...paths]);
  const requests = ["Open", "Open", "Open", "Stat", "Stat", "Stat", "Open", "Stat", "Access", "Access", "Access"];
  assert.deepEqual(asked, [...requests, "ReadLink", "ReadLink"].map((it) => `${it} /data/file`));
});

Deno.test("syscall() goes to the kernel when the path is local", async () => {
  using local = await localFile();
  const { output, asked } = await call("syscall", [local.path]);
  assert.match(output, /^(local bytes\n){3}(mode.* size 11 .*\n){5}(0\n){3}EINVAL\nEINVAL$/);
  assert.deepEqual(asked, []);
});

Deno.test("open() gives a kernel object: it can be mapped, read at an offset, duplicated, and not written", async () => {
  const { output, asked } = await call("object", ["/data/file"]);
  assert.equal(output, "mmap remot, write EBADF, pread mot, dup same, flags 0, fd 3");
  assert.equal(asked.length, 1);
});

Deno.test("open() for writing stays local in mode read", async () => {
  const O_WRONLY = "1";
  const O_CREAT = "0100";
  for (const flags of [O_WRONLY, O_CREAT]) {
    assert.deepEqual(await call("open", ["/data/none/file", flags]), { output: "ENOENT", asked: [] });
  }
  assert.deepEqual(await call("fopen", ["/data/file", "r+"]), { output: "ENOENT", asked: [] });
  assert.deepEqual(await call("access", ["/data/file", "2"]), { output: "ENOENT", asked: [] });
});

Deno.test("freopen() keeps the stream's descriptor", async () => {
  assert.equal((await call("freopen", ["/data/file"])).output, "remote bytes fd 0");
});

Deno.test("open() hands out a file of 1 MiB as it is", async () => {
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, at) => (at * 7) & 0xff);
  const { output } = await call("sum", ["/data/big"], { "/data/big": file(bytes) });
  assert.equal(output, `1048576 bytes, sum ${sumOf(bytes)}`);
});

Deno.test("open() fetches a file that does not come whole to its end, and closes the handle", async () => {
  const bytes = Uint8Array.from({ length: 3_000_001 }, (_, at) => (at * 13) & 0xff);
  const first = 1_000_000;
  await using app = await startUnderShim("files", ["sum", "/data/big"]);
  const open = await app.expect("Open");
  const stat = statOf(file(bytes));
  await app.reply(open, {
    type: "OpenReply",
    errno: 0,
    stat,
    isWhole: false,
    handle: 9n,
    data: bytes.subarray(0, first),
  });
  const fetch = await app.expect("Fetch");
  assert.deepEqual({ ...fetch, id: 0 }, {
    type: "Fetch",
    id: 0,
    handle: 9n,
    offset: BigInt(first),
    length: 2n ** 64n - 1n,
  });
  await app.reply(fetch, [
    { type: "Chunk", errno: 0, isLast: false, data: bytes.subarray(first, 1_500_001) },
    { type: "Chunk", errno: 0, isLast: false, data: bytes.subarray(1_500_001, 1_500_004) },
    { type: "Chunk", errno: 0, isLast: true, data: bytes.subarray(1_500_004) },
  ]);
  assert.equal((await app.expect("CloseHandle")).handle, 9n);
  assert.equal(await app.output(), `3000001 bytes, sum ${sumOf(bytes)}\n`);
});

Deno.test("open() fails with the errno of a fetch that breaks off", async () => {
  await using app = await startUnderShim("files", ["sum", "/data/big"]);
  const stat = statOf(file("x"));
  const half = new Uint8Array(10);
  await app.reply(await app.expect("Open"), {
    type: "OpenReply",
    errno: 0,
    stat,
    isWhole: false,
    handle: 9n,
    data: half,
  });
  await app.reply(await app.expect("Fetch"), { type: "Chunk", errno: ERRNO.EIO, isLast: true, data: new Uint8Array() });
  await app.expect("CloseHandle");
  assert.equal(await app.output(), "EIO\n");
});

function sumOf(bytes: Uint8Array): string {
  let sum = 0n;
  for (const byte of bytes) sum = (sum * 31n + BigInt(byte)) & 0xffff_ffff_ffff_ffffn;
  return sum.toString(16);
}

const FILE_SYSTEMS = {
  statfs: "type ef53 files 6 names 99",
  statvfs: "fragments 512 files 6 names 99",
  pathconf: "names 99",
};
for (const [name, told] of Object.entries(FILE_SYSTEMS)) {
  for (const symbol of name === "pathconf" ? [name] : [name, `${name}64`]) {
    Deno.test(`${symbol}() tells of the target's file system when the path is remote, with one message`, async () => {
      assert.deepEqual(await call(symbol, ["/data/file"]), { output: told, asked: ["StatFs /data/file"] });
      assert.equal((await call(symbol, ["/data/none"])).output, "ENOENT");
    });

    Deno.test(`${symbol}() tells of this machine's without a message when the path is local`, async () => {
      using local = await localFile();
      const { output, asked } = await call(symbol, [local.path]);
      assert.match(output, /names 255$/);
      assert.deepEqual(asked, []);
    });
  }
}
