/** The conformance list's rows about files and directories, each by the built program and a small C program or a real one. */
import assert from "node:assert/strict";
import type { Ended } from "../support/mirrord.ts";
import { builtProgram, sandboxTest } from "../support/sandbox_case.ts";

const rows = await builtProgram("conformance/programs/rows.c");

/** The output of a program that succeeded and said nothing on standard error. */
function lines({ code, signal, stdout, stderr }: Ended): string[] {
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: "" }, stdout);
  return stdout.trimEnd().split("\n");
}

// Row L04
for (const mode of ["read", "write"]) {
  sandboxTest(`local files and directories keep the modes they are made with, in mode ${mode}`, {}, async (it) => {
    const said = lines(await it.run([rows, "modes", it.here], { flags: [`--fs-mode=${mode}`] }));
    const expected = ["640", "604", "431", "755"].flatMap((bits) =>
      ["open", "openat", "open64", "openat64", "mkdir"].map((by) => `${by} ${bits}`)
    );
    assert.deepEqual(said, expected);
  });
}

// Row L12
sandboxTest("pwrite to a new file of the target arrives there, stdio beside it stays local", {
  files: { "/data/there": "" },
}, async (it) => {
  const said = lines(await it.write([rows, "write", "/data/new", `${it.here}/local`]));
  assert.deepEqual(said, ["open ok", "pwrite 37", "close ok", "fwrite 11", "fclose ok"]);
  assert.equal(await Deno.readTextFile(`${it.sandbox.root}/data/new`), "Mary had a little lamb, dear as snow\n");
  assert.equal(await Deno.readTextFile(`${it.here}/local`), "local text\n");
});

// Row L23
sandboxTest("a child of fork opens and reads the target's file", {}, async (it) => {
  const said = lines(await it.run([rows, "fork", "/app/config.json"]));
  assert.deepEqual(said, ['{ "color": "blue" }', "close ok", "child 0"]);
});

// Rows L33, L34
sandboxTest("opendir(), readdir() and readdir64() give the target's entries, each once", {
  files: Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`/data/entry-${at}`, ""])),
}, async (it) => {
  const [opened, ...names] = lines(await it.run([rows, "directory", "/data"]));
  assert.equal(opened, "opendir ok");
  const [, ...there] = lines(await it.inside(["/usr/bin/ls", "-a", "/data"])).toSorted();
  assert.deepEqual(names.toSorted().slice(1), there);
});

// Row L37
sandboxTest("statx() of a relative path is local, of an absolute one the target's, by path and by descriptor", {
  files: { "/data/file": "1234567" },
}, async (it) => {
  await Deno.writeTextFile(`${it.here}/relative`, "local", { mode: 0o600 });
  const said = lines(await it.run([rows, "statx", "relative", "/data/file"]));
  assert.deepEqual(said, [
    "relative size 5 mode 100600",
    "absolute size 7 mode 100644",
    "descriptor size 7 mode 100644",
    "null EFAULT",
  ]);
});

// Row L49
sandboxTest("mkdir(), mkdirat() and rmdir() below /tmp are local", {}, async (it) => {
  const said = lines(await it.write([rows, "tree", `${it.here}/one`, `${it.here}/two`]));
  const done = ["mkdir ok", "again EEXIST", "mkdirat ok", "stat ok", "rmdir ok", "rmdir ok", "stat ENOENT"];
  assert.deepEqual(said, done);
});

// Row L49
sandboxTest("mkdir(), mkdirat() and rmdir() of the target's paths happen there", {
  files: { "/data/there": "" },
}, async (it) => {
  const said = lines(await it.write([rows, "tree", "/data/one", "/data/two"]));
  const done = ["mkdir ok", "again EEXIST", "mkdirat ok", "stat ok", "rmdir ok", "rmdir ok", "stat ENOENT"];
  assert.deepEqual(said, done);
  const made = await it.write([rows, "tree", "/data/there/one", "/data/two"]);
  assert.match(made.stdout, /^mkdir ENOTDIR/);
});

