/** Calls that take bytes out of a descriptor: of a big remote file they fetch what is missing, and of nothing else. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import { utf8 } from "../../src/base/bytes.ts";
import type { LayerFrame } from "../../src/proto/layer.ts";
import { answerFrom, directory, file, statOf } from "../support/remote_tree.ts";
import { type Answer, startUnderShim } from "../support/under_shim.ts";

const SIZE = 3_000_001;
const FIRST = 1 << 20;
/** Without zeros: a hole that shows is seen. */
const BYTES = Uint8Array.from({ length: SIZE }, (_, at) => ((at * 7 + (at >> 12)) % 255) + 1);
/** Beyond what came with open, not on a page, and to the end of nothing. */
const OFFSET = 1_500_001;
const LENGTH = 300_000;

function big(request: LayerFrame): Answer {
  switch (request.type) {
    case "Open": {
      const data = BYTES.subarray(0, FIRST);
      return { type: "OpenReply", errno: 0, stat: statOf(file(BYTES)), isWhole: false, handle: 9n, data };
    }
    case "ReadFile": {
      assert.equal(request.handle, 9n);
      assert.ok(request.length > 0 && request.length <= request.most && request.most <= 256 << 10);
      const from = Number(request.offset);
      return { type: "Chunk", errno: 0, isLast: true, data: BYTES.subarray(from, from + request.length) };
    }
  }
}

async function call(
  args: string[],
  answer: (request: LayerFrame) => Answer = big,
): Promise<{ output: string; asked: LayerFrame[] }> {
  await using app = await startUnderShim("reading", args, { answer });
  const output = (await app.output()).trimEnd();
  return { output, asked: app.frames.filter(({ type }) => type !== "DescriptorClosed") };
}

