import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import type { AgentMessage } from "../proto/agent.ts";
import { MAX_HEAD_BYTES } from "../proto/agent_codec.ts";
import { closeFile, ENTRY_RECORD_BYTES, openRoot, type PackedRights, packRights } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { Files, type Outlet } from "./files.ts";

const NOBODY = 65534;
const isRoot = Deno.uid() === 0;

/** What ReadEntries tells of each name: its contents, or the errno. */
async function read(
  tree: string,
  names: readonly string[],
  { each = 1000, most = 1 << 20, rights = null as PackedRights, path = "/d" } = {},
): Promise<(string | number)[]> {
  const root = openRoot(cString(tree));
  const files = new Files(root, rights);
  let answer: AgentMessage | undefined;
  const outlet: Outlet = {
    send(message) {
      answer = "data" in message ? { ...message, data: message.data.slice() } : message;
      return Promise.resolve();
    },
    sendInPlace(rest, buffer, count) {
      answer = { ...rest, data: buffer.slice(MAX_HEAD_BYTES, MAX_HEAD_BYTES + count) } as AgentMessage;
      return Promise.resolve();
    },
  };
  const text = utf8(names.map((name) => name + "\0").join(""));
  await files.readEntries(
    { type: "ReadEntries", path: utf8(path), names: text, eachBytes: each, mostBytes: most },
    outlet,
  );
  await files.close();
  await closeFile(root);
  if (answer?.type !== "EntryContents") throw new Error(`answered by ${answer?.type}`);
  return answer.errno !== 0 ? [answer.errno] : [...entries(answer.data)];
}

function* entries(data: Uint8Array): Generator<string | number> {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; at < data.length;) {
    const errno = view.getInt32(at, true);
    const length = view.getUint32(at + ENTRY_RECORD_BYTES, true);
    at += ENTRY_RECORD_BYTES + 4;
    yield errno || fromUtf8(data.subarray(at, at + length));
    at += length;
  }
}

async function withTree(test: (tree: string) => Promise<void>): Promise<void> {
  const tree = await Deno.makeTempDir();
  try {
    await Deno.chmod(tree, 0o755);
    await Deno.mkdir(`${tree}/d`);
    for (const name of ["a", "b", "c"]) await Deno.writeTextFile(`${tree}/d/${name}`, `${name}${name}`);
    await test(tree);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

Deno.test("small files of a directory come together, in the order of their names", () =>
  withTree(async (tree) => {
    await Deno.writeTextFile(`${tree}/d/empty`, "");
    assert.deepEqual(await read(tree, ["c", "a", "empty"]), ["cc", "aa", ""]);
  }));

Deno.test("what is no small regular file with one name is refused, and nothing is done to it", () =>
  withTree(async (tree) => {
    const { success } = await new Deno.Command("mkfifo", { args: [`${tree}/d/fifo`] }).output();
    assert.ok(success);
    await Deno.symlink("a", `${tree}/d/link`);
    await Deno.mkdir(`${tree}/d/below`);
    await Deno.link(`${tree}/d/b`, `${tree}/second`);
    await Deno.writeTextFile(`${tree}/d/long`, "x".repeat(1001));
    const { EAGAIN, ENOENT } = ERRNO as Record<string, number>;
    const names = ["fifo", "link", "below", "b", "long", "none", "a"];
    assert.deepEqual(await read(tree, names), [...Array(5).fill(EAGAIN ?? 11), ENOENT ?? 2, "aa"]);
  }));

Deno.test("what has no room any more is left out", () =>
  withTree(async (tree) => {
    const room = 2 * (ENTRY_RECORD_BYTES + 4 + 2) + ENTRY_RECORD_BYTES;
    assert.deepEqual(await read(tree, ["a", "b", "c"], { each: 2, most: room }), ["aa", "bb"]);
    assert.deepEqual(await read(tree, ["a"], { each: 2, most: 10 }), []);
  }));

Deno.test("a name that leads elsewhere ends the answer, a path that is no directory is its errno", () =>
  withTree(async (tree) => {
    for (const name of ["../d/a", "..", ".", "", "d/a"]) {
      assert.deepEqual(await read(tree, ["a", name, "b"]), ["aa"], name);
    }
    assert.deepEqual(await read(tree, ["a"], { path: "/none" }), [2]);
    assert.deepEqual(await read(tree, ["a"], { path: "/d/a" }), [20]);
  }));

Deno.test({
  name: "small files are read with the target user's rights (needs root)",
  ignore: !isRoot,
  fn: () =>
    withTree(async (tree) => {
      await Deno.chmod(`${tree}/d/b`, 0o600);
      const nobody = { uid: NOBODY, gid: NOBODY, groups: [NOBODY] };
      const rights = packRights(nobody, { uid: 0, gid: 0, groups: [0] });
      assert.deepEqual(await read(tree, ["a", "b", "c"], { rights }), ["aa", 13, "cc"]);
      await Deno.chmod(`${tree}/d`, 0o700);
      assert.deepEqual((await read(tree, ["a"], { rights })).filter((it) => it !== 13), []);
    }),
});

Deno.test({
  name: "reading a file ahead leaves its time of access as it was (needs root)",
  ignore: !isRoot,
  fn: () =>
    withTree(async (tree) => {
      await Deno.utime(`${tree}/d/a`, 1, 1000);
      assert.deepEqual(await read(tree, ["a"]), ["aa"]);
      assert.equal((await Deno.stat(`${tree}/d/a`)).atime?.getTime(), 1000);
    }),
});
