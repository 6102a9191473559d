/** Children follow, whatever environment they get; forks and threads talk for themselves; our descriptors survive. */
import assert from "node:assert/strict";
import { joinNul, utf8 } from "../../src/base/bytes.ts";
import { answerFrom, file } from "../support/remote_tree.ts";
import { type AppUnderShim, builtApp, builtShim, type Options, startUnderShim } from "../support/under_shim.ts";

const NAMES = ["file", "before", "after", "child", "in-vfork", "main", "again", "handler"];
const TREE = Object.fromEntries(NAMES.map((name) => [`/data/${name}`, file(`bytes of ${name}`)]));

function start(args: string[], options: Options = {}): Promise<AppUnderShim> {
  return startUnderShim("process", args, { answer: answerFrom(TREE), ...options });
}

/** The environment of a program without a session, though the shim is loaded. */
const NO_SESSION = { env: { MIRRORD_SESSION_DIR: "" } };

const EXECS = ["execve", "execv", "execvp", "execvpe", "fexecve", "execveat", "execl", "execlp", "execle"];

for (const symbol of [...EXECS, "posix_spawn", "posix_spawnp"]) {
  Deno.test(`${symbol}() gives the shim and the session to a program with an environment of its own`, async () => {
    await using app = await start([symbol]);
    const preload = `${await builtShim()}:libm.so.6`;
    assert.equal(await app.output(), `keep kept, preload ${preload}, session there, file bytes of file\n`);
    assert.equal(app.hellos.filter((it) => it.isLifeline).length, 2);
  });

  Deno.test(`${symbol}() leaves the environment alone when there is no session`, async () => {
    await using app = await start([symbol], NO_SESSION);
    assert.equal(await app.output(), "keep kept, preload libm.so.6, session none, file ENOENT\n");
  });
}

for (const symbol of ["system", "popen"]) {
  Deno.test(`${symbol}() gives the shim and the session to the shell when the environment was cleared`, async () => {
    await using app = await start([symbol]);
    const preload = await builtShim();
    assert.equal(await app.output(), `keep none, preload ${preload}, session there, file bytes of file\n`);
  });

  Deno.test(`${symbol}() leaves a cleared environment alone when there is no session`, async () => {
    await using app = await start([symbol], NO_SESSION);
    assert.equal(await app.output(), "keep none, preload none, session none, file ENOENT\n");
  });
}

Deno.test("a program with MIRRORD_DONT_LOAD in its environment ends before its first instruction", async () => {
  const script = "echo begun; MIRRORD_DONT_LOAD=1 cat /data/file; echo $?; MIRRORD_DONT_LOAD= cat /data/file";
  await using app = await startUnderShim("/bin/sh", ["-c", script], { answer: answerFrom(TREE) });
  const { stdout, stderr } = await app.end();
  assert.equal(stdout, "begun\n125\nbytes of file");
  assert.equal(stderr, "mirrord: MIRRORD_DONT_LOAD is set: this program does not run in a target\n");
});

