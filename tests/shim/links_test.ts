/** What links of /proc tell of what is the target's, and calls that name its files in other ways than by a path. */
import assert from "node:assert/strict";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { answerFrom, directory, file, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const TREE: Tree = {
  "/data": directory("file"),
  "/data/file": file("remote bytes"),
};

const answerTree = answerFrom(TREE);

/** The file's path is what the run opened it by. */
function answer(frame: LayerFrame): LayerMessage | undefined {
  return frame.type === "PathOf" ? { type: "PathReply", errno: 0, path: utf8("/data/file") } : answerTree(frame);
}

async function call(...args: string[]): Promise<{ output: string; asked: string[] }> {
  await using app = await startUnderShim("links", args, { answer });
  const output = (await app.output()).trimEnd();
  return { output, asked: app.frames.map((it) => `${it.type} ${"path" in it ? fromUtf8(it.path) : ""}`.trimEnd()) };
}

Deno.test("readlink(), realpath() and stat() of /proc/self/fd/N tell of the target's file that is open", async () => {
  const { output, asked } = await call("open", "/data/file", "nothing");
  assert.equal(output, "/data/file /data/file\n4242\nENOTDIR");
  const told = ["PathOf", "RealPath /data/file"];
  assert.deepEqual(asked, ["Open /data/file", ...told, ...told]);
});

Deno.test("readlink() of /proc/self/fd/N tells of the target's directory, and paths go on behind it", async () => {
  const { output, asked } = await call("open", "/data", "file");
  assert.match(output, /^\/data \/data\n\d+\n4242$/);
  assert.deepEqual(asked, ["Open /data", "RealPath /data", "RealPath /data", "Stat /data", "Stat /data/file"]);
});

Deno.test("readlink() of /proc/self/fd/N tells of a local file without a message", async () => {
  const { output, asked } = await call("open", "/etc/passwd", "x");
  assert.match(output, /^\/etc\/passwd \/etc\/passwd\n\d+\nENOTDIR$/);
  assert.deepEqual(asked, []);
});

Deno.test("ftok() makes its number of the target's file when the path is remote", async () => {
  assert.deepEqual(await call("ftok", "/data/file"), { output: "6d011092", asked: ["Stat /data/file"] });
  assert.equal((await call("ftok", "/data/none")).output, "ENOENT");
});

Deno.test("ftok() stays local without a message when the path is", async () => {
  const { output, asked } = await call("ftok", "/etc/passwd");
  assert.match(output, /^6d/);
  assert.deepEqual(asked, []);
});

Deno.test("name_to_handle_at() says EOPNOTSUPP of what is the target's, without a message", async () => {
  assert.deepEqual(await call("name_to_handle_at", "/data/file"), { output: "EOPNOTSUPP", asked: [] });
});

Deno.test("name_to_handle_at() stays local when the path is", async () => {
  const { output, asked } = await call("name_to_handle_at", "/etc/no-such-file");
  assert.deepEqual({ output, asked }, { output: "ENOENT", asked: [] });
});

Deno.test("openat2() opens the target's file; what it cannot keep to is told by ENOSYS and EAGAIN", async () => {
  const [NO_MAGICLINKS, BENEATH, CACHED, NONE_SUCH] = ["2", "8", "20", "1000"];
  const asked = ["Open /data", "Open /data/file"];
  for (const resolve of ["0", NO_MAGICLINKS]) {
    assert.deepEqual(await call("openat2", "/data", "file", resolve), { output: "remote bytes", asked });
  }
  assert.deepEqual(await call("openat2", "/data", "file", BENEATH), { output: "ENOSYS", asked: asked.slice(0, 1) });
  assert.equal((await call("openat2", "/data", "file", CACHED)).output, "EAGAIN");
  assert.equal((await call("openat2", "/data", "file", NONE_SUCH)).output, "EINVAL");
});

Deno.test("openat2() stays local, with its restrictions, when the path is", async () => {
  const { output, asked } = await call("openat2", "/etc", "../etc/passwd", "8");
  assert.deepEqual({ output, asked }, { output: "EXDEV", asked: [] });
});
