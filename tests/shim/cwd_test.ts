/** The working directory as the app sees it: chdir into the target and out of it, what relative paths mean, who inherits it. */
import assert from "node:assert/strict";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { ERRNO } from "../../src/base/errors.ts";
import { answerFrom, directory, failing, file, link, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const TREE: Tree = {
  "/": directory("srv/"),
  "/srv": directory("app/", "link"),
  "/srv/..": directory("srv/", "of-the-target"),
  "/srv/app": directory("file", "sub/"),
  "/srv/app/file": file("bytes of file"),
  "/srv/app/sub": directory("deep"),
  "/srv/app/sub/deep": file("bytes of deep"),
  "/srv/app/sub/../file": file("never asked"),
  "/srv/link": link("/srv/app/sub"),
  "/srv/system": link("/usr/share"),
  "/usr/share": directory("words"),
  "/srv/system/words": file("bytes of words"),
  "/srv/closed": failing(ERRNO.EACCES),
};

async function run(words: string, env: Record<string, string> = {}, cwd?: string): Promise<string[]> {
  await using app = await startUnderShim("cwd", words.split(" "), {
    answer: answerFrom(TREE),
    env,
    ...(cwd !== undefined && { cwd }),
  });
  return (await app.output()).trimEnd().split("\n");
}

for (const symbol of ["getcwd", "own-getcwd", "__getcwd_chk", "getwd", "__getwd_chk", "get_current_dir_name"]) {
  Deno.test(`${symbol}() tells a directory of the target by the target's path`, async () => {
    assert.deepEqual(await run(`chdir /srv/app ${symbol}`), ["0", "/srv/app"]);
  });

  Deno.test(`${symbol}() tells a directory of this machine as libc does`, async () => {
    assert.deepEqual(await run(`chdir /srv/app chdir /usr/lib ${symbol}`), ["0", "0", "/usr/lib"]);
  });
}

Deno.test("getcwd() says ERANGE when the buffer is short", async () => {
  assert.deepEqual(await run("chdir /srv/app short-getcwd"), ["0", "ERANGE"]);
});

Deno.test("get_current_dir_name() tells $PWD when that is another name of the same directory", async () => {
  const words = "chdir /srv/app pwd-is /srv/app get_current_dir_name pwd-is /srv get_current_dir_name";
  assert.deepEqual(await run(words), ["0", "/srv/app", "/srv/app"]);
});

for (const symbol of ["chdir", "fchdir", "raw-chdir"]) {
  Deno.test(`${symbol}() goes into a directory of the target, and the kernel knows an empty one`, async () => {
    const words = `${symbol} /srv/app getcwd kernel cat file ls . raw-getcwd`;
    assert.deepEqual(await run(words), ["0", "/srv/app", "kernel: /cwd/srv/app", "bytes of file", "file sub ", "9"]);
  });

  Deno.test(`${symbol}() goes into a directory of this machine`, async () => {
    const words = `${symbol} /srv/app ${symbol} /usr/lib getcwd kernel`;
    assert.deepEqual(await run(words), ["0", "0", "/usr/lib", "kernel: no placeholder"]);
  });
}

Deno.test("chdir() asks once; a relative path of the target costs what an absolute one does", async () => {
  await using app = await startUnderShim("cwd", "chdir /srv/app getcwd cat file".split(" "), {
    answer: answerFrom(TREE),
  });
  await app.output();
  assert.deepEqual(app.frames.map((it) => it.type), ["ChangeDirectory", "Open"]);
});

Deno.test("chdir() fails as the target says and leaves everything as it was", async () => {
  const words = "chdir /srv/app chdir /srv/nowhere chdir file chdir /srv/closed getcwd";
  assert.deepEqual(await run(words), ["0", "ENOENT", "ENOTDIR", "EACCES", "/srv/app"]);
});

Deno.test("chdir() is told the path without links", async () => {
  assert.deepEqual(await run("chdir /srv/link getcwd cat deep"), ["0", "/srv/app/sub", "bytes of deep"]);
});

Deno.test("chdir() keeps the name of a link that leads to where paths are local", async () => {
  assert.deepEqual(await run("chdir /srv/system getcwd cat words"), ["0", "/srv/system", "bytes of words"]);
});

Deno.test("chdir() of .. climbs to the parent, and out of the topmost directory to this machine's root", async () => {
  assert.deepEqual(await run("chdir /srv/app/sub chdir .. getcwd chdir ../.. getcwd kernel"), [
    ...["0", "0", "/srv/app", "0", "/", "kernel: no placeholder"],
  ]);
});

Deno.test("a relative path is looked for where the absolute one would be", async () => {
  await Deno.writeTextFile("/tmp/mirrord-cwd-test", "of this machine");
  try {
    assert.deepEqual(
      await run("chdir /srv/app/sub cat ../file cat ././../sub//deep cat ../../../tmp/mirrord-cwd-test cat nothing"),
      ["0", "bytes of file", "bytes of deep", "of this machine", "ENOENT"],
    );
  } finally {
    await Deno.remove("/tmp/mirrord-cwd-test");
  }
});

Deno.test("what a rule calls local is not looked for beside the placeholder", async () => {
  assert.deepEqual(await run("chdir /srv/app cat code.py stat sub"), ["0", "ENOENT", "ino 4246"]);
});

Deno.test("stat(), realpath() and the links of /proc know the directory", async () => {
  const words = "chdir /srv/app stat . realpath sub realpath . readlink /proc/self/cwd";
  assert.deepEqual(await run(words), ["0", "ino 4245", "/srv/app/sub", "/srv/app", "/srv/app"]);
});

Deno.test("readlink() of /proc/self/cwd tells a directory of this machine", async () => {
  assert.deepEqual(await run("chdir /usr/lib readlink /proc/self/cwd"), ["0", "/usr/lib"]);
});

Deno.test("fchdir() goes back to a directory that was opened as .", async () => {
  const words = "chdir /srv/app save chdir sub getcwd back getcwd chdir /usr/lib back cat file";
  assert.deepEqual(await run(words), ["0", "0", "/srv/app/sub", "0", "/srv/app", "0", "0", "bytes of file"]);
});

for (const how of ["fork", "exec"]) {
  Deno.test(`the working directory is inherited by ${how}`, async () => {
    const words = `chdir /srv/app ${how} getcwd cat file chdir sub cat deep`;
    assert.deepEqual(await run(words), ["0", "/srv/app", "bytes of file", "0", "bytes of deep"]);
  });
}

Deno.test("a child of vfork goes into a directory of the target by itself", async () => {
  assert.deepEqual(await run("vfork-in /srv/app getcwd cat file"), ["/srv/app", "bytes of file"]);
});

Deno.test("posix_spawn() starts a child in a directory of the target, or says why not", async () => {
  assert.deepEqual(await run("spawn-in /srv/app getcwd cat file"), ["/srv/app", "bytes of file"]);
  assert.deepEqual(await run("chdir /srv/app spawn-in sub getcwd cat deep"), ["0", "/srv/app/sub", "bytes of deep"]);
  assert.deepEqual(await run("chdir /srv/app spawn-in /usr/lib getcwd"), ["0", "/usr/lib"]);
  assert.deepEqual(await run("spawn-in /srv/nowhere getcwd"), ["ENOENT"]);
});

Deno.test("posix_spawn() opens files of the target for its child, relative to where the child will be", async () => {
  assert.deepEqual(await run("spawn-reading /srv/app file spawn-reading / srv/app/file"), [
    ...["bytes of file", "bytes of file"],
  ]);
  assert.deepEqual(await run("chdir /srv/app spawn-reading sub deep"), ["0", "bytes of deep"]);
  assert.deepEqual(await run("spawn-reading /srv/app nothing spawn-reading /dev null"), ["ENOENT"]);
});

Deno.test("a path that is too long with the session's directory is refused", async () => {
  const long = `/srv/${"x".repeat(200)}`.padEnd(4084, "/xxxxxxxxx");
  await using app = await startUnderShim("cwd", ["chdir", long, "chdir", "/usr/lib", "getcwd"], {
    answer: answerFrom({ [long]: directory() }),
  });
  assert.equal(await app.output(), "0\n0\n/usr/lib\n".replace("0", "ENAMETOOLONG"));
});

Deno.test("a name that is no UTF-8 is a working directory like any other", async () => {
  const bytes = new TextEncoder().encode("/srv/caf").toHex() + "e9";
  const asked: string[] = [];
  await using app = await startUnderShim("cwd", ["chdir", "/srv/odd", "getcwd", "cat", "file"], {
    answer: (request) => {
      if (request.type === "Open") asked.push(request.path.toHex());
      return request.type === "ChangeDirectory"
        ? { type: "PathReply", errno: 0, path: Uint8Array.fromHex(bytes) }
        : answerFrom(TREE)(request);
    },
  });
  await app.output();
  assert.deepEqual(asked, [`${bytes}2f66696c65`]);
});

/** Says yes to every change of the tree, and keeps what was asked. */
async function change(words: string): Promise<{ lines: string[]; asked: string[] }> {
  const asked: string[] = [];
  await using app = await startUnderShim("cwd", words.split(" "), {
    settings: { fsMode: 3 },
    answer: (request) => {
      if (!["Remove", "Rename", "MakeNode"].includes(request.type)) return answerFrom(TREE)(request);
      const { from, to, path } = request as unknown as Record<string, Uint8Array>;
      asked.push([request.type, ...[from, to, path].filter((it) => it !== undefined).map(fromUtf8)].join(" "));
      return { type: "Done", errno: 0 };
    },
  });
  return { lines: (await app.output()).trimEnd().split("\n"), asked };
}

Deno.test("rmdir() of the working directory leaves getcwd() without an answer", async () => {
  const { lines, asked } = await change("chdir /srv/app/sub rmdir ../sub getcwd cat deep chdir /srv getcwd");
  assert.deepEqual(lines, ["0", "0", "ENOENT", "ENOENT", "0", "/srv"]);
  assert.deepEqual(asked, ["Remove /srv/app/sub"]);
});

Deno.test("rename() of a directory takes those along that are in it", async () => {
  const { lines, asked } = await change("chdir /srv/app rename /srv/app /srv/other/new getcwd mkdir x rename y ../z");
  assert.deepEqual(lines, ["0", "0", "/srv/other/new", "0", "0"]);
  assert.deepEqual(asked, [
    ...["Rename /srv/app /srv/other/new", "MakeNode /srv/other/new/x", "Rename /srv/other/new/y /srv/other/z"],
  ]);
});

Deno.test("without a session the working directory is libc's", async () => {
  const lines = await run("chdir /usr/lib getcwd fchdir /usr getcwd own-getcwd", { MIRRORD_SESSION_DIR: "" });
  assert.deepEqual(lines, ["0", "/usr/lib", "0", "/usr", "/usr"]);
});