Deno.test("a shell script's children follow through shebang, pipes and env -i", async () => {
  const directory = await Deno.makeTempDir({ prefix: "mirrord-local-" });
  try {
    const script = `${directory}/run`;
    await Deno.writeTextFile(script, "#!/usr/bin/env bash\ncat /data/file | tr a-z A-Z; env -i cat /data/child\n");
    await Deno.chmod(script, 0o755);
    await using app = await startUnderShim(script, [], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "BYTES OF FILEbytes of child");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a child of vfork asks over a connection of its own and disturbs nobody", async () => {
  await using app = await start(["vfork"]);
  const lines = (await app.output()).split("\n");
  assert.deepEqual([lines[0], lines[2]], ["before bytes of before", "after bytes of after"]);
  assert.match(lines[1]!, /^keep kept, .* file bytes of file$/);
  // The lifeline, the vfork child's connection, the new image's lifeline.
  assert.deepEqual(app.hellos.map((it) => it.isLifeline), [true, false, true]);
});

for (const how of ["fork", "raw-fork"]) {
  // Row L23
  Deno.test(`a child of ${how} asks over a connection of its own`, async () => {
    await using app = await start([how]);
    assert.equal(await app.output(), "before bytes of before\nchild bytes of child\nafter bytes of after\n");
    assert.deepEqual(app.hellos.map((it) => it.isLifeline), [true, false]);
    assert.notEqual(app.hellos[0]!.pid, app.hellos[1]!.pid);
  });
}

Deno.test({
  name: `a child of a process that has become another user asks like any other${
    Deno.uid() === 0 ? "" : ": needs root"
  }`,
  ignore: Deno.uid() !== 0,
  async fn() {
    await using app = await start(["other-user"]);
    assert.equal(await app.output(), "before bytes of before\nchild bytes of child\nafter bytes of after\n");
    assert.deepEqual(app.hellos.map((it) => it.isLifeline), [true, false]);
  },
});

Deno.test("open() says EMFILE when no descriptor is left for a connection either", async () => {
  await using app = await start(["no-descriptors"]);
  assert.equal(await app.output(), "before bytes of before\nchild EMFILE\n");
});

Deno.test("a descriptor of a remote file tells its stat in a program that was exec'ed", async () => {
  await using app = await start(["inherit"]);
  assert.equal(await app.output(), "inherited 0 ino 4242\n");
  assert.equal(app.count(), 1);
});

Deno.test("threads wait for their own answers only", async () => {
  await using app = await startUnderShim("process", ["threads", "8"]);
  const requests = [];
  for (let at = 0; at < 8; at++) requests.push(await app.expect("Open"));
  assert.equal(new Set(requests.map((it) => app.connectionOf(it))).size, 8);
  for (const request of requests.reverse()) {
    const path = new TextDecoder().decode(request.path);
    await app.reply(request, answerFrom({ [path]: file(`for ${path}`) })(request));
  }
  const expected = Array.from({ length: 8 }, (_, at) => `/data/thread-${at} for /data/thread-${at}`);
  assert.deepEqual((await app.output()).trimEnd().split("\n").sort(), expected);
});

Deno.test("threads one after the other share a connection", async () => {
  await using app = await start(["several", "/data/file", "/data/before", "/data/after"]);
  await app.output();
  assert.equal(app.hellos.length, 1);
});

for (const symbol of ["close", "close_range", "closefrom"]) {
  Deno.test(`${symbol}() of every number does not reach our descriptors, but the app's own`, async () => {
    await using app = await start([symbol]);
    const result = symbol === "close_range" ? "result 0\n" : "";
    assert.equal(await app.output(), `before bytes of before\n${result}own closed, after bytes of after\n`);
    assert.equal(app.hellos.length, 1);
  });

  Deno.test(`${symbol}() is libc's own when there is no session`, async () => {
    await using app = await start([symbol], NO_SESSION);
    assert.match(await app.output(), /own closed, after ENOENT\n$/);
  });
}

for (const symbol of ["dup2", "dup3"]) {
  Deno.test(`${symbol}() gets every number it wants; our descriptors move away`, async () => {
    await using app = await start([symbol]);
    assert.equal(await app.output(), "before bytes of before\nwrong 0, after bytes of after\n");
    assert.equal(app.hellos.length, 1);
  });

  Deno.test(`${symbol}() is libc's own when there is no session`, async () => {
    await using app = await start([symbol], NO_SESSION);
    assert.equal(await app.output(), "before ENOENT\nwrong 0, after ENOENT\n");
  });
}

Deno.test("a connection that was closed or replaced by the bare instruction is made anew, the app's file untouched", async () => {
  await using closed = await start(["raw-close"]);
  assert.equal(await closed.output(), "before bytes of before\nown closed, after bytes of after\n");
  await using replaced = await start(["raw-dup2"]);
  assert.equal(await replaced.output(), "before bytes of before\nwrong 0, after bytes of after\n");
});

Deno.test("our descriptors are high and closed by exec; errno survives a bypass", async () => {
  await using without = await start(["descriptors"], NO_SESSION);
  const others = /open:(.*), errno kept yes/.exec(await without.output())![1]!;
  await using app = await start(["descriptors"]);
  assert.equal(await app.output(), `file bytes of file, open:${others} high high, errno kept yes\n`);
});

Deno.test("a signal handler may ask while the call it interrupts waits", async () => {
  await using app = await startUnderShim("process", ["handler"]);
  const main = await app.expect("Open");
  app.kill("SIGUSR1");
  const handler = await app.expect("Open");
  assert.equal(new TextDecoder().decode(handler.path), "/data/handler");
  assert.notEqual(app.connectionOf(handler), app.connectionOf(main));
  const answer = answerFrom(TREE);
  await app.reply(handler, answer(handler));
  await app.reply(main, answer(main));
  const again = await app.expect("Open");
  await app.reply(again, answer(again));
  assert.equal(await app.output(), "main bytes of main\nagain bytes of again\n");
});

// Rows L63, L64
Deno.test("a process that is skipped by its name or by argv[0] stays local, but says Hello", async () => {
  const skipProcesses = joinNul([utf8("other"), utf8("sneaky")]);
  const directory = await Deno.makeTempDir({ prefix: "mirrord-local-" });
  try {
    await Deno.symlink(await builtApp("process"), `${directory}/sneaky`);
    const options = { settings: { skipProcesses }, answer: answerFrom(TREE) };
    await using app = await startUnderShim(`${directory}/sneaky`, ["show"], options);
    assert.match(await app.output(), /file ENOENT/);
    await app.untilHello();
    assert.deepEqual(app.hellos.map((it) => it.isLifeline), [true]);
    await using other = await startUnderShim("process", ["show"], options);
    assert.match(await other.output(), /file bytes of file/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

// L65; the list that only counts in a working directory of this machine
Deno.test("a build tool is left alone, and its children are entered", async () => {
  const directory = await Deno.makeTempDir({ prefix: "mirrord-local-" });
  try {
    const show = await builtApp("process");
    await Deno.symlink(show, `${directory}/tool`);
    const settings = { buildTools: joinNul([utf8("tool")]) };
    const options = { settings, answer: answerFrom(TREE) };
    await using app = await startUnderShim(`${directory}/tool`, ["show"], options);
    assert.match(await app.output(), /file ENOENT/);
    await using parent = await startUnderShim(`${directory}/tool`, ["exec-path", show, "show"], options);
    assert.match(await parent.output(), /file bytes of file/);
    await using away = await startUnderShim("/bin/sh", [
      "-c",
      `mkdir -p $MIRRORD_SESSION_DIR/cwd/data && cd -P \
      "$MIRRORD_SESSION_DIR/cwd/data" && exec ${directory}/tool show`,
    ], options);
    assert.match((await away.end()).stdout, /file bytes of file/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** The notes of a program that is over and has written one, or more. */
async function notesOf(app: AppUnderShim): Promise<string[]> {
  await app.untilCount("Note", 1);
  return app.frames.flatMap((it) => it.type === "Note" ? [it.text] : []);
}

Deno.test("a program that the shim cannot enter is noted by name before it runs", async () => {
  const still = await builtApp("still", ["-static"]);
  await using app = await start(["exec-path", still]);
  assert.equal(await app.output(), "still here\n");
  assert.deepEqual(await notesOf(app), [`Runs without mirrord "${still}": it is statically linked`]);
});

Deno.test("a program that is found in PATH is noted by the name of its file", async () => {
  const still = await builtApp("still", ["-static"]);
  const slash = still.lastIndexOf("/");
  const PATH = `/nowhere:${still.slice(0, slash)}:/usr/bin`;
  await using app = await startUnderShim("/usr/bin/env", [still.slice(slash + 1)], { env: { PATH } });
  assert.equal(await app.output(), "still here\n");
  assert.deepEqual(await notesOf(app), [`Runs without mirrord "${still}": it is statically linked`]);
});

// A sanitizer's library stands before ours, and is no business of ours.
const ignore = Deno.env.has("SHIM_SANITIZE");
const MUSL = "a program linked against musl runs without our library, which its loader could not take";
Deno.test({ name: ignore ? `${MUSL} (not with sanitizers)` : MUSL, ignore }, async () => {
  const directory = await Deno.makeTempDir({ prefix: "mirrord-local-" });
  try {
    // Not musl, but a loader of that name: what counts here is what the program finds in its environment.
    await Deno.symlink("/lib64/ld-linux-x86-64.so.2", `${directory}/ld-musl-x86_64.so.1`);
    const show = `${directory}/show`;
    const flags = ["-o", show, new URL("apps/process.c", import.meta.url).pathname];
    const loader = `-Wl,--dynamic-linker=${directory}/ld-musl-x86_64.so.1`;
    const built = await new Deno.Command("gcc", { args: ["-w", loader, ...flags, "-pthread"] }).output();
    assert.ok(built.success);
    await using app = await start(["exec-path", show, "show"]);
    assert.equal(await app.output(), "keep none, preload none, session there, file ENOENT\n");
    assert.deepEqual(await notesOf(app), [`Runs without mirrord "${show}": it is linked against musl`]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a program that names another session, or none, keeps what it named", async () => {
  const show = await builtApp("process");
  await using app = await startUnderShim("/usr/bin/env", ["MIRRORD_SESSION_DIR=/other", show, "show"], {
    answer: answerFrom(TREE),
  });
  assert.match(await app.output(), /session there, file EIO/);
});

Deno.test("a program whose session is gone acts neither here nor in the target: its calls fail", async () => {
  const script = "read line </data/read; mkdir /data/made; : >/data/written; getent hosts localhost; ls -d /usr/lib; " +
    ": <>/dev/tcp/127.0.0.1/1";
  const child = await new Deno.Command("/bin/bash", {
    args: ["-c", script],
    env: { LD_PRELOAD: await builtShim(), MIRRORD_SESSION_DIR: "/no/such/session", LC_ALL: "C" },
    cwd: "/",
  }).output();
  const stdout = new TextDecoder().decode(child.stdout), stderr = new TextDecoder().decode(child.stderr);
  assert.equal(stdout, "/usr/lib\n", stderr);
  for (const what of [/read: Input/, /made.*: Input/, /written: Input/, /Network is unreachable/]) {
    assert.match(stderr, what);
  }
});
