/** Changes of a made-up root directory, and what cannot lead out of it. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import type { AGENT } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { REMOVES } from "../proto/tree.ts";
import { closeFile, openRoot, packRights } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { type Change, Tree } from "./tree.ts";

const S_IFDIR = 0o040000;
const S_IFIFO = 0o010000;
const EBUSY = 16;
const EXDEV = 18;
const ENOTEMPTY = 39;
const ENODATA = 61;
const ESTALE = 116;
const isRoot = Deno.uid() === 0;

type Question = MessageNamed<typeof AGENT, "GetAttribute" | "EntryAttributes">;

/** Paths in this class are the target's. */
class World implements AsyncDisposable {
  readonly top = Deno.makeTempDirSync();
  readonly directory = `${this.top}/root`;
  readonly #root: number;
  readonly #tree: Tree;

  constructor(rights?: { uid: number; gid: number }) {
    Deno.mkdirSync(this.directory);
    Deno.mkdirSync(`${this.directory}/dir`);
    Deno.writeTextFileSync(`${this.directory}/file`, "bytes");
    Deno.writeTextFileSync(`${this.top}/outside`, "untouched");
    this.#root = openRoot(cString(this.directory));
    const own = { uid: 0, gid: 0, groups: [] };
    this.#tree = new Tree(this.#root, rights ? packRights({ ...rights, groups: [] }, own) : null);
  }

