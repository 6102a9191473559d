import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { closeFile, openRoot, packRights } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { ClientWatches, Watches } from "./watches.ts";

/** A tree, its root, and the news of what is watched in it as `number name`. */
class Scene implements AsyncDisposable {
  readonly news: string[] = [];
  readonly watches = new Watches();
  readonly client: ClientWatches;
  readonly #root: number;

  constructor(readonly tree: string) {
    this.#root = openRoot(cString(tree));
    this.client = new ClientWatches(this.watches, { root: this.#root, rights: null }, (watch, name) => {
      this.news.push(`${watch} ${fromUtf8(name)}`.trim());
    });
  }

  static async start(...directories: string[]): Promise<Scene> {
    const tree = await Deno.makeTempDir();
    for (const directory of directories) await Deno.mkdir(tree + directory, { recursive: true });
    return new Scene(tree);
  }

  begin(number: number, path: string): Promise<boolean> {
    return this.client.begin(number, cString(path));
  }

  /** What was told since this was called last, of all that has happened. */
  told(): string[] {
    this.client.tell();
    return this.news.splice(0);
  }

  write(path: string, text: string): void {
    Deno.writeFileSync(this.tree + path, utf8(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await closeFile(this.#root);
    await Deno.remove(this.tree, { recursive: true });
  }
}

Deno.test("a change of an entry is told once, with its name; a new entry ends the watch", async () => {
  await using scene = await Scene.start("/a/b");
  scene.write("/a/b/file", "1");
  assert.equal(await scene.begin(1, "/a/b"), true);
  scene.write("/a/b/file", "2");
  Deno.chmodSync(`${scene.tree}/a/b/file`, 0o600);
  assert.deepEqual(scene.told(), ["1 file"]);
  scene.write("/a/b/file", "3");
  assert.deepEqual(scene.told(), []);
  scene.write("/a/b/new", "");
  scene.write("/a/b/newer", "");
  assert.deepEqual(scene.told(), ["1"]);
});

Deno.test("news comes by itself, too", async () => {
  await using scene = await Scene.start("/a");
  assert.equal(await scene.begin(1, "/a/"), true);
  scene.write("/a/new", "");
  await eventually(() => scene.news.length > 0);
  assert.deepEqual(scene.news, ["1"]);
});

Deno.test("whatever may lead the path elsewhere ends a watch, and what happens beside it does not", async (t) => {
  const cases: [string, (tree: string) => void][] = [
    ["a directory above is renamed", (tree) => Deno.renameSync(`${tree}/a`, `${tree}/z`)],
    ["its rights change", (tree) => Deno.chmodSync(`${tree}/a`, 0o700)],
    ["the directory is removed", (tree) => Deno.removeSync(`${tree}/a/b`)],
    ["its own rights change", (tree) => Deno.chmodSync(`${tree}/a/b`, 0o700)],
    ["an entry is renamed", (tree) => Deno.mkdirSync(`${tree}/a/b/c`)],
  ];
  for (const [name, change] of cases) {
    await t.step(name, async () => {
      await using scene = await Scene.start("/a/b");
      assert.equal(await scene.begin(1, "/a/b"), true);
      scene.write("/a/beside", "");
      scene.write("/beside", "");
      assert.deepEqual(scene.told(), []);
      change(scene.tree);
      assert.deepEqual(scene.told(), ["1"]);
    });
  }
});

Deno.test("two who watch one directory, and one who watches one below it, are each told", async () => {
  await using scene = await Scene.start("/a/b");
  for (const [number, path] of [[1, "/a"], [2, "/a"], [3, "/a/b"]] as const) {
    assert.equal(await scene.begin(number, path), true);
  }
  scene.client.end(2);
  scene.write("/a/new", "");
  assert.deepEqual(scene.told(), ["1"]);
  Deno.removeSync(`${scene.tree}/a/b`);
  assert.deepEqual(scene.told(), ["3"]);
});

Deno.test("what is changed while a watch begins is told, or seen by who reads after it", async () => {
  await using scene = await Scene.start("/a");
  for (let number = 1; number <= 50; number++) {
    const beginning = scene.begin(number, "/a");
    scene.write(`/a/${number}`, "");
    const isWatched = await beginning;
    const isThere = [...Deno.readDirSync(`${scene.tree}/a`)].some(({ name }) => name === `${number}`);
    assert.ok(isThere || !isWatched || scene.told().includes(`${number}`));
  }
});

Deno.test("links, dots, files, what is not there and what has no changes to tell are not watched", async () => {
  await using scene = await Scene.start("/a/b");
  scene.write("/file", "");
  Deno.symlinkSync("a", `${scene.tree}/link`);
  for (const path of ["/link/b", "/a/../a", "/a/./b", "/file", "/none", "/a/none"]) {
    assert.equal(await scene.begin(1, path), false, path);
  }
  const root = openRoot(cString("/"));
  const others = new ClientWatches(scene.watches, { root, rights: null }, () => {});
  assert.equal(await others.begin(1, cString("/proc/self")), false);
  await others.close();
  await closeFile(root);
});

Deno.test({
  name: "a directory that the target's user may not read is not watched, one that is above it may be so (needs root)",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using scene = await Scene.start("/a/b/c");
    Deno.chmodSync(scene.tree, 0o711);
    Deno.chmodSync(`${scene.tree}/a`, 0o711);
    Deno.chmodSync(`${scene.tree}/a/b/c`, 0o711);
    const root = openRoot(cString(scene.tree));
    const nobody = { uid: 65534, gid: 65534, groups: [] };
    const rights = packRights(nobody, { uid: 0, gid: 0, groups: [0] });
    const client = new ClientWatches(scene.watches, { root, rights }, () => {});
    assert.deepEqual([await client.begin(1, cString("/a/b")), await client.begin(2, cString("/a/b/c"))], [true, false]);
    await client.close();
    await closeFile(root);
  },
});

Deno.test("of a client's watches the oldest ends when there are too many, and is told so", async () => {
  await using scene = await Scene.start("/a");
  for (let number = 1; number <= 513; number++) assert.equal(await scene.begin(number, "/a"), true);
  assert.deepEqual(scene.told(), ["1"]);
});

Deno.test("a directory that has more that changes than can be told ends the watch", async () => {
  await using scene = await Scene.start("/a");
  for (let at = 0; at < 100; at++) scene.write(`/a/${at}`, "");
  assert.equal(await scene.begin(1, "/a"), true);
  for (let at = 0; at < 100; at++) scene.write(`/a/${at}`, "more");
  const told = scene.told();
  assert.equal(told.at(-1), "1");
  assert.ok(told.length < 70, `${told.length}`);
});
