import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import { MAX_HEAD_BYTES } from "../proto/agent_codec.ts";
import { makeCodec } from "../proto/codec.ts";
import { LAYER } from "../proto/layer.ts";
import type { MessageNamed, Stat } from "../proto/schema.ts";
import { closeFile, ENTRY_RECORD_BYTES, openRoot, packRights } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { Files, type Outlet } from "./files.ts";

type Reply<T extends AgentMessage["type"]> = MessageNamed<typeof AGENT, T>;

const AT_SYMLINK_NOFOLLOW = 0x100;
const layerCodec = makeCodec(LAYER);

/** Directories of a made-up root, for one session. */
class World implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync();
  readonly #root = openRoot(cString(this.directory));
  readonly #files = new Files(this.#root, null);

  make(directory: string, names: readonly string[]): void {
    Deno.mkdirSync(`${this.directory}${directory}`, { recursive: true });
    for (const name of names) Deno.writeTextFileSync(`${this.directory}${directory}/${name}`, name);
  }

  list(
    path: string,
    statEntries: number = AGENT_LIMITS.statEntries,
    inlineBytes = 1 << 20,
  ): Promise<Reply<"ListReply">> {
    const request = { type: "List", path: utf8(path), flags: 0, inlineBytes, statEntries } as const;
    return reply((outlet) => this.#files.list(request, outlet));
  }

  statEntries(path: string, names: string): Promise<Reply<"EntryStats">> {
    const request = { type: "StatEntries", path: utf8(path), names: utf8(names) } as const;
    return reply((outlet) => this.#files.statEntries(request, outlet));
  }

  async lstat(path: string): Promise<EntryStat> {
    const reply = await this.#files.stat({ type: "Stat", path: utf8(path), flags: AT_SYMLINK_NOFOLLOW });
    const { errno, stat } = reply as Reply<"StatReply">;
    return { errno, stat };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files.close();
    await closeFile(this.#root);
    await Deno.remove(this.directory, { recursive: true });
  }
}

interface EntryStat {
  errno: number;
  stat: Stat;
}

async function reply<T extends AgentMessage>(ask: (outlet: Outlet) => Promise<void>): Promise<T> {
  let answer: AgentMessage | undefined;
  await ask({
    send(message) {
      answer = "data" in message ? { ...message, data: message.data.slice() } : message;
      return Promise.resolve();
    },
    sendInPlace(rest, buffer, count) {
      answer = { ...rest, data: buffer.slice(MAX_HEAD_BYTES, MAX_HEAD_BYTES + count) } as AgentMessage;
      return Promise.resolve();
    },
  });
  return answer as T;
}

/** Names of linux_dirent64 records but for the dots. */
function namesOf({ data, entryBytes }: Reply<"ListReply">): string[] {
  const names: string[] = [];
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; at < entryBytes; at += view.getUint16(at + 16, true)) {
    const name = fromUtf8(data.subarray(at + 19, data.indexOf(0, at + 19)));
    if (name !== "." && name !== "..") names.push(name);
  }
  return names;
}

/** A record is what a StatReply of the layer wire has behind its head. */
function recordsOf(data: Uint8Array): EntryStat[] {
  assert.equal(data.length % ENTRY_RECORD_BYTES, 0);
  const head = Uint8Array.from([LAYER.StatReply.id, 0, 0, 0, 0]);
  return Array.from({ length: data.length / ENTRY_RECORD_BYTES }, (_, at) => {
    const body = data.subarray(at * ENTRY_RECORD_BYTES, (at + 1) * ENTRY_RECORD_BYTES);
    const { errno, stat } = layerCodec.decode(Uint8Array.from([...head, ...body])) as Reply<"StatReply">;
    return { errno, stat };
  });
}

Deno.test("a listing carries the lstat of its entries in their order, links and directories among them", async () => {
  await using world = new World();
  world.make("/d", ["one", "two"]);
  world.make("/d/below", []);
  Deno.symlinkSync("one", `${world.directory}/d/link`);
  Deno.symlinkSync("/nowhere", `${world.directory}/d/dangling`);
  const listing = await world.list("/d");
  const names = namesOf(listing);
  assert.deepEqual(names.toSorted(), ["below", "dangling", "link", "one", "two"]);
  const expected = await Promise.all(names.map((name) => world.lstat(`/d/${name}`)));
  assert.deepEqual(recordsOf(listing.data.subarray(listing.entryBytes)), expected);
  assert.deepEqual([listing.errno, listing.isWhole, listing.handle], [0, true, 0n]);
});

Deno.test("a listing carries no more stats than were asked for, the limit, or have room", async () => {
  await using world = new World();
  world.make("/d", Array.from({ length: AGENT_LIMITS.statEntries + 5 }, (_, at) => `${at}`));
  const recordsIn = async (...asked: [number?, number?]) => {
    const { data, entryBytes } = await world.list("/d", ...asked);
    return recordsOf(data.subarray(entryBytes)).length;
  };
  assert.equal(await recordsIn(0), 0);
  assert.equal(await recordsIn(3), 3);
  assert.equal(await recordsIn(1 << 30), AGENT_LIMITS.statEntries);
  const { entryBytes } = await world.list("/d", 0);
  assert.equal(await recordsIn(100, entryBytes + 2 * ENTRY_RECORD_BYTES + 1), 2);
});

Deno.test("a listing that does not fit has a handle, no stats, and is not all", async () => {
  await using world = new World();
  world.make("/d", ["one", "two", "three"]);
  const { errno, isWhole, isAll, entryBytes, data, handle } = await world.list("/d", 100, 40);
  assert.deepEqual([errno, isWhole, isAll, entryBytes, data.length], [0, false, false, 40, 40]);
  assert.notEqual(handle, 0n);
});

Deno.test("what cannot be listed is refused with its errno", async () => {
  await using world = new World();
  world.make("/d", ["file"]);
  Deno.symlinkSync("d", `${world.directory}/link`);
  assert.equal((await world.list("/d/file")).errno, ERRNO.ENOTDIR);
  assert.equal((await world.list("/d/none")).errno, ERRNO.ENOENT);
  assert.equal((await world.list("/link/../../../../d")).errno, 0);
  assert.equal((await world.list(`/${"x".repeat(5000)}`)).errno, ERRNO.ENAMETOOLONG);
});

Deno.test("a listing is all there is only when the directory has been still for some clock ticks", async () => {
  await using world = new World();
  world.make("/d", ["one"]);
  for (const deadline = performance.now() + 60_000; !(await world.list("/d")).isAll;) {
    assert.ok(performance.now() < deadline, "it stays unsure");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

Deno.test("a listing of /proc is never all there is: a thread's name is found there and not listed", async () => {
  const root = openRoot(cString("/proc"));
  const files = new Files(root, null);
  const request = { type: "List", path: utf8("/"), flags: 0, inlineBytes: 1 << 20, statEntries: 0 } as const;
  const listing = await reply<Reply<"ListReply">>((outlet) => files.list(request, outlet));
  assert.deepEqual([listing.errno, listing.isAll], [0, false]);
  await files.close();
  await closeFile(root);
});

Deno.test("entries are looked up by their names, one that is not there says so in its record", async () => {
  await using world = new World();
  world.make("/d", ["one", "two"]);
  Deno.symlinkSync("one", `${world.directory}/d/link`);
  const { errno, data } = await world.statEntries("/d", "two\0gone\0link\0");
  const [two, gone, link] = recordsOf(data);
  assert.equal(errno, 0);
  assert.deepEqual([two, link], [await world.lstat("/d/two"), await world.lstat("/d/link")]);
  assert.equal(gone!.errno, ERRNO.ENOENT);
});

Deno.test("a mount point among the entries is shown as what is mounted there", async () => {
  const root = openRoot(cString("/"));
  const files = new Files(root, null);
  const request = { type: "StatEntries", path: utf8("/"), names: utf8("proc\0") } as const;
  const { data } = await reply<Reply<"EntryStats">>((outlet) => files.statEntries(request, outlet));
  const lstat = await files.stat({ type: "Stat", path: utf8("/proc"), flags: AT_SYMLINK_NOFOLLOW });
  assert.deepEqual(recordsOf(data)[0]!.stat.dev, (lstat as Reply<"StatReply">).stat.dev);
  assert.deepEqual(recordsOf(data)[0]!.stat.ino, (lstat as Reply<"StatReply">).stat.ino);
  await files.close();
  await closeFile(root);
});

Deno.test("what is no name of an entry is EINVAL, and so are more names than the limit", async () => {
  await using world = new World();
  world.make("/d", ["one"]);
  for (
    const names of [".\0", "..\0", "one\0../..\0", "\0", "one", "a/b\0", "x\0".repeat(AGENT_LIMITS.statEntries + 1)]
  ) {
    assert.equal((await world.statEntries("/d", names)).errno, ERRNO.EINVAL, JSON.stringify(names.slice(0, 20)));
  }
  assert.equal((await world.statEntries("/d/one", "x\0")).errno, ERRNO.ENOTDIR);
  assert.equal((await world.statEntries("/none", "x\0")).errno, ERRNO.ENOENT);
});

const isRoot = Deno.uid() === 0;
Deno.test({
  name: `a directory that may be listed but not searched is not all there is${isRoot ? "" : " (needs root)"}`,
  ignore: !isRoot,
  async fn() {
    await using world = new World();
    world.make("/d", ["one"]);
    Deno.chmodSync(world.directory, 0o755);
    Deno.chmodSync(`${world.directory}/d`, 0o744);
    for (const deadline = performance.now() + 60_000; !(await world.list("/d")).isAll;) {
      assert.ok(performance.now() < deadline, "it stays unsure for root, too");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const root = openRoot(cString(world.directory));
    const nobody = { uid: 65534, gid: 65534, groups: [] };
    const files = new Files(root, packRights(nobody, { uid: 0, gid: 0, groups: [0] }));
    const request = { type: "List", path: utf8("/d"), flags: 0, inlineBytes: 1 << 20, statEntries: 9 } as const;
    const listing = await reply<Reply<"ListReply">>((outlet) => files.list(request, outlet));
    assert.deepEqual([listing.errno, listing.isAll], [0, false]);
    assert.deepEqual(recordsOf(listing.data.subarray(listing.entryBytes)).map(({ errno }) => errno), [ERRNO.EACCES]);
    await files.close();
    await closeFile(root);
  },
});