async function localFile(): Promise<{ path: string } & Disposable> {
  const path = await Deno.makeTempFile({ prefix: "mirrord-local-" });
  await Deno.writeFile(path, BYTES);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

const ON_DEMAND = [
  ...["read", "__read", "__read_chk", "readv"],
  ...["pread", "pread64", "__pread64", "__pread_chk", "__pread64_chk"],
  ...["preadv", "preadv64", "preadv2", "preadv64v2", "mmap", "mmap64"],
  ...["sendfile", "sendfile64", "copy_file_range", "splice", "dup", "fcntl", "fcntl64", "name-open"],
];
/** What libc, or somebody else, reads where nobody sees it. */
const WHOLE = [
  ...[
    "fdopen",
    "fopen",
    "fopen64",
    "freopen",
    "freopen64",
    "aio_read",
    "aio_read64",
    "lio_listio",
    "lio_listio64",
    "dup2",
    "dup3",
  ],
  ...["chroot", "sendmsg", "stdin", "name-fopen"],
];

for (const symbol of [...ON_DEMAND, ...WHOLE]) {
  Deno.test(
    `${symbol}() gets the target's bytes out of a big file, fetching ${
      WHOLE.includes(symbol) ? "all of it" : "what it needs"
    }`,
    async () => {
      const { output, asked } = await call([symbol, "/data/big", String(OFFSET), String(LENGTH)]);
      const [open, ...reads] = asked;
      assert.equal(open!.type, "Open");
      const fetched = reads.reduce((sum, it) => sum + (it.type === "ReadFile" ? it.length : NaN), 0);
      if (WHOLE.includes(symbol)) assert.equal(fetched, SIZE - FIRST);
      else assert.ok(fetched >= LENGTH && fetched < LENGTH + 8192, `${fetched} bytes`);
      using local = await localFile();
      // A file on a disk cannot be copied so to the memory that the test copies to.
      const like = symbol === "copy_file_range" ? "splice" : symbol;
      assert.equal(output, (await call([like, local.path, String(OFFSET), String(LENGTH)])).output);
    },
  );

  Deno.test(`${symbol}() of a local file asks nobody`, async () => {
    using local = await localFile();
    const { output, asked } = await call([symbol, local.path, String(OFFSET), String(LENGTH)]);
    assert.match(output, symbol === "copy_file_range" ? /^EXDEV$/ : new RegExp(`^${LENGTH} bytes, sum`));
    assert.deepEqual(asked, []);
  });
}

for (const symbol of ["lseek", "lseek64", "__lseek"]) {
  Deno.test(`${symbol}() finds data everywhere in a big file, as in a local one without holes`, async () => {
    using local = await localFile();
    const args = [String(OFFSET), "0"];
    const { output, asked } = await call([symbol, "/data/big", ...args]);
    assert.equal(output, `${OFFSET} ${SIZE} ${SIZE - 5}\nENXIO`);
    assert.equal(output, (await call([symbol, local.path, ...args])).output);
    assert.deepEqual(asked.map(({ type }) => type), ["Open"]);
  });
}

Deno.test("a read of a big file fails with the errno of the fetch", async () => {
  const answer = (request: LayerFrame): Answer =>
    request.type === "ReadFile"
      ? { type: "Chunk", errno: ERRNO.EIO, isLast: true, data: new Uint8Array() }
      : big(request);
  for (const symbol of [...ON_DEMAND.filter((it) => !/sendfile|copy|splice/.test(it)), ...WHOLE]) {
    const { output } = await call([symbol, "/data/big", String(OFFSET), String(LENGTH)], answer);
    assert.equal(output, "EIO", symbol);
  }
});

Deno.test("a big file whose intproxy is gone is EIO, never zeros", async () => {
  const answer = (request: LayerFrame): Answer => request.type === "ReadFile" ? "hang up" : big(request);
  const { output } = await call(["pread", "/data/big", String(OFFSET), String(LENGTH)], answer);
  assert.equal(output, "EIO");
});

Deno.test("a file that has become shorter ends where it ends", async () => {
  const end = 1_600_000;
  const answer = (request: LayerFrame): Answer => {
    if (request.type !== "ReadFile") return big(request);
    const from = Number(request.offset);
    const data = BYTES.subarray(Math.min(from, end), Math.min(from + request.length, end));
    return { type: "Chunk", errno: 0, isLast: true, data };
  };
  for (const symbol of ["pread", "fread", "read"].map((it) => it === "fread" ? "fopen" : it)) {
    const { output } = await call([symbol, "/data/big", String(OFFSET), String(LENGTH)], answer);
    assert.match(output, new RegExp(`^${end - OFFSET} bytes`), symbol);
  }
});

Deno.test("inotify_add_watch() watches what the intproxy says in the place of the target's path", async () => {
  using local = await localFile();
  const answer = (errno: number) => (request: LayerFrame): Answer =>
    request.type === "WatchPath" ? { type: "PathReply", errno, path: utf8(local.path) } : undefined;
  const watched = await call(["inotify_add_watch", "/data/big"], answer(0));
  assert.deepEqual([watched.output, watched.asked.length], ["1", 1]);
  assert.equal((await call(["inotify_add_watch", "/data/big"], answer(ERRNO.ENOENT))).output, "ENOENT");
});

Deno.test("inotify_add_watch() stays local without a message when the path is", async () => {
  using local = await localFile();
  const { output, asked } = await call(["inotify_add_watch", local.path]);
  assert.deepEqual([output, asked.length], ["1", 0]);
});

Deno.test("RLIMIT_FSIZE is about what a program writes, not about what it reads", async () => {
  using local = await localFile();
  const args = [String(OFFSET), String(LENGTH)];
  const { output } = await call(["limit", "/data/big", ...args]);
  assert.equal(output, (await call(["limit", local.path, ...args])).output);
});

Deno.test("under a limit that cannot be lifted the shelf is asked for the file, and what that says is open()'s", async () => {
  const args = ["limit-nobody", "/data/small", "0", "10"];
  const asRead = answerFrom({ "/data/small": file("text") });
  await using app = await startUnderShim("reading", args, {
    answer: (request) =>
      request.type === "OpenWriting" ? { type: "OnShelf", errno: ERRNO.EFBIG, file: 0n } : asRead(request),
  });
  assert.equal(await app.output(), "EFBIG\n");
  assert.deepEqual(app.count("OpenWriting"), 1);
});

Deno.test("a directory's bytes are refused by every function as the kernel refuses them", async () => {
  await using app = await startUnderShim("reading", ["directory", "/data"], {
    answer: answerFrom({ "/data": directory("a", "b") }),
  });
  assert.equal((await app.output()).trimEnd(), (await call(["directory", "/usr"])).output);
});

Deno.test("mremap() does not show what was not fetched", async () => {
  using local = await localFile();
  const args = [String(OFFSET), "0"];
  assert.equal((await call(["mremap", "/data/big", ...args])).output, "ENOMEM");
  assert.match((await call(["mremap", local.path, ...args])).output, /^8192 bytes/);
});

Deno.test("wrong arguments are refused as the kernel refuses them", async () => {
  using local = await localFile();
  const { output } = await call(["bad", "/data/big", "0", "0"]);
  assert.equal(output, "EFAULT\nEINVAL\n0\nEBADF");
  assert.equal(output, (await call(["bad", local.path, "0", "0"])).output);
});
