import assert from "node:assert/strict";
import { utf8 } from "../base/bytes.ts";
import { holdSession, listenUnnamed, makeSessionDirectory } from "./session_directory.ts";

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
    assert.equal((await Deno.stat(a)).mode! & 0o777, Deno.uid() === 0 ? 0o711 : 0o700);
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

Deno.test("a socket is bound without its path being seen by others", () =>
  inRuntime(async () => {
    const directory = await makeSessionDirectory();
    using listener = listenUnnamed(directory, "socket", 0o600);
    const info = await Deno.stat(`${directory}/socket`);
    assert.deepEqual([info.isSocket, info.mode! & 0o777], [true, 0o600]);
    const address = listener.addr as Deno.UnixAddr;
    assert.ok(!address.path.includes(directory), address.path);
    assert.ok(!(await Deno.readTextFile("/proc/net/unix")).includes(directory));
    using _conn = await Deno.connect({ transport: "unix", path: `${directory}/socket` });
    (await listener.accept()).close();
  }));
