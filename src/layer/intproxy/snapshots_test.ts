import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { concatBytes, fromUtf8, splitNul, utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS, type AgentFrame, type AgentMessage } from "../../proto/agent.ts";
import { FRAME_HEAD_BYTES } from "../../proto/codec.ts";
import { NO_STAT, type Stat } from "../../proto/schema.ts";
import type { Named } from "../../../tests/support/scripted_agent.ts";
import { dirent } from "../../../tests/support/remote_tree.ts";
import { Run } from "../../../tests/support/run.ts";
import type { ShimClient } from "../../../tests/support/shim_client.ts";
import { layerCodec } from "./shim_connection.ts";
import { Snapshots } from "./snapshots.ts";

const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const O_PATH = 0o10000000;
const LSTAT = 0x100;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const DT_REG = 8;
const DT_LNK = 10;

/** One directory of a scripted agent, which is at any path. Names that begin with "link" are symbolic links. */
class Directory {
  names: string[];
  isAll = true;
  ctimeSec = 1n;
  /** Type and path of whatever was asked. */
  readonly asked: string[] = [];
  /** Lists and StatEntries are refused, as by an agent from before them. */
  isOld = false;

  constructor(names: readonly string[]) {
    this.names = [...names];
  }

  readonly answer = (frame: AgentFrame): AgentMessage | undefined => {
    if (!("path" in frame) || frame.type === "Walk") return undefined;
    const path = fromUtf8(frame.path);
    this.asked.push(`${frame.type} ${path}`);
    if (this.isOld && (frame.type === "List" || frame.type === "StatEntries")) {
      return { type: "Refused", error: "unknown" };
    }
    const name = path.slice(path.lastIndexOf("/") + 1);
    switch (frame.type) {
      case "List":
        return this.#list(frame);
      case "StatEntries":
        return { type: "EntryStats", errno: 0, data: concatBytes(splitNul(frame.names).map((it) => this.record(it))) };
      case "Stat":
        return { type: "StatReply", ...this.#found(name, frame.flags) };
      case "Open": {
        const isDirectory = (frame.flags & O_DIRECTORY) !== 0;
        const found = isDirectory ? { errno: 0, stat: NO_STAT } : this.#found(name, 0);
        return { type: "OpenReply", ...found, isWhole: true, handle: 0n, data: utf8(isDirectory ? "" : "data") };
      }
    }
  };

  stat(name: string, flags: number): Stat {
    const mode = name.startsWith("link") && flags & LSTAT ? S_IFLNK | 0o777 : S_IFREG | 0o644;
    return { ...NO_STAT, mode, ino: BigInt(this.names.indexOf(name) + 1), ctimeSec: this.ctimeSec, size: 7n };
  }

  record(name: Uint8Array | string): Uint8Array {
    const found = this.#found(typeof name === "string" ? name : fromUtf8(name), LSTAT);
    return layerCodec.encode({ type: "StatReply", ...found }, 0).slice(FRAME_HEAD_BYTES);
  }

  #found(name: string, flags: number): { errno: number; stat: Stat } {
    // The directory itself, too.
    if (name === "d") return { errno: 0, stat: { ...NO_STAT, ctimeSec: this.ctimeSec } };
    if (!this.names.includes(name)) return { errno: ERRNO.ENOENT, stat: NO_STAT };
    return { errno: 0, stat: this.stat(name, flags) };
  }

  #list({ statEntries }: Named<"List">): AgentMessage {
    const dots = [dirent(1, ".", 4), dirent(2, "..", 4)];
    const type = (name: string) => name.startsWith("link") ? DT_LNK : DT_REG;
    const entries = concatBytes([...dots, ...this.names.map((name, at) => dirent(at + 1, name, type(name)))]);
    const records = this.names.slice(0, statEntries).map((name) => this.record(name));
    return {
      type: "ListReply",
      errno: 0,
      stat: { ...NO_STAT, mode: 0o40755, ctimeSec: this.ctimeSec },
      isWhole: true,
      handle: 0n,
      isAll: this.isAll,
      entryBytes: entries.length,
      data: concatBytes([entries, ...records]),
    };
  }
}

