import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { environmentFor, unpackShim } from "./inject.ts";

const SHIM = utf8("not really a library");

/** Runs with XDG_CACHE_HOME in a directory of the test's own. */
async function inCache(run: (cache: string) => Promise<void>): Promise<void> {
  const cache = await Deno.makeTempDir();
  const before = Deno.env.get("XDG_CACHE_HOME");
  Deno.env.set("XDG_CACHE_HOME", cache);
  try {
    await run(cache);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
    await Deno.remove(cache, { recursive: true });
  }
}

// Row L09
Deno.test("the shim is unpacked once, private, under a name that carries the build", () =>
  inCache(async (cache) => {
    const path = await unpackShim(SHIM, "b1");
    assert.equal(path, `${cache}/mirrord/shim-b1.so`);
    assert.equal((await Deno.stat(`${cache}/mirrord`)).mode! & 0o777, Deno.uid() === 0 ? 0o711 : 0o700);
    const before = await Deno.stat(path);
    assert.equal(await unpackShim(SHIM, "b1"), path);
    assert.equal((await Deno.stat(path)).ino, before.ino);
  }));

Deno.test("a shim that was tampered with or cut short is replaced before it is used", () =>
  inCache(async () => {
    const path = await unpackShim(SHIM, "b2");
    await Deno.chmod(path, 0o700);
    for (const wrong of [utf8("something else"), SHIM.subarray(0, 3), new Uint8Array()]) {
      await Deno.writeFile(path, wrong, { mode: 0o700 });
      await unpackShim(SHIM, "b2");
      assert.deepEqual(await Deno.readFile(path), SHIM);
    }
  }));

Deno.test("many runs that start at once all find the whole shim, and leave no scratch files", () =>
  inCache(async (cache) => {
    const paths = await Promise.all(Array.from({ length: 20 }, () => unpackShim(SHIM, "b3")));
    assert.equal(new Set(paths).size, 1);
    assert.deepEqual(await Deno.readFile(paths[0]!), SHIM);
    assert.deepEqual([...Deno.readDirSync(`${cache}/mirrord`)].map((entry) => entry.name), ["shim-b3.so"]);
  }));

Deno.test("a link in the place of the shim is replaced, never followed", () =>
  inCache(async (cache) => {
    await Deno.mkdir(`${cache}/mirrord`, { mode: 0o700 });
    await Deno.writeFile(`${cache}/victim`, SHIM);
    await Deno.symlink(`${cache}/victim`, `${cache}/mirrord/shim-b4.so`);
    const path = await unpackShim(SHIM, "b4");
    assert.ok((await Deno.lstat(path)).isFile);
  }));

Deno.test("a place with a colon or a space, which LD_PRELOAD would split, is passed over", async () => {
  await inCache(async (cache) => {
    Deno.env.set("XDG_CACHE_HOME", `${cache}/a b`);
    const path = await unpackShim(SHIM, "b5");
    assert.ok(!path.includes(" "));
    await Deno.remove(path);
  });
});

Deno.test("the environment names the shim first and keeps what the user preloads", () => {
  const text = (variables: string[]) => environmentFor(variables.map(utf8), "/s.so", "/d").map(fromUtf8);
  assert.deepEqual(text(["A=1"]), ["A=1", "LD_PRELOAD=/s.so", "MIRRORD_SESSION_DIR=/d"]);
  assert.deepEqual(text(["LD_PRELOAD=/x.so:/s.so /y.so", "MIRRORD_SESSION_DIR=/old"]), [
    "LD_PRELOAD=/s.so:/x.so:/y.so",
    "MIRRORD_SESSION_DIR=/d",
  ]);
});