  async change(message: Change): Promise<number> {
    return (await this.#tree.change(message) as MessageNamed<typeof AGENT, "Done">).errno;
  }

  async attribute(message: Question): Promise<MessageNamed<typeof AGENT, "AttributeReply">> {
    const answer = message.type === "GetAttribute"
      ? this.#tree.attribute(message)
      : this.#tree.entryAttributes(message);
    return await answer as MessageNamed<typeof AGENT, "AttributeReply">;
  }

  rename = (from: string, to: string, flags = 0) =>
    this.change({ type: "Rename", flags, from: utf8(from), to: utf8(to) });
  link = (from: string, to: string, isFollowing = false) =>
    this.change({ type: "Link", ...NOBODY, isFollowing, from: utf8(from), to: utf8(to) });
  symlink = (text: string, path: string) => this.change({ type: "Symlink", text: utf8(text), path: utf8(path) });
  make = (path: string, mode: number, umask = 0) =>
    this.change({ type: "MakeNode", mode, umask, device: 0n, path: utf8(path) });
  remove = (path: string, kinds: number = REMOVES.file) => this.change({ type: "Remove", kinds, path: utf8(path) });
  setMode = (path: string, mode: number, subject: Partial<typeof NOBODY> = {}) =>
    this.change({ type: "SetMode", ...NOBODY, ...subject, mode, path: utf8(path) });

  names(path = ""): string[] {
    return [...Deno.readDirSync(this.directory + path)].map(({ name }) => name).sort();
  }

  stat(path: string): Deno.FileInfo {
    return Deno.lstatSync(this.directory + path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeFile(this.#root);
    await Deno.remove(this.top, { recursive: true });
  }
}

/** No descriptor is meant. */
const NOBODY = { isFollowing: true, dev: 0n, ino: 0n };

Deno.test("names are made, moved and removed", async () => {
  await using world = new World();
  assert.equal(await world.make("/made", S_IFDIR | 0o755), 0);
  assert.equal(await world.rename("/file", "/made/moved"), 0);
  assert.equal(await world.link("/made/moved", "/hard"), 0);
  assert.equal(await world.symlink("no/where", "/soft"), 0);
  assert.equal(await world.make("/fifo", S_IFIFO | 0o600), 0);
  assert.deepEqual(world.names(), ["dir", "fifo", "hard", "made", "soft"]);
  assert.equal(world.stat("/hard").nlink, 2);
  assert.equal(world.stat("/fifo").isFifo, true);
  for (const name of ["/hard", "/soft", "/fifo", "/made/moved"]) assert.equal(await world.remove(name), 0);
  assert.equal(await world.remove("/made", REMOVES.directory), 0);
  assert.equal(await world.remove("/dir", REMOVES.either), 0);
  assert.deepEqual(world.names(), []);
});

Deno.test("the umask is the program's", async () => {
  await using world = new World();
  await world.make("/a", S_IFDIR | 0o777, 0o27);
  await world.make("/b", S_IFDIR | 0o777, 0);
  await world.make("/c", S_IFIFO | 0o666, 0o77);
  const modes = ["/a", "/b", "/c"].map((path) => world.stat(path).mode! & 0o777);
  assert.deepEqual(modes, [0o750, 0o777, 0o600]);
});

Deno.test("the last component is the kernel's business: slashes, dots, what it must be", async () => {
  await using world = new World();
  await world.symlink("/dir", "/todir");
  assert.equal(await world.make("/new/", S_IFDIR | 0o755), 0);
  assert.equal(await world.make("/fifo/", S_IFIFO), ERRNO.ENOENT);
  assert.equal(await world.remove("/file/"), ERRNO.ENOTDIR);
  assert.equal(await world.remove("/todir/", REMOVES.directory), ERRNO.ENOTDIR);
  assert.equal(await world.remove("/dir/.", REMOVES.directory), ERRNO.EINVAL);
  assert.equal(await world.remove("/dir/..", REMOVES.directory), ENOTEMPTY);
  assert.equal(await world.remove("/..", REMOVES.directory), ENOTEMPTY);
  assert.equal(await world.remove("/", REMOVES.directory), EBUSY);
  assert.equal(await world.remove("/dir"), ERRNO.EISDIR);
  assert.equal(await world.make("/", S_IFDIR), ERRNO.EEXIST);
  assert.equal(await world.make("", S_IFDIR), ERRNO.ENOENT);
  assert.equal(await world.make("/..", S_IFDIR), ERRNO.EEXIST);
  assert.equal(await world.rename("/dir/", "/moved/"), 0);
  assert.equal(await world.rename("/moved", "/moved/in/itself"), ERRNO.ENOENT);
  assert.equal(await world.rename("/moved", "/moved/itself"), ERRNO.EINVAL);
  assert.equal(await world.rename("/file/", "/other"), ERRNO.ENOTDIR);
  assert.equal(await world.remove("/none"), ERRNO.ENOENT);
  assert.equal(await world.remove("/file/none"), ERRNO.ENOTDIR);
  assert.equal(await world.make(`/${"x".repeat(256)}`, S_IFDIR), ERRNO.ENAMETOOLONG);
  assert.equal(await world.make(`/${"x/".repeat(2050)}`, S_IFDIR), ERRNO.ENAMETOOLONG);
  assert.equal(await world.make("/a\0b", S_IFDIR), ERRNO.EINVAL);
});

Deno.test("renames exchange, and do not replace when told so", async () => {
  await using world = new World();
  assert.equal(await world.rename("/file", "/dir", 1), ERRNO.EEXIST);
  assert.equal(await world.rename("/file", "/dir", 2), 0);
  assert.equal(world.stat("/dir").isFile, true);
  assert.equal(await world.rename("/file", "/dir", 3), ERRNO.EINVAL);
});

Deno.test("nothing leads out of the root", async () => {
  await using world = new World();
  await Deno.symlink("..", `${world.directory}/up`);
  await Deno.symlink("../../outside", `${world.directory}/out`);
  await Deno.symlink(world.top, `${world.directory}/absolute`);
  assert.equal(await world.remove("/../outside"), ERRNO.ENOENT);
  assert.equal(await world.remove("/up/outside"), ERRNO.ENOENT);
  assert.equal(await world.remove("/absolute/outside"), ERRNO.ENOENT);
  assert.equal(await world.rename("/file", "/up/renamed"), 0);
  assert.deepEqual(world.names().includes("renamed"), true);
  assert.equal(await world.link("/out", "/hard", true), ERRNO.ENOENT);
  assert.equal(await world.link("/up/", "/hard"), ERRNO.EPERM);
  assert.equal(await world.setMode("/out", 0o777), ERRNO.ENOENT);
  const change = { ...NOBODY, path: utf8("/out") };
  assert.equal(await world.change({ type: "SetOwner", ...change, uid: 5, gid: 5 }), ERRNO.ENOENT);
  assert.equal(await world.change({ type: "Truncate", path: utf8("/out"), size: 0n }), ERRNO.ENOENT);
  assert.equal(await Deno.readTextFile(`${world.top}/outside`), "untouched");
});

Deno.test("a hard link is made of a symbolic link itself, or of what it leads to", async () => {
  await using world = new World();
  await world.symlink("/file", "/soft");
  assert.equal(await world.link("/soft", "/same"), 0);
  assert.equal(world.stat("/same").isSymlink, true);
  assert.equal(await world.link("/soft", "/target", true), 0);
  assert.equal(world.stat("/target").ino, world.stat("/file").ino);
});

Deno.test("modes, owners, times and lengths are set, of links themselves too", async () => {
  await using world = new World();
  await world.symlink("/file", "/soft");
  assert.equal(await world.setMode("/soft", 0o4711), 0);
  assert.equal(world.stat("/file").mode! & 0o7777, 0o4711);
  assert.equal(await world.setMode("/soft", 0o600, { isFollowing: false }), ERRNO.EOPNOTSUPP);
  const times = { atimeSec: -5n, atimeNsec: 0, mtimeSec: 5n, mtimeNsec: 500_000_000 };
  const link = { ...NOBODY, isFollowing: false, path: utf8("/soft") };
  assert.equal(await world.change({ type: "SetTimes", ...link, ...times }), 0);
  assert.equal(world.stat("/soft").mtime!.getTime(), 5500);
  assert.notEqual(world.stat("/file").mtime!.getTime(), 5500);
  assert.equal(await world.change({ type: "Truncate", path: utf8("/soft"), size: 2n }), 0);
  assert.equal(world.stat("/file").size, 2);
  assert.equal(await world.change({ type: "Truncate", path: utf8("/dir"), size: 2n }), ERRNO.EISDIR);
  if (!isRoot) return;
  assert.equal(await world.change({ type: "SetOwner", ...link, uid: 77, gid: 0xffff_ffff }), 0);
  assert.deepEqual([world.stat("/soft").uid, world.stat("/file").uid], [77, 0]);
});

Deno.test("a file that is meant by its descriptor is no other file of its name", async () => {
  await using world = new World();
  const { dev, ino } = world.stat("/file");
  const subject = { dev: BigInt(dev), ino: BigInt(ino!) };
  assert.equal(await world.setMode("/file", 0o640, subject), 0);
  await Deno.rename(`${world.directory}/file`, `${world.directory}/old`);
  assert.equal(await world.setMode("/file", 0o600, subject), ESTALE);
  await Deno.writeTextFile(`${world.directory}/file`, "another");
  assert.equal(await world.setMode("/file", 0o600, subject), ESTALE);
  assert.equal(world.stat("/old").mode! & 0o777, 0o640);
});

Deno.test("extended attributes are set, told, listed and removed", async () => {
  await using world = new World();
  await world.symlink("/file", "/soft");
  const subject = { ...NOBODY, name: utf8("user.it"), path: utf8("/soft") };
  const get = async (name: string, isFollowing = true) => {
    const answer = await world.attribute({ type: "GetAttribute", ...subject, isFollowing, name: utf8(name) });
    return answer.errno || fromUtf8(answer.value);
  };
  assert.equal(await get("user.it"), ENODATA);
  assert.equal(await get(""), "");
  const value = utf8("a value");
  assert.equal(await world.change({ type: "SetAttribute", ...subject, how: 2, value }), ENODATA);
  assert.equal(await world.change({ type: "SetAttribute", ...subject, how: 0, value }), 0);
  assert.equal(await world.change({ type: "SetAttribute", ...subject, how: 1, value }), ERRNO.EEXIST);
  assert.equal(await get("user.it"), "a value");
  assert.equal(await get(""), "user.it\0");
  // xattr(7): links have no attributes of users.
  const onLink = { ...subject, isFollowing: false };
  assert.equal(await world.change({ type: "SetAttribute", ...onLink, how: 0, value }), ERRNO.EPERM);
  assert.equal(await get("", false), "");
  assert.equal(await world.change({ type: "RemoveAttribute", ...subject }), 0);
  assert.equal(await world.change({ type: "RemoveAttribute", ...subject }), ENODATA);
});

Deno.test("of many entries it is told at once what asking for an attribute gives", async () => {
  await using world = new World();
  await world.symlink("/file", "/soft");
  await Deno.writeTextFile(`${world.directory}/has`, "");
  const set = { ...NOBODY, name: utf8("user.it"), path: utf8("/has"), how: 0, value: utf8("v") };
  await world.change({ type: "SetAttribute", ...set });
  const ask = (names: string, attributes: string) =>
    world.attribute({
      type: "EntryAttributes",
      path: utf8("/"),
      names: utf8(names),
      attributes: utf8(attributes),
    });
  const told = await ask("file\0has\0soft\0none\0..\0dir/../file\0", "user.it\0\0");
  assert.deepEqual([...told.value], [ENODATA, ENODATA, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal((await ask("file", "user.it\0")).errno, ERRNO.EINVAL);
  assert.equal((await ask("file\0", "")).errno, ERRNO.EINVAL);
  assert.equal((await ask("a\0".repeat(20_000), "user.it\0")).errno, ERRNO.EINVAL);
});

Deno.test("two file systems are EXDEV", async () => {
  await using world = new World();
  const slash = openRoot(cString("/"));
  const tree = new Tree(slash, null);
  const from = utf8(`${world.directory}/file`);
  const done = await tree.change({ type: "Rename", flags: 0, from, to: utf8("/dev/shm/mirrord-none") });
  assert.deepEqual(done, { type: "Done", errno: EXDEV });
  await closeFile(slash);
});

Deno.test({
  name: "the target's user may do what it may do, and no more",
  ignore: !isRoot,
  async fn() {
    await using world = new World({ uid: 4241, gid: 4241 });
    Deno.chmodSync(world.top, 0o755);
    assert.equal(await world.make("/made", S_IFDIR | 0o755), ERRNO.EACCES);
    assert.equal(await world.remove("/file"), ERRNO.EACCES);
    assert.equal(await world.setMode("/file", 0o666), ERRNO.EPERM);
    Deno.chmodSync(world.directory, 0o1777);
    assert.equal(await world.make("/made", S_IFDIR | 0o755), 0);
    assert.deepEqual([world.stat("/made").uid, world.stat("/made").gid], [4241, 4241]);
    assert.equal(await world.remove("/file"), ERRNO.EPERM); // sticky
    assert.equal(await world.rename("/made", "/dir/made"), ERRNO.EACCES);
    const own = { ...NOBODY, path: utf8("/made") };
    assert.equal(await world.change({ type: "SetOwner", ...own, uid: 0, gid: 0 }), ERRNO.EPERM);
    assert.equal(await world.change({ type: "Truncate", path: utf8("/file"), size: 0n }), ERRNO.EACCES);
    assert.equal(await world.remove("/made", REMOVES.directory), 0);
  },
});
