/** The loader's calls: what is fetched, what it costs, and what stays this machine's. That it is as inside: tests/difference. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { answerFrom, directory, failing, file, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const SOURCES: readonly [name: string, source: string, flags: readonly string[]][] = [
  ["libleaf.so", "int leaf(void) { return 1; }", ["-Wl,-soname,libleaf.so"]],
  ["plug.so", "int leaf(void); int plug(void) { return leaf(); }", ["-L.", "-lleaf", "-Wl,-rpath,/data/lib"]],
  ["lone.so", "int lone(void) { return 2; }", []],
];

/** Made once, in the order of the table, in a directory where they find each other. */
async function compiled(): Promise<Tree> {
  const directory = await Deno.makeTempDir();
  try {
    const tree: Tree = {};
    for (const [at, [name, source, flags]] of SOURCES.entries()) {
      await Deno.writeTextFile(`${directory}/source.c`, source);
      const args = ["-shared", "-fPIC", "-o", name, "source.c", "-Wl,--no-as-needed", ...flags];
      const { success, stderr } = await new Deno.Command("gcc", { args, cwd: directory }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      const place = name.startsWith("lib") ? "/data/lib" : "/data/plugins";
      tree[`${place}/${name}`] = file(await Deno.readFile(`${directory}/${name}`), { ino: BigInt(at) });
    }
    return tree;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

let made: Promise<Tree> | undefined;

async function load(how: string, paths: readonly string[], env: Record<string, string> = {}) {
  const tree: Tree = {
    "/data": directory(),
    "/data/closed.so": failing(ERRNO.EACCES),
    "/data/text.so": file("no library, but long enough to be read as if it were one, or at least its first 64 bytes"),
    ...await (made ??= compiled()),
  };
  await using app = await startUnderShim("libraries", [how, ...paths], { answer: answerFrom(tree), env });
  const said = (await app.output()).trimEnd().split("\n");
  return { said, asked: app.frames.map((it) => `${it.type} ${"path" in it ? fromUtf8(it.path) : ""}`.trimEnd()) };
}

Deno.test("dlopen() loads the target's library when the path is remote, in one round trip, and once", async () => {
  const { said, asked } = await load("now", ["/data/plugins/lone.so", "/data/plugins/lone.so"]);
  assert.deepEqual(said, ["/data/plugins/lone.so", "/data/plugins/lone.so"]);
  assert.deepEqual(asked, ["Open /data/plugins/lone.so"]);
});

Deno.test("dlopen() loads what the target's library needs before it, in a round trip for each", async () => {
  const { said, asked } = await load("now", ["/data/plugins/plug.so", "libleaf.so"]);
  assert.deepEqual(said, ["/data/plugins/plug.so", "/data/lib/libleaf.so"]);
  assert.deepEqual(asked, ["Open /data/plugins/plug.so", "Open /data/lib/libleaf.so"]);
});

Deno.test("dlopen() stays local without a message when the path is, and for what is libc's", async () => {
  const env = { LD_LIBRARY_PATH: "/data/lib" };
  const { said, asked } = await load("now", ["/usr/lib/none.so", "libc.so.6", "libm.so.6", "/usr/none/libm.so.6"], env);
  const missing = (name: string) => `${name}: cannot open shared object file: No such file or directory`;
  assert.deepEqual([said[0], said[3]], ["/usr/lib/none.so", "/usr/none/libm.so.6"].map(missing));
  assert.match(said[1]! + said[2]!, /^\/\S+\/libc.so.6\/\S+\/libm.so.6$/);
  assert.deepEqual(asked, []);
});

Deno.test("dlopen() finds a bare name in the target's directories of LD_LIBRARY_PATH", async () => {
  const env = { LD_LIBRARY_PATH: "/nowhere:/data/lib" };
  const { said, asked } = await load("now", ["libleaf.so", "libnone.so", "libleaf.so"], env);
  const missing = "libnone.so: cannot open shared object file: No such file or directory";
  assert.deepEqual(said, ["/data/lib/libleaf.so", missing, "/data/lib/libleaf.so"]);
  const none = ["Open /nowhere/libnone.so", "Open /data/lib/libnone.so"];
  assert.deepEqual(asked, ["Open /nowhere/libleaf.so", "Open /data/lib/libleaf.so", ...none]);
});

Deno.test("dlopen() with RTLD_NOLOAD loads nothing of the target's", async () => {
  assert.deepEqual((await load("noload", ["/data/plugins/lone.so"])).said, ["nothing"]);
});

Deno.test("dlmopen() loads the target's library and what it needs into a namespace of its own", async () => {
  const { said, asked } = await load("apart", ["/data/plugins/plug.so"]);
  assert.deepEqual(said, ["/data/plugins/plug.so"]);
  assert.equal(asked.length, 2);
});

Deno.test("dlmopen() stays local without a message when the path is", async () => {
  const { said, asked } = await load("apart", ["/usr/lib/none.so"]);
  assert.deepEqual(said, ["/usr/lib/none.so: cannot open shared object file: No such file or directory"]);
  assert.deepEqual(asked, []);
});

Deno.test("dlerror() says why by the path that the program gave", async () => {
  const { said } = await load("now", ["/data/none.so", "/data/closed.so", "/data/text.so", "/data"]);
  assert.deepEqual(said, [
    "/data/none.so: cannot open shared object file: No such file or directory",
    "/data/closed.so: cannot open shared object file: Permission denied",
    "/data/text.so: invalid ELF header",
    "/data: cannot read file data: Is a directory",
  ]);
});
