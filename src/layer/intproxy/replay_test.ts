/** What stands for the target's files is the only thing that its events change. */
import assert from "node:assert/strict";
import { utf8 } from "../../base/bytes.ts";
import * as inotify from "../../sys/watch.ts";
import { Replay } from "./replay.ts";

Deno.test("names that lead out of the directory change nothing outside of it", async () => {
  const top = await Deno.makeTempDir();
  try {
    Deno.mkdirSync(`${top}/precious`);
    using replay = new Replay(`${top}/events`);
    replay.begin(1, "/watched", true, utf8("d../../made\0f../../made\0d..\0dinside\0"));
    const out = "../../precious";
    const said = (mask: number, name: string, cookie = 0) => ({ watch: 1, mask, cookie, name });
    const { IN_CREATE, IN_DELETE, IN_ISDIR, IN_MOVED_FROM, IN_MOVED_TO } = inotify;
    replay.happen([said(IN_DELETE | IN_ISDIR, out), said(IN_CREATE, "../../made"), said(IN_DELETE | IN_ISDIR, "..")]);
    replay.happen([said(IN_MOVED_FROM | IN_ISDIR, "inside", 7), said(IN_MOVED_TO | IN_ISDIR, "../../moved", 7)]);
    replay.happen([said(IN_MOVED_FROM | IN_ISDIR, out, 8), said(IN_MOVED_TO | IN_ISDIR, "in", 8)]);
    for (const path of ["/../precious", "relative", "/watched/../../precious", "//"]) {
      assert.throws(() => replay.begin(2, path, true, new Uint8Array(0)), path);
    }
    assert.deepEqual([...Deno.readDirSync(top)].map(({ name }) => name).sort(), ["events", "precious"]);
  } finally {
    await Deno.remove(top, { recursive: true });
  }
});

Deno.test("however often a file is said to have been opened and changed, few are open here", async () => {
  const top = await Deno.makeTempDir();
  const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
  try {
    const before = descriptors();
    {
      using replay = new Replay(`${top}/events`);
      replay.begin(1, "/watched", true, utf8("ffile\0"));
      const { IN_MODIFY, IN_OPEN } = inotify;
      const said = (mask: number) => ({ watch: 1, mask, cookie: 0, name: "file" });
      for (let turn = 0; turn < 300; turn++) replay.happen([said(IN_OPEN)]);
      for (let turn = 0; turn < 300; turn++) replay.happen([said(IN_MODIFY)]);
      assert.equal(descriptors() - before, 64);
    }
    assert.equal(descriptors(), before);
  } finally {
    await Deno.remove(top, { recursive: true });
  }
});
