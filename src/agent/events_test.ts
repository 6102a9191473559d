import assert from "node:assert/strict";
import { eventually } from "../../tests/support/eventually.ts";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import { closeFile, openRoot } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { ClientEvents, Events } from "./events.ts";

const [MODIFY, CREATE, DELETE, ISDIR] = [0x2, 0x100, 0x200, 0x4000_0000];

/** A tree with a directory and a file, and what its client is told: `watch mask name`. */
class Scene implements AsyncDisposable {
  readonly news: string[] = [];
  readonly client: ClientEvents;
  readonly #root: number;

  constructor(readonly tree: string) {
    this.#root = openRoot(cString(tree));
    this.client = new ClientEvents(new Events(), { root: this.#root, rights: null }, (events) => {
      const view = new DataView(events.buffer);
      for (let at = 0; at < events.length;) {
        const end = at + 14 + view.getUint16(at + 12, true);
        const name = fromUtf8(events.subarray(at + 14, end));
        this.news.push(`${view.getUint32(at, true)} ${view.getUint32(at + 4, true).toString(16)} ${name}`);
        at = end;
      }
      return Promise.resolve();
    });
  }

  static async start(): Promise<Scene> {
    const tree = await Deno.makeTempDir();
    await Deno.mkdir(`${tree}/sub/below`, { recursive: true });
    await Deno.writeTextFile(`${tree}/sub/file`, "");
    return new Scene(tree);
  }

  begin(watch: number, path: string, mask = MODIFY) {
    return this.client.begin({ type: "WatchEvents", path: utf8(path), mask, watch });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await closeFile(this.#root);
    await Deno.remove(this.tree, { recursive: true });
  }
}

Deno.test("a client is told what happens in a directory, from what was in it when it began", async () => {
  await using scene = await Scene.start();
  const { errno, path, isDirectory, entries } = await scene.begin(7, "/sub/../sub");
  assert.deepEqual([errno, fromUtf8(path), isDirectory], [0, "/sub", true]);
  assert.deepEqual(fromUtf8(entries).split("\0").sort(), ["", "dbelow", "ffile"]);
  await Deno.mkdir(`${scene.tree}/sub/new`);
  await Deno.remove(`${scene.tree}/sub/file`);
  await eventually(() => scene.news.length === 2);
  assert.deepEqual(scene.news, [`7 ${(CREATE | ISDIR).toString(16)} new`, `7 ${DELETE.toString(16)} file`]);
});

Deno.test("two watches of one file are both told; what has ended is told nothing", async () => {
  await using scene = await Scene.start();
  await scene.begin(1, "/sub/file");
  await scene.begin(2, "/sub/file");
  scene.client.end(1);
  await Deno.truncate(`${scene.tree}/sub/file`, 5);
  await eventually(() => scene.news.includes("2 8 "));
  assert.deepEqual(scene.news.filter((it) => it.startsWith("1")), []);
});

Deno.test("what cannot be watched is told by its errno", async () => {
  await using scene = await Scene.start();
  assert.equal((await scene.begin(1, "/nothing")).errno, ERRNO.ENOENT);
  assert.equal((await scene.begin(1, "/sub/file", 0x100_0000)).errno, ERRNO.ENOTDIR);
  assert.equal((await scene.begin(1, "/sub")).errno, 0);
  assert.equal((await scene.begin(1, "/sub")).errno, ERRNO.ENOSPC);
});