/** A run over one directory, with a clock that the test moves. */
class Scene implements AsyncDisposable {
  now = 1000;

  private constructor(readonly directory: Directory, readonly run: Run, readonly shim: ShimClient) {}

  static async start(directory: Directory): Promise<Scene> {
    // deno-lint-ignore prefer-const
    let scene: Scene;
    const run = await Run.start({ answer: directory.answer, times: { now: () => scene?.now ?? 0 } });
    scene = new Scene(directory, run, await run.shim());
    return scene;
  }

  async list(path = "/d"): Promise<Uint8Array> {
    return (await this.shim.ask({ type: "Open", path: utf8(path), flags: O_DIRECTORY }, "OpenReply")).data;
  }

  async stat(path: string, flags = LSTAT): Promise<Stat | number> {
    const { errno, stat } = await this.shim.ask({ type: "Stat", path: utf8(path), flags }, "StatReply");
    return errno === 0 ? stat : errno;
  }

  async open(path: string, flags = 0): Promise<number> {
    return (await this.shim.ask({ type: "Open", path: utf8(path), flags }, "OpenReply")).errno;
  }

  /** What the agent was asked since this was called last. */
  asked(): string[] {
    return this.directory.asked.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shim[Symbol.asyncDispose]();
    await this.run[Symbol.asyncDispose]();
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `${at}`);

Deno.test("a listing and the lstat of each of its 1 000 entries are one message", async () => {
  await using scene = await Scene.start(new Directory(numbered(1000)));
  const entries = await scene.list();
  assert.equal(entries.length, 1002 * 24, "the shim gets entries and nothing else");
  for (const name of numbered(1000)) {
    assert.deepEqual(await scene.stat(`/d/${name}`), scene.directory.stat(name, LSTAT));
  }
  assert.deepEqual(scene.asked(), ["List /d"]);
});

Deno.test("entries beyond what a listing brings are asked for by the thousand", async () => {
  const count = 3 * AGENT_LIMITS.statEntries;
  await using scene = await Scene.start(new Directory(numbered(count)));
  await scene.list();
  for (const name of numbered(count).reverse()) {
    assert.deepEqual(await scene.stat(`/d/${name}`), scene.directory.stat(name, LSTAT));
  }
  assert.deepEqual(scene.asked(), ["List /d", "StatEntries /d", "StatEntries /d"]);
});

Deno.test("those who ask while stats are on their way wait for them", async () => {
  const count = AGENT_LIMITS.statEntries + 50;
  await using scene = await Scene.start(new Directory(numbered(count)));
  await scene.list();
  const last = numbered(count).slice(-50);
  const stats = await Promise.all(last.map((name) => scene.stat(`/d/${name}`)));
  assert.deepEqual(stats, last.map((name) => scene.directory.stat(name, LSTAT)));
  assert.deepEqual(scene.asked(), ["List /d", "StatEntries /d"]);
});

Deno.test("a name that a listing has not is ENOENT without a message, whatever is asked of it", async () => {
  await using scene = await Scene.start(new Directory(["there"]));
  await scene.list();
  const path = utf8("/d/missing");
  assert.equal(await scene.stat("/d/missing"), ERRNO.ENOENT);
  assert.equal(await scene.stat("/d/missing", 0), ERRNO.ENOENT);
  assert.equal(await scene.open("/d/missing"), ERRNO.ENOENT);
  assert.equal((await scene.shim.ask({ type: "Access", path, mode: 0, flags: 0 }, "Done")).errno, ERRNO.ENOENT);
  assert.equal((await scene.shim.ask({ type: "ReadLink", path }, "PathReply")).errno, ERRNO.ENOENT);
  assert.equal((await scene.shim.ask({ type: "RealPath", path }, "PathReply")).errno, ERRNO.ENOENT);
  assert.deepEqual(scene.asked(), ["List /d"]);
});

Deno.test("names are bytes, and a listing with a slash at its end is one of the same directory", async () => {
  await using scene = await Scene.start(new Directory(["ä"]));
  await scene.list("/d/");
  assert.deepEqual(await scene.stat("/d/ä"), scene.directory.stat("ä", LSTAT));
  assert.equal(await scene.stat("/d/å"), ERRNO.ENOENT);
  assert.deepEqual(scene.asked(), ["List /d/"]);
});

Deno.test("where other names may be found than are listed, the agent is asked", async () => {
  const directory = new Directory(["there"]);
  directory.isAll = false;
  await using scene = await Scene.start(directory);
  await scene.list();
  assert.equal(await scene.stat("/d/missing"), ERRNO.ENOENT);
  assert.deepEqual(scene.asked(), ["List /d", "Stat /d/missing"]);
});

Deno.test("a file that appears is seen 200 ms after the listing, however often it was looked for", async () => {
  await using scene = await Scene.start(new Directory(["there"]));
  await scene.list();
  scene.directory.names.push("new");
  for (let ms = 0; ms < 199; ms += 40, scene.now += 40) await scene.stat("/d/new");
  assert.deepEqual(scene.asked(), ["List /d"]);
  scene.now = 1200;
  assert.deepEqual(await scene.stat("/d/new"), scene.directory.stat("new", LSTAT));
  assert.equal(await scene.open("/d/new"), 0);
});

Deno.test("a file that changes or goes is seen 200 ms after the listing", async () => {
  await using scene = await Scene.start(new Directory(["changes", "goes"]));
  await scene.list();
  scene.directory.ctimeSec = 99n;
  scene.now += 199;
  assert.equal((await scene.stat("/d/changes") as Stat).ctimeSec, 1n);
  scene.now += 1;
  assert.equal((await scene.stat("/d/changes") as Stat).ctimeSec, 99n);
  scene.now += 200;
  scene.directory.names = ["changes"];
  assert.equal(await scene.stat("/d/goes"), ERRNO.ENOENT);
});

Deno.test("a listing that took long to come is not passed on for long", async () => {
  const directory = new Directory(["there"]);
  let isHeld = true;
  const held = (frame: AgentFrame) => isHeld && frame.type === "List" ? undefined : directory.answer(frame);
  let now = 1000;
  await using run = await Run.start({ answer: held, times: { now: () => now } });
  await using shim = await run.shim();
  const listed = shim.ask({ type: "Open", path: utf8("/d"), flags: O_DIRECTORY }, "OpenReply");
  const request = await run.agent.expect("List");
  isHeld = false;
  now += 900;
  run.agent.reply(request, directory.answer(request)!);
  await listed;
  now += 99;
  directory.asked.length = 0;
  await shim.ask({ type: "Stat", path: utf8("/d/missing"), flags: 0 }, "StatReply");
  assert.deepEqual(directory.asked, []);
  now += 1;
  await shim.ask({ type: "Stat", path: utf8("/d/missing"), flags: 0 }, "StatReply");
  assert.deepEqual(directory.asked, ["Stat /d/missing"]);
});

Deno.test("stats from before a message over a connection at the target are not passed on", async () => {
  await using scene = await Scene.start(new Directory(["there"]));
  await scene.list();
  assert.equal(await scene.stat("/d/new"), ERRNO.ENOENT);
  // A stream that has ended meanwhile: nobody takes it, but it was heard.
  scene.run.agent.link.send({ type: "Data", id: 0, stream: 4242, data: utf8("new is there") });
  scene.directory.names.push("new");
  // An answer that came after it tells that it has come.
  await scene.shim.ask({ type: "Stat", path: utf8("/elsewhere"), flags: 0 }, "StatReply");
  assert.deepEqual(await scene.stat("/d/new"), scene.directory.stat("new", LSTAT));
});

Deno.test("stat of a symbolic link is asked for, lstat of it comes with the listing", async () => {
  await using scene = await Scene.start(new Directory(["file", "link"]));
  await scene.list();
  assert.deepEqual(await scene.stat("/d/link"), scene.directory.stat("link", LSTAT));
  assert.deepEqual(await scene.stat("/d/file", 0), scene.directory.stat("file", 0));
  assert.deepEqual(scene.asked(), ["List /d"]);
  assert.deepEqual(await scene.stat("/d/link", 0), scene.directory.stat("link", 0));
  assert.deepEqual(scene.asked(), ["Stat /d/link"]);
});

Deno.test("dots, a slash at the end, names too long and deeper paths are the agent's", async () => {
  await using scene = await Scene.start(new Directory(["file"]));
  await scene.list();
  scene.asked();
  const paths = ["/d/..", "/d/.", "/d/file/", `/d/${"x".repeat(256)}`, "/d/file/../missing", "/d//missing"];
  for (const path of paths) await scene.stat(path);
  assert.deepEqual(scene.asked(), paths.map((path) => `Stat ${path}`));
});

Deno.test("what is below a name that a listing has not is ENOENT without a message", async () => {
  await using scene = await Scene.start(new Directory(["file"]));
  await scene.list();
  scene.asked();
  for (const path of ["/d/x/", "/d/x/../file", "/d/x/y/z"]) assert.equal(await scene.stat(path), ERRNO.ENOENT, path);
  assert.deepEqual(scene.asked(), []);
});

Deno.test("contents are never kept where nobody tells of changes: each open is one message", async () => {
  await using scene = await Scene.start(new Directory(["file"]));
  await scene.list();
  for (const flags of [0, O_NOFOLLOW, O_PATH]) assert.equal(await scene.open("/d/file", flags), 0);
  assert.deepEqual(scene.asked(), ["List /d", "Open /d/file", "Open /d/file", "Open /d/file"]);
});

Deno.test("an answer that contradicts a listing ends it", async (t) => {
  const cases: [string, (scene: Scene) => Promise<unknown>][] = [
    ["the file was changed", (scene) => scene.open("/d/file")],
    ["the directory was changed", (scene) => scene.stat("/d")],
  ];
  for (const [name, ask] of cases) {
    await t.step(name, async () => {
      await using scene = await Scene.start(new Directory(["file"]));
      await scene.list();
      scene.directory.ctimeSec = 5n;
      scene.directory.names.push("new");
      assert.equal(await scene.stat("/d/new"), ERRNO.ENOENT);
      await ask(scene);
      assert.equal((await scene.stat("/d/new") as Stat).ctimeSec, 5n);
      assert.equal((await scene.stat("/d/file") as Stat).ctimeSec, 5n);
    });
  }
});

Deno.test("an entry asked for later brings some neighbours along, as many as were of use before", async () => {
  await using scene = await Scene.start(new Directory(numbered(100)));
  await scene.list();
  for (const name of numbered(10)) await scene.stat(`/d/${name}`);
  scene.now += 200;
  for (const name of numbered(30).slice(10)) await scene.stat(`/d/${name}`);
  assert.deepEqual(scene.asked(), ["List /d", "StatEntries /d"]);
  scene.now += 200;
  await scene.stat("/d/7");
  scene.now += 200;
  // A poller of one name costs the agent two stats a question.
  await scene.stat("/d/7");
  const names = scene.run.agent.frames.flatMap((frame) =>
    frame.type === "StatEntries" ? [splitNul(frame.names).length] : []
  );
  assert.deepEqual(names, [20, 40, 2]);
});

Deno.test("listings whose stats nobody wants come without, until somebody wants one", async () => {
  await using scene = await Scene.start(new Directory(["one", "two"]));
  const wishes = () => scene.run.agent.frames.flatMap((frame) => frame.type === "List" ? [frame.statEntries] : []);
  for (let at = 0; at < 9; at++) await scene.list(`/d${at}`);
  assert.deepEqual(wishes(), [...Array(8).fill(AGENT_LIMITS.statEntries), 0]);
  await scene.stat("/d8/one");
  await scene.stat("/d8/two");
  assert.deepEqual(scene.asked().slice(9), ["StatEntries /d8"]);
  await scene.list("/d9");
  assert.equal(wishes().at(-1), AGENT_LIMITS.statEntries);
});

Deno.test("an agent that knows nothing of listings is asked as ever, and for them only once", async () => {
  const directory = new Directory(["file"]);
  directory.isOld = true;
  await using scene = await Scene.start(directory);
  await scene.list();
  await scene.list();
  assert.deepEqual(await scene.stat("/d/file"), directory.stat("file", LSTAT));
  assert.equal(await scene.stat("/d/missing"), ERRNO.ENOENT);
  assert.deepEqual(scene.asked(), ["List /d", "Open /d", "Open /d", "Stat /d/file", "Stat /d/missing"]);
});

Deno.test("an agent that refuses stats of entries is asked for each alone", async () => {
  const directory = new Directory(numbered(AGENT_LIMITS.statEntries + 3));
  const answer = (frame: AgentFrame): AgentMessage | undefined =>
    frame.type === "StatEntries" ? { type: "Refused", error: "unknown" } : directory.answer(frame);
  await using run = await Run.start({ answer });
  await using shim = await run.shim();
  await shim.ask({ type: "Open", path: utf8("/d"), flags: O_DIRECTORY }, "OpenReply");
  for (const name of directory.names.slice(-3)) {
    const { stat } = await shim.ask({ type: "Stat", path: utf8(`/d/${name}`), flags: LSTAT }, "StatReply");
    assert.deepEqual(stat, directory.stat(name, LSTAT));
  }
  assert.deepEqual(run.agent.types(), ["List", "StatEntries", "Stat", "Stat", "Stat"]);
});

Deno.test("what is kept of listings has bounds, in number and in bytes", () => {
  const agent = { heardFromStreams: 0, isLost: false, request: () => {} };
  const snapshots = new Snapshots(agent, () => 0);
  const add = (key: string, bytes: number) => {
    const entries = new Uint8Array(bytes);
    snapshots.add(
      key,
      { data: entries, entryBytes: bytes, isAll: true, isWhole: true, stat: NO_STAT },
      snapshots.moment(),
    );
  };
  for (let at = 0; at < 400; at++) add(`/small${at}`, 100);
  assert.equal(snapshots.size.listings, 256);
  for (let at = 0; at < 20; at++) add(`/big${at}`, 1 << 20);
  assert.ok(snapshots.size.bytes <= 32 << 20, `${snapshots.size.bytes} bytes`);
  assert.ok(snapshots.size.listings >= 3);
});

Deno.test("a directory too long for one answer comes whole, whatever its stat says of its size", async () => {
  const entries = concatBytes(numbered(50_000).map((name, at) => dirent(at + 1, name, DT_REG)));
  const asked: number[] = [];
  const answer = (frame: AgentFrame): AgentMessage | undefined => {
    const stat = { ...NO_STAT, mode: 0o40755, size: 4096n };
    const rest = { stat, isWhole: false, isAll: false, handle: 9n };
    switch (frame.type) {
      case "List":
        return { type: "ListReply", errno: 0, ...rest, entryBytes: 1000, data: entries.slice(0, 1000) };
      case "ReadAt": {
        const from = Number(frame.offset);
        return { type: "ReadReply", errno: 0, data: entries.slice(from, from + frame.length) };
      }
      case "StatEntries":
        asked.push(splitNul(frame.names).length);
        return { type: "EntryStats", errno: ERRNO.EACCES, data: new Uint8Array(0) };
      case "Stat":
        return { type: "StatReply", errno: ERRNO.EACCES, stat: NO_STAT };
    }
  };
  await using run = await Run.start({ answer });
  await using shim = await run.shim();
  const { data, handle } = await shim.ask({ type: "Open", path: utf8("/d"), flags: O_DIRECTORY }, "OpenReply");
  const chunks = await shim.fetch(handle, BigInt(data.length));
  const listed = concatBytes([data, ...chunks.map((chunk) => chunk.data)]);
  assert.equal(Buffer.compare(listed, entries), 0);
  // Its last entries are known, too: they are asked for together; and what that refuses is asked for alone.
  const { errno } = await shim.ask({ type: "Stat", path: utf8("/d/49999"), flags: LSTAT }, "StatReply");
  assert.equal(errno, ERRNO.EACCES);
  assert.deepEqual(asked, [50_000 % AGENT_LIMITS.statEntries]);
});
