/** The conformance list's rows about scripts, interpreters, processes, environment and host name, each by real programs. */
import assert from "node:assert/strict";
import { builtProgram, type Case, sandboxTest } from "../support/sandbox_case.ts";

const NODE = "/usr/bin/node";
const PYTHON = "/usr/bin/python3";
const rows = await builtProgram("conformance/programs/rows.c");

/** What a command that succeeds without a word on standard error says. */
async function said(it: Case, command: readonly string[], flags: readonly string[] = []): Promise<string> {
  const { code, stdout, stderr } = await it.run(command, { flags });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, stdout);
  return stdout;
}

// Row L01
sandboxTest("a script, its env, its bash and their cat are all in the target's context", {}, async (it) => {
  const script = `${it.here}/script`;
  await Deno.writeTextFile(script, "#!/usr/bin/env bash\nhostname\ncat /app/config.json\n", { mode: 0o755 });
  assert.equal(await said(it, [script]), `${it.sandbox.hostname}\n{ "color": "blue" }\n`);
});

// Row L13
sandboxTest("Node's fs.readFileSync() reads the target's file", { needs: [NODE] }, async (it) => {
  const script = "process.stdout.write(require('fs').readFileSync('/app/config.json', 'utf8'))";
  assert.equal(await said(it, [NODE, "-e", script]), '{ "color": "blue" }\n');
});

// Row L67
sandboxTest("children that Node starts, through sh or by themselves, read the target's files", {
  needs: [NODE],
}, async (it) => {
  const script = `const { exec, spawnSync } = require("child_process");
    exec("cat /app/config.json", (error, out) => {
      process.stdout.write(out + spawnSync("cat", ["/app/secret/token"]).stdout + (error ?? ""));
    });`;
  assert.equal(await said(it, [NODE, "-e", script]), '{ "color": "blue" }\ns3cr3t\n');
});

// Row L44
sandboxTest("Node renames the target's files there, local ones here", {
  files: { "/data/old": "theirs" },
  needs: [NODE],
}, async (it) => {
  await Deno.writeTextFile(`${it.here}/old`, "mine");
  const script = `const fs = require("fs");
    fs.renameSync("/data/old", "/data/new");
    fs.renameSync("old", "new");
    try { fs.renameSync("/data/old", "/data/x") } catch (error) { console.log(error.code) }
    try { fs.renameSync("/data/new", "${it.here}/x") } catch (error) { console.log(error.code) }
    console.log(fs.readFileSync("/data/new", "utf8"), fs.readFileSync("new", "utf8"))`;
  assert.equal(await said(it, [NODE, "-e", script], ["--fs-mode=write"]), "ENOENT\nEXDEV\ntheirs mine\n");
  assert.equal(await Deno.readTextFile(`${it.sandbox.root}/data/new`), "theirs");
});

// Row L50
sandboxTest(
  "Node's fs.copyFile() and fs.cp() copy from the target, contents and modes",
  { needs: [NODE] },
  async (it) => {
    await Deno.chmod(`${it.sandbox.root}/app/secret/token`, 0o640);
    const script = `const fs = require("fs");
    fs.copyFileSync("/app/secret/token", "token");
    fs.cpSync("/app", "app", { recursive: true, preserveTimestamps: true });
    fs.promises.copyFile("/app/config.json", "config").then(() =>
      console.log(fs.readFileSync("config", "utf8"), fs.readFileSync("token", "utf8"),
        (fs.statSync("token").mode & 0o777).toString(8), fs.readdirSync("app").join(),
        Math.abs(fs.statSync("app/config.json").mtimeMs - fs.statSync("/app/config.json").mtimeMs) < 10));`;
    const copied = await said(it, [NODE, "-e", script]);
    assert.match(copied, /^\{ "color": "blue" \}\n s3cr3t\n 640 config\.json,secret true\n$/);
  },
);

