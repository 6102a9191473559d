/** The packed executable: unpacked once and privately, safe when several start at once, mended when damaged. */
import assert from "node:assert/strict";
import { endOf, MIRRORD, mirrord, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function version(env: Record<string, string>): Promise<void> {
  const { code, stdout, stderr } = await mirrord(["--version"], { env });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.match(stdout, /^mirrord /);
}

/** The two directories of a cache, by what their names begin with. */
function unpacked(cache: string): Record<"runtime" | "program", string> {
  const names = [...Deno.readDirSync(`${cache}/mirrord`)].map((it) => it.name).sort();
  const [program, runtime] = names;
  assert.deepEqual(names.map((name) => name.replace(/-[0-9a-f]{16}$/, "")), ["program", "runtime"]);
  return { program: `${cache}/mirrord/${program}`, runtime: `${cache}/mirrord/${runtime}` };
}

testUnless(REASON, "the first start unpacks into XDG_CACHE_HOME, for this user only", async () => {
  await withDirectory(async (cache) => {
    await version({ XDG_CACHE_HOME: cache });
    for (const directory of Object.values(unpacked(cache))) {
      assert.equal(Deno.statSync(directory).mode! & 0o777, 0o700);
      for (const { name, isFile } of Deno.readDirSync(directory)) {
        if (isFile) assert.equal(Deno.statSync(`${directory}/${name}`).mode! & 0o077, 0, name);
      }
    }
  });
});

testUnless(REASON, "several first starts at once all succeed and leave one copy", async () => {
  await withDirectory(async (cache) => {
    await Promise.all(Array.from({ length: 4 }, () => version({ XDG_CACHE_HOME: cache })));
    unpacked(cache);
  });
});

testUnless(REASON, "what was cut short or made writable by others is unpacked anew", async () => {
  await withDirectory(async (cache) => {
    await version({ XDG_CACHE_HOME: cache });
    const { program, runtime } = unpacked(cache);
    await Deno.truncate(`${program}/main.js`, 10);
    await Deno.chmod(`${runtime}/mirrord`, 0o722);
    await version({ XDG_CACHE_HOME: cache });
    assert.ok(Deno.statSync(`${program}/main.js`).size > 1000);
    assert.equal(Deno.statSync(`${runtime}/mirrord`).mode! & 0o777, 0o700);
    unpacked(cache);
  });
});

testUnless(REASON, "builds that nobody started for weeks are removed, and nothing else", async () => {
  await withDirectory(async (cache) => {
    const long = new Date(Date.now() - 30 * 24 * 3600 * 1000);
    for (const name of ["program-0123456789abcdef", ".runtime-0.1", "session"]) {
      await Deno.mkdir(`${cache}/mirrord/${name}/below`, { recursive: true, mode: 0o700 });
      await Deno.utime(`${cache}/mirrord/${name}`, long, long);
    }
    await version({ XDG_CACHE_HOME: cache });
    await Deno.remove(`${cache}/mirrord/session`, { recursive: true });
    unpacked(cache);
  });
});

testUnless(REASON, "a cache that cannot be used is passed over", async () => {
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/file`, "");
    await version({ XDG_CACHE_HOME: `${directory}/file` });
    await Deno.mkdir(`${directory}/open/mirrord`, { recursive: true });
    await Deno.chmod(`${directory}/open/mirrord`, 0o777);
    await version({ XDG_CACHE_HOME: `${directory}/open` });
    assert.deepEqual([...Deno.readDirSync(`${directory}/open/mirrord`)], []);
  });
});

testUnless(REASON, "a start does not read what the user's project says of Deno", async () => {
  await withDirectory(async (directory) => {
    for (const name of ["deno.json", "package.json", ".npmrc", "deno.lock"]) {
      await Deno.writeTextFile(`${directory}/${name}`, "{ this is no JSON");
    }
    const { code, stderr } = await mirrord(["--version"], { cwd: directory, env: { HOME: directory } });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });
});

testUnless(REASON, "in a directory that is gone it says so", async () => {
  const directory = await Deno.makeTempDir();
  const typed = `cd ${directory} && rmdir ${directory} && ${MIRRORD} --version`;
  const { code, stderr } = await new Deno.Command("sh", { args: ["-c", typed] }).output();
  assert.match(new TextDecoder().decode(stderr), /^error: Cannot start mirrord: the current directory: No such file/);
  assert.equal(code, 125);
});

testUnless(REASON, "a closed standard output or error changes nothing but that", async () => {
  const command = new Deno.Command("sh", {
    args: ["-c", `"$0" --version >&-; "$0" exce 2>&-; echo $?`, MIRRORD],
  });
  assert.match(new TextDecoder().decode((await command.output()).stdout), /2\n$/);
});

testUnless(REASON, "--unpack-runtime makes a copy that needs no cache and no writable place", async () => {
  await withDirectory(async (directory) => {
    const exported = await mirrord(["--unpack-runtime", `${directory}/usr/bin`]);
    assert.deepEqual({ code: exported.code, stderr: exported.stderr }, { code: 0, stderr: "" });
    const executable = `${directory}/usr/bin/mirrord`;
    assert.ok(Deno.statSync(executable).size < 1_000_000);
    const env = { XDG_CACHE_HOME: `${directory}/cache`, HOME: `${directory}/home` };
    const { code, stdout, stderr } = await mirrord(["--version"], { executable, env });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^mirrord /);
    assert.throws(() => Deno.statSync(`${directory}/cache`), Deno.errors.NotFound);
    // As another user, who may write nowhere, would see it.
    for (const { name } of Deno.readDirSync(`${directory}/usr/bin/mirrord.runtime`)) {
      assert.equal(Deno.statSync(`${directory}/usr/bin/mirrord.runtime/${name}`).mode! & 0o022, 0, name);
    }
  });
});

testUnless(REASON, "a copy whose runtime others may write is refused", async () => {
  await withDirectory(async (directory) => {
    await mirrord(["--unpack-runtime", directory]);
    await Deno.chmod(`${directory}/mirrord.runtime`, 0o777);
    const child = spawnMirrord(["--version"], { executable: `${directory}/mirrord` });
    await child.stdin.close();
    const { code, stderr } = await endOf(child);
    assert.match(stderr, /Cannot start mirrord: mirrord\.runtime .*\(code RUNTIME_UNUSABLE\)/s);
    assert.equal(code, 125);
  });
});
