/** Metadata by descriptor, extended attributes, and the raw system calls that change the tree. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { answerFrom, file, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const TREE: Tree = { "/data/file": file("remote bytes"), "/data/moved": file("") };
const VALUE = utf8("a value");
const O_PATH = "0x200000";
const uid = Deno.uid();

interface Answers {
  errno?: number;
  value?: Uint8Array;
  isForgotten?: boolean;
}

/** The target knows /data/file, which was moved to /data/moved since. */
function answers({ errno = 0, value = VALUE, isForgotten = false }: Answers): (frame: LayerFrame) => LayerMessage {
  const known = answerFrom(TREE);
  return (frame) => {
    if (frame.type === "PathOf") {
      const path = isForgotten ? new Uint8Array() : utf8("/data/moved");
      return { type: "PathReply", errno: isForgotten ? ERRNO.ESTALE : 0, path };
    }
    if (frame.type === "GetAttribute") {
      return { type: "AttributeReply", errno, value: errno ? new Uint8Array() : value };
    }
    return known(frame) ?? { type: "Done", errno };
  };
}

async function call(symbol: string, args: string[], options: Answers = {}) {
  const settings = { fsMode: 3 };
  await using app = await startUnderShim("metadata", [symbol, ...args], { answer: answers(options), settings });
  const output = (await app.output()).trimEnd();
  return { output, asked: app.frames.map(shown) };
}

function shown(frame: LayerFrame): string {
  const { type, id: _, ...fields } = frame;
  if (type === "Open" || type === "StatFs") return type;
  const texts = Object.entries(fields).map(([name, value]) =>
    `${name} ${value instanceof Uint8Array ? fromUtf8(value) : value}`
  );
  return [type, ...texts].join(", ");
}