// Row L58
sandboxTest("readlink() gives the target's text and its length, and writes nothing behind it", {}, async (it) => {
  await Deno.symlink("/gatos/tigrado.txt", `${it.sandbox.root}/app/link`);
  assert.deepEqual(lines(await it.run([rows, "readlink", "/app/link"])), ["18 /gatos/tigrado.txt#"]);
});

// Rows L68, E06
sandboxTest("statfs() and fstatfs() tell what they tell inside the target", {}, async (it) => {
  const said = lines(await it.run([rows, "statfs", "/app/config.json"]));
  const there = await it.inside([
    "/usr/bin/stat",
    "-f",
    "-c",
    "type %t bsize %s blocks %b files %c namelen %l frsize %S",
    "/app",
  ]);
  assert.deepEqual(said, ["statfs ok, fstatfs ok", there.stdout.trimEnd(), "same 1", "close ok"]);
});

// Rows R1, R2, R3, R4, R5
sandboxTest("realpath() of local paths, of the target's into a buffer and into memory, and of what is missing", {
  files: { "/data/deep/file": "" },
}, async (it) => {
  await Deno.writeTextFile(`${it.here}/relative`, "");
  await Deno.symlink("deep", `${it.sandbox.root}/data/link`);
  const args = ["./relative", "/usr/../usr/bin", "/data/../data/link/file", "/data/missing"];
  assert.deepEqual(lines(await it.run([rows, "realpath", ...args])), [
    `relative ${it.here}/relative`,
    "local /usr/bin",
    "buffer /data/deep/file 1",
    "memory /data/deep/file",
    "missing ENOENT",
  ]);
});

// Row E01
sandboxTest("C reads the target's files by a directory's descriptor, by stdio and by pread", {}, async (it) => {
  assert.deepEqual(lines(await it.run([rows, "at", "/app", "config.json"])), [
    'fgets { "color": "blue" }',
    'pread 1 "',
    "write EBADF",
    "missing ENOENT",
    "not a directory ENOENT",
  ]);
});

// Row E02
sandboxTest("in mode read opening for writing is local, where nothing is, and reading the target's", {}, async (it) => {
  const script = "cat /app/config.json; echo x 2>&1 > /app/config.json; echo x 2>&1 >> /app/new; cat /app/config.json";
  const { stdout } = await it.run(["bash", "-c", script]);
  assert.match(stdout, /blue.*\n.*No such file.*\n.*No such file.*\n.*blue/);
  assert.equal(await Deno.readTextFile(`${it.sandbox.root}/app/config.json`), '{ "color": "blue" }\n');
});

// Row U02
sandboxTest("/etc/resolv.conf is read from the target, and is this machine's for writing", {}, async (it) => {
  const there = await Deno.readTextFile(`${it.sandbox.root}/etc/resolv.conf`);
  const here = await Deno.stat("/etc/resolv.conf");
  const { stdout } = await it.run([
    "sh",
    "-c",
    "cat /etc/resolv.conf; exec 3>>/etc/resolv.conf; stat -Lc %i /proc/self/fd/3",
  ]);
  assert.equal(stdout, `${there}${here.ino}\n`);
});

// Row U03
sandboxTest("cloud credentials of the user are not found, those of the target elsewhere are", {
  files: { "/data/.config/gcloud/token": "theirs\n" },
}, async (it) => {
  await Deno.mkdir(`${it.here}/.config/gcloud`, { recursive: true });
  await Deno.writeTextFile(`${it.here}/.config/gcloud/token`, "mine\n");
  const command = ["sh", "-c", "cat .config/gcloud/token; cat $HOME/.config/gcloud/token /data/.config/gcloud/token"];
  const { stdout, stderr } = await it.run(command, { env: { HOME: it.here } });
  assert.equal(stdout, "theirs\n");
  assert.equal(stderr.match(/No such file/g)?.length, 2, stderr);
});