// Rows L63, L64, L65
sandboxTest(
  "a process is left alone by its executable's name or argv[0], any other reads the target's files",
  {},
  async (it) => {
    const link = `${it.here}/invoked`;
    await Deno.symlink(rows, link);
    const cat = (program: string) => [program, "cat", "/etc/hostname"];
    const here = await Deno.readTextFile("/etc/hostname");
    const name = rows.replace(/.*\//, "");
    assert.equal(await said(it, cat(link), ["--skip-processes", name]), here);
    assert.equal(await said(it, cat(link), ["--skip-processes", "other;invoked"]), here);
    assert.equal(await said(it, cat(link), ["--skip-processes", "invoke"]), `${it.sandbox.hostname}\n`);
  },
);

// Row E01
sandboxTest("Python reads the target's files by line, by character, from a place, by a directory's descriptor", {
  files: { "/data/poem": "first line\nsecond line\nthird\n" },
}, async (it) => {
  const script = `import os
with open("/data/poem") as it:
    print(it.readline(), it.read(3), it.seek(2), it.readlines(), sep="|")
with open("/data/poem") as it:
    print("".join(iter(lambda: it.read(1), "")) == open("/data/poem").read())
above = os.open("/data", os.O_RDONLY | os.O_DIRECTORY)
print(os.read(os.open("poem", os.O_RDONLY, dir_fd=above), 5), os.stat("poem", dir_fd=above).st_size)
for attempt in (lambda: open("/data/missing"), lambda: os.listdir("/data/poem"), lambda: open("/data")):
    try: attempt()
    except OSError as error: print(type(error).__name__)
print(os.statvfs("/data").f_namemax)`;
  assert.deepEqual((await said(it, [PYTHON, "-c", script])).split("\n"), [
    "first line",
    "|sec|2|['rst line\\n', 'second line\\n', 'third\\n']",
    "True",
    "b'first' 29",
    "FileNotFoundError",
    "NotADirectoryError",
    "IsADirectoryError",
    "255",
    "",
  ]);
});

// Row E01
sandboxTest("Python makes and removes directories of the target, also by a directory's descriptor", {
  files: { "/data/there": "" },
}, async (it) => {
  const script = `import os
os.makedirs("/data/a/b/c")
above = os.open("/data/a", os.O_RDONLY | os.O_DIRECTORY)
os.mkdir("d", dir_fd=above)
for attempt in (lambda: os.mkdir("/data/a"), lambda: os.mkdir("/data/x/y"), lambda: os.rmdir("/data/a")):
    try: attempt()
    except OSError as error: print(type(error).__name__, error.errno)
os.rmdir("d", dir_fd=above)
os.removedirs("/data/a/b/c")
print(os.listdir("/data"))`;
  const expected = "FileExistsError 17\nFileNotFoundError 2\nOSError 39\n['there']\n";
  assert.equal(await said(it, [PYTHON, "-c", script], ["--fs-mode=write"]), expected);
});

// Row E03
sandboxTest("unlink of the target's files, of one that is open, and of local ones", {
  files: { "/data/one": "1", "/data/two": "2" },
}, async (it) => {
  await Deno.writeTextFile(`${it.here}/mine`, "");
  const script = `import os
held = open("/data/one")
os.unlink("/data/one")
print(os.path.exists("/data/one"), held.read())
os.unlink("two", dir_fd=os.open("/data", os.O_RDONLY))
os.unlink("mine")
print(os.listdir("/data"), os.listdir("."))
try: os.unlink("/data/two")
except OSError as error: print(error.errno)`;
  assert.equal(await said(it, [PYTHON, "-c", script], ["--fs-mode=write"]), "False 1\n[] []\n2\n");
  assert.deepEqual([...Deno.readDirSync(`${it.sandbox.root}/data`)], []);
});

// Row E04
sandboxTest("bash tests and reads the target's files", {}, async (it) => {
  const script = `[ -f /app/config.json ] && [ ! -e /app/missing ] && [ -d /app/secret ] && echo there
    read -r line < /app/config.json; echo "$line"; while read -r it; do echo "$it"; done < /app/secret/token
    echo "$(< /app/secret/token)" | tr a-z A-Z`;
  assert.equal(await said(it, ["bash", "-c", script]), 'there\n{ "color": "blue" }\ns3cr3t\nS3CR3T\n');
});

// Row E07
sandboxTest("bash sees all of the target's variables, those included, or all but those excluded", {}, async (it) => {
  const script = ["bash", "-c", 'echo "${GREETING-none} ${DATABASE_URL-none}"'];
  const { GREETING, DATABASE_URL } = it.sandbox.environment;
  assert.equal(await said(it, script), `${GREETING} ${DATABASE_URL}\n`);
  assert.equal(await said(it, script, ["-s", "GREETING"]), `${GREETING} none\n`);
  assert.equal(await said(it, script, ["-x", "GREETING"]), `none ${DATABASE_URL}\n`);
});

for (
  const [language, needs, command] of [
    ["Node", NODE, [NODE, "-p", '[process.env.GREETING, process.env.DATABASE_URL].join("|")']],
    ["Python", PYTHON, [
      PYTHON,
      "-c",
      'import os; print(os.getenv("GREETING", ""), os.getenv("DATABASE_URL", ""), sep="|")',
    ]],
    ["Perl", "/usr/bin/perl", ["perl", "-e", 'print "$ENV{GREETING}|$ENV{DATABASE_URL}\\n"']],
  ] as const
) {
  // Row E08
  sandboxTest(
    `${language} sees the target's variables, with include and with exclude`,
    { needs: [needs] },
    async (it) => {
      const { GREETING, DATABASE_URL } = it.sandbox.environment;
      assert.equal(await said(it, command), `${GREETING}|${DATABASE_URL}\n`);
      assert.equal(await said(it, command, ["-s", "DATABASE_*"]), `|${DATABASE_URL}\n`);
      assert.equal(await said(it, command, ["-x", "DATABASE_*"]), `${GREETING}|\n`);
    },
  );
}

// Row E34
sandboxTest("the host name is the target's, without a newline, and can be looked up", {}, async (it) => {
  const { stdout } = await it.run([rows, "host"]);
  assert.equal(stdout, `gethostname ok\n[${it.sandbox.hostname}] found\n`);
});

// Row L51
sandboxTest("a name without addresses is an ordinary error of Node's lookup", { needs: [NODE] }, async (it) => {
  const script = 'require("dns").lookup("no-such-name", (error) => console.log(error.code, error.syscall))';
  assert.equal(await said(it, [NODE, "-e", script]), "ENOTFOUND getaddrinfo\n");
});

// Rows L44, E03
sandboxTest(
  "a mapped path is renamed and removed where it stands for",
  { files: { "/data/old": "theirs" } },
  async (it) => {
    const mapping = {
      feature: { fs: { mode: "write", mapping: { "^/alias/(.*)$": "/data/$1", "^/mine/(.*)$": `${it.here}/$1` } } },
    };
    await Deno.writeTextFile(`${it.here}/mirrord.json`, JSON.stringify(mapping));
    await Deno.writeTextFile(`${it.here}/local`, "mine");
    const script = `import os
os.rename("/alias/old", "/alias/new")
os.rename("/mine/local", "/mine/other")
print(open("/data/new").read(), open("/alias/new").read(), open("/mine/other").read())
os.unlink("/alias/new"); os.unlink("/mine/other")
print(os.path.exists("/data/new"), os.path.exists("${it.here}/other"))`;
    assert.equal(
      await said(it, [PYTHON, "-c", script], ["-f", `${it.here}/mirrord.json`]),
      "theirs theirs mine\nFalse False\n",
    );
  },
);