async function localFile(): Promise<{ path: string } & Disposable> {
  const path = await Deno.makeTempFile({ prefix: "mirrord-local-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

const IDENTITY = "dev 2049, ino 4242";
const SUBJECT = `isFollowing true, ${IDENTITY}`;
const TIMES = "atimeSec 1, atimeNsec 3, mtimeSec 2, mtimeNsec 4";
const NOW = "atimeSec 0, atimeNsec 1073741823, mtimeSec 0, mtimeNsec 1073741823";

/** What is asked of a file that was opened as /data/file, after that and the question where it is. */
const BY_DESCRIPTOR: Record<string, { asked: string; output?: string }> = {
  fchmod: { asked: `SetMode, ${SUBJECT}, mode ${0o600}, path /data/moved` },
  fchown: { asked: `SetOwner, ${SUBJECT}, uid ${uid}, gid 4294967295, path /data/moved` },
  futimens: { asked: `SetTimes, ${SUBJECT}, ${TIMES}, path /data/moved` },
  futimes: {
    asked: `SetTimes, ${SUBJECT}, ${TIMES.replace("3", "3000").replace("Nsec 4", "Nsec 4000")}, path /data/moved`,
  },
  fgetxattr: { asked: `GetAttribute, ${SUBJECT}, name user.it, path /data/moved`, output: "7 a value" },
  flistxattr: { asked: `GetAttribute, ${SUBJECT}, name , path /data/moved`, output: "7 a value" },
  fsetxattr: { asked: `SetAttribute, ${SUBJECT}, how 0, name user.it, path /data/moved, value value` },
  fremovexattr: { asked: `RemoveAttribute, ${SUBJECT}, name user.it, path /data/moved` },
  fstatfs: { asked: "StatFs", output: "files 6 names 99" },
  fstatfs64: { asked: "StatFs", output: "files 6 names 99" },
  fstatvfs: { asked: "StatFs", output: "files 6 names 99" },
  fstatvfs64: { asked: "StatFs", output: "files 6 names 99" },
  fpathconf: { asked: "StatFs", output: "names 99" },
};

for (const [symbol, { asked, output = "0" }] of Object.entries(BY_DESCRIPTOR)) {
  Deno.test(`${symbol}() of a remote file means that file, wherever it is now`, async () => {
    const did = await call(symbol, ["/data/file"]);
    assert.deepEqual(did, { output, asked: ["Open", `PathOf, ${IDENTITY}`, asked] });
  });

  Deno.test(`${symbol}() of a local file asks nobody`, async () => {
    using local = await localFile();
    const did = await call(symbol, [local.path]);
    assert.deepEqual(did.asked, []);
    assert.match(did.output, /^(\d+ ?|ENODATA|EOPNOTSUPP|files \d+ names 255|names 255)$/);
  });
}

Deno.test("fchmod() of a file that nobody knows any more is ESTALE", async () => {
  assert.equal((await call("fchmod", ["/data/file"], { isForgotten: true })).output, "ESTALE");
  assert.equal((await call("fchmod", ["/data/file"], { errno: ERRNO.EPERM })).output, "EPERM");
});

Deno.test("a descriptor made with O_PATH is not good enough for fchmod(), as everywhere", async () => {
  for (const symbol of ["fchmod", "fchown", "futimens", "fgetxattr"]) {
    assert.equal((await call(symbol, ["/data/file", O_PATH])).output, "EBADF");
  }
});

Deno.test("the empty path of the *at calls means the descriptor", async () => {
  const { output, asked } = await call("empty-path", ["/data/file"]);
  assert.deepEqual(output.split("\n"), ["0", "0", "0", "0", "0", "EXDEV", "0", "ENOENT"]);
  const path = "path /data/moved";
  assert.deepEqual(asked.filter((it) => !it.startsWith("PathOf")), [
    "Open",
    `SetOwner, ${SUBJECT}, uid ${uid}, gid 4294967295, ${path}`,
    `SetTimes, ${SUBJECT}, ${TIMES}, ${path}`,
    `SetTimes, ${SUBJECT}, ${TIMES}, ${path}`,
    `SetTimes, ${SUBJECT}, ${NOW}, ${path}`,
    `Link, ${SUBJECT}, from /data/moved, to /data/new`,
    `Access, ${path}, mode 4, flags 0`,
  ]);
});

const BY_PATH: Record<string, { asked: string; output?: string }> = {
  getxattr: { asked: "GetAttribute, isFollowing true, dev 0, ino 0, name user.it", output: "7 a value" },
  lgetxattr: { asked: "GetAttribute, isFollowing false, dev 0, ino 0, name user.it", output: "7 a value" },
  listxattr: { asked: "GetAttribute, isFollowing true, dev 0, ino 0, name ", output: "7 a value" },
  llistxattr: { asked: "GetAttribute, isFollowing false, dev 0, ino 0, name ", output: "7 a value" },
  setxattr: { asked: "SetAttribute, isFollowing true, dev 0, ino 0, how 1, name user.it" },
  lsetxattr: { asked: "SetAttribute, isFollowing false, dev 0, ino 0, how 1, name user.it" },
  removexattr: { asked: "RemoveAttribute, isFollowing true, dev 0, ino 0, name user.it" },
  lremovexattr: { asked: "RemoveAttribute, isFollowing false, dev 0, ino 0, name user.it" },
};

for (const [symbol, { asked, output = "0" }] of Object.entries(BY_PATH)) {
  Deno.test(`${symbol}() is one message when the path is the target's`, async () => {
    const rest = /^l?set/.test(symbol) ? ", value value" : "";
    assert.deepEqual(await call(symbol, ["/data/file"]), { output, asked: [`${asked}, path /data/file${rest}`] });
    assert.equal((await call(symbol, ["/data/file"], { errno: ERRNO.EOPNOTSUPP })).output, "EOPNOTSUPP");
  });

  Deno.test(`${symbol}() asks the kernel when the path is local`, async () => {
    assert.deepEqual(await call(symbol, ["/tmp/none-such"]), { output: "ENOENT", asked: [] });
  });
}

Deno.test("getxattr() tells the size to who gives no room, and ERANGE to who gives too little", async () => {
  assert.equal((await call("getxattr", ["/data/file", "user.it", "0"])).output, "7");
  assert.equal((await call("getxattr", ["/data/file", "user.it", "3"])).output, "ERANGE");
  assert.equal((await call("getxattr", ["/data/file", "user.it", "7"])).output, "7 a value");
  assert.deepEqual(await call("getxattr", ["/data/file", ""]), { output: "ERANGE", asked: [] });
  assert.deepEqual(await call("setxattr", ["/data/file", "n".repeat(256)]), { output: "ERANGE", asked: [] });
});

Deno.test("getxattr() takes values longer than the buffer of a call", async () => {
  const value = utf8("v".repeat(65536));
  assert.equal((await call("getxattr", ["/data/file"], { value })).output, `65536 ${"v".repeat(20)}`);
});

Deno.test("syscall() takes the way of libc's names when it changes the target's tree", async () => {
  const { asked } = await call("syscall", ["/data/file"]);
  const count = (type: string) => asked.filter((it) => it.split(",")[0] === type).length;
  const types = [...new Set(asked.map((it) => it.split(",")[0]!))];
  assert.deepEqual(Object.fromEntries(types.map((type) => [type, count(type)])), {
    Rename: 3,
    Link: 2,
    Symlink: 2,
    MakeNode: 4,
    Remove: 3,
    SetMode: 3,
    SetOwner: 3,
    SetTimes: 4,
    Truncate: 1,
    SetAttribute: 2,
    RemoveAttribute: 2,
    GetAttribute: 4,
  });
});
