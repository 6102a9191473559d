import assert from "node:assert/strict";
import { utf8 } from "../base/bytes.ts";
import { holdSession, makeSessionDirectory } from "./session_directory.ts";

/** Runs with XDG_RUNTIME_DIR in a directory of the test's own. */
async function inRuntime(run: (runtime: string) => Promise<void>): Promise<void> {
  const runtime = await Deno.makeTempDir();
  const before = Deno.env.get("XDG_RUNTIME_DIR");
  Deno.env.set("XDG_RUNTIME_DIR", runtime);
  try {
    await run(runtime);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_RUNTIME_DIR");
    else Deno.env.set("XDG_RUNTIME_DIR", before);
    await Deno.remove(runtime, { recursive: true });
  }
}

const age = (directory: string) => Deno.utime(directory, new Date(0), new Date(0));
const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

Deno.test("session directories are private and differ", () =>
  inRuntime(async () => {
    const [a, b] = [await makeSessionDirectory(), await makeSessionDirectory()];
    assert.notEqual(a, b);
    assert.equal((await Deno.stat(a)).mode! & 0o777, 0o700);
    assert.ok(utf8(`${a}/settings.new`).length < 108);
  }));

Deno.test("a session directory that nobody holds any more is removed by the next session", () =>
  inRuntime(async () => {
    const dead = await makeSessionDirectory();
    (await holdSession(dead))[Symbol.dispose]();
    const held = await makeSessionDirectory();
    using _hold = await holdSession(held);
    const young = await makeSessionDirectory();
    await age(dead);
    await age(held);
    const next = await makeSessionDirectory();
    assert.deepEqual(await Promise.all([dead, held, young, next].map(exists)), [false, true, true, true]);
  }));

Deno.test("what is no session directory is left alone", () =>
  inRuntime(async (runtime) => {
    await makeSessionDirectory();
    const other = `${runtime}/mirrord/somebody-elses`;
    await Deno.mkdir(other);
    await age(other);
    await makeSessionDirectory();
    assert.equal(await exists(other), true);
  }));

Deno.test("a parent that is too long for a socket's path is passed over", () =>
  inRuntime(async (runtime) => {
    Deno.env.set("XDG_RUNTIME_DIR", `${runtime}/${"x".repeat(80)}`);
    const directory = await makeSessionDirectory();
    assert.ok(directory.startsWith("/tmp/mirrord-"));
    await Deno.remove(directory, { recursive: true });
  }));
