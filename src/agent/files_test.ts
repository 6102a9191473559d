import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import { MAX_HEAD_BYTES } from "../proto/agent_codec.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { closeFile, openRoot } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { Files, type Outlet } from "./files.ts";

type Reply<T extends AgentMessage["type"]> = MessageNamed<typeof AGENT, T>;

const O_RDWR = 0o2;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const O_PATH = 0o10000000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const ENXIO = 6;

/** Files of a made-up root directory, for one session. */
class World implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync();
  readonly #root = openRoot(cString(this.directory));
  readonly files: Files;

  constructor(options: { maxHandles?: number } = {}) {
    this.files = new Files(this.#root, null, options.maxHandles);
  }

  write(path: string, contents: string | Uint8Array): void {
    const whole = `${this.directory}${path}`;
    Deno.mkdirSync(whole.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeFileSync(whole, typeof contents === "string" ? utf8(contents) : contents);
  }

  link(target: string, path: string): void {
    Deno.symlinkSync(target, `${this.directory}${path}`);
  }

  async open(path: string | Uint8Array, flags = 0, inlineBytes = 1 << 20): Promise<Reply<"OpenReply">> {
    const bytes = typeof path === "string" ? utf8(path) : path;
    return await reply((outlet) => this.files.open({ type: "Open", path: bytes, flags, inlineBytes }, outlet));
  }

  async text(path: string): Promise<string> {
    const { errno, data } = await this.open(path);
    return errno === 0 ? fromUtf8(data) : `errno ${errno}`;
  }

  async readAt(handle: bigint, offset: bigint, length: number): Promise<Reply<"ReadReply">> {
    return await reply((outlet) => this.files.readAt({ type: "ReadAt", handle, offset, length }, outlet));
  }

  async stat(path: string, flags = 0): Promise<Reply<"StatReply">> {
    return await this.files.stat({ type: "Stat", path: utf8(path), flags }) as Reply<"StatReply">;
  }

  async access(path: string, mode: number): Promise<number> {
    const done = await this.files.access({ type: "Access", path: utf8(path), mode, flags: 0 });
    return (done as Reply<"Done">).errno;
  }

  async readLink(path: string): Promise<string> {
    return pathIn(await this.files.readLink({ type: "ReadLink", path: utf8(path) }));
  }

  async realPath(path: string): Promise<string> {
    return pathIn(await this.files.realPath({ type: "RealPath", path: utf8(path) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.files.close();
    await closeFile(this.#root);
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The answer, its bytes copied: the buffer is used again. */
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

function pathIn(message: AgentMessage): string {
  const { errno, path } = message as Reply<"PathReply">;
  return errno === 0 ? fromUtf8(path) : `errno ${errno}`;
}

/** Records of struct linux_dirent64. */
function entriesOf(data: Uint8Array): { name: string; ino: bigint; off: bigint; reclen: number; type: number }[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const entries = [];
  for (let at = 0; at < data.length;) {
    const reclen = view.getUint16(at + 16, true);
    const end = data.indexOf(0, at + 19);
    entries.push({
      name: fromUtf8(data.subarray(at + 19, end)),
      ino: view.getBigUint64(at, true),
      off: view.getBigInt64(at + 8, true),
      reclen,
      type: data[at + 18]!,
    });
    at += reclen;
  }
  return entries;
}

Deno.test("a small file comes whole, with its stat, in one answer", async () => {
  await using world = new World();
  world.write("/app.conf", "color = blue\n");
  const { errno, stat, isWhole, handle, data } = await world.open("/app.conf");
  const real = Deno.statSync(`${world.directory}/app.conf`);
  assert.deepEqual([errno, isWhole, handle, fromUtf8(data)], [0, true, 0n, "color = blue\n"]);
  assert.deepEqual([stat.ino, stat.size, stat.mode], [BigInt(real.ino!), 13n, real.mode!]);
  assert.equal(stat.mtimeSec, BigInt(Math.floor(real.mtime!.getTime() / 1000)));
});

Deno.test("a file as long as the inline limit is whole, one byte more has a handle for the rest", async () => {
  await using world = new World();
  world.write("/eight", "12345678");
  assert.deepEqual((await world.open("/eight", 0, 8)).isWhole, true);
  const { isWhole, handle, data } = await world.open("/eight", 0, 7);
  assert.deepEqual([isWhole, fromUtf8(data)], [false, "1234567"]);
  assert.equal(fromUtf8((await world.readAt(handle, 6n, 10)).data), "78");
  assert.equal((await world.readAt(handle, 8n, 10)).data.length, 0);
});

Deno.test("an open file is told as it is by now, whatever its path leads to", async () => {
  await using world = new World();
  world.write("/log", "12345678");
  const { handle, stat } = await world.open("/log", 0, 4);
  world.write("/other", "x");
  Deno.renameSync(`${world.directory}/other`, `${world.directory}/log`);
  const answer = await world.files.statHandle({ type: "StatHandle", handle }) as Reply<"StatReply">;
  assert.deepEqual([answer.errno, answer.stat.ino, answer.stat.size, answer.stat.nlink], [0, stat.ino, 8n, 0]);
  await world.files.closeHandle(handle);
  const gone = await world.files.statHandle({ type: "StatHandle", handle }) as Reply<"StatReply">;
  assert.equal(gone.errno, ERRNO.EBADF);
});

Deno.test("an empty file is whole even when nothing is to come inline", async () => {
  await using world = new World();
  world.write("/empty", "");
  assert.equal((await world.open("/empty", 0, 0)).isWhole, true);
});

Deno.test("a file that says it is empty, as those of /proc do, is read to its end", async () => {
  const root = openRoot(cString("/"));
  const files = new Files(root, null);
  const answer = await reply<Reply<"OpenReply">>((outlet) =>
    files.open({ type: "Open", path: utf8("/proc/version"), flags: 0, inlineBytes: 1 << 20 }, outlet)
  );
  await closeFile(root);
  assert.equal(answer.stat.size, 0n);
  assert.match(fromUtf8(answer.data), /^Linux version/);
});

Deno.test("a file that grows is read from its handle as it is by then", async () => {
  await using world = new World();
  world.write("/log", "x".repeat(100));
  const { handle } = await world.open("/log", 0, 10);
  world.write("/log", "y".repeat(200));
  assert.equal(fromUtf8((await world.readAt(handle, 150n, 100)).data), "y".repeat(50));
});

Deno.test("links and dots do not lead out of the target's root", async () => {
  await using world = new World();
  world.write("/etc/secret", "inside");
  world.link("/etc/secret", "/absolute");
  world.link("../../../../../../../../etc/secret", "/climbing");
  world.link("/proc/self/root/etc/passwd", "/magic");
  assert.equal(await world.text("/absolute"), "inside");
  assert.equal(await world.text("/climbing"), "inside");
  assert.equal(await world.text("/../../../etc/secret"), "inside");
  assert.equal(await world.text("/magic"), `errno ${ERRNO.ENOENT}`);
});

Deno.test("the magic links of /proc are not followed", async () => {
  const root = openRoot(cString("/"));
  const files = new Files(root, null);
  const stat = await files.stat({ type: "Stat", path: utf8("/proc/self/root/etc"), flags: 0 });
  await closeFile(root);
  assert.equal((stat as Reply<"StatReply">).errno, ERRNO.ELOOP);
});

Deno.test("a directory is its entries, as getdents64(2) has them, with offsets of our own", async () => {
  await using world = new World();
  world.write("/dir/file", "");
  world.write("/dir/sub/file", "");
  world.link("nowhere", "/dir/link");
  const { stat, isWhole, data } = await world.open("/dir", O_DIRECTORY);
  const entries = entriesOf(data);
  assert.equal(isWhole, true);
  assert.equal(stat.mode & 0o170000, 0o040000);
  const types = Object.fromEntries(entries.map(({ name, type }) => [name, type]));
  assert.deepEqual(types, { ".": 4, "..": 4, "file": 8, "sub": 4, "link": 10 });
  let at = 0n;
  for (const { off, reclen } of entries) {
    at += BigInt(reclen);
    assert.equal(off, at);
    assert.equal(reclen % 8, 0);
  }
  const file = entries.find(({ name }) => name === "file")!;
  assert.equal(file.ino, BigInt(Deno.statSync(`${world.directory}/dir/file`).ino!));
});

// Row U09
Deno.test("a directory too big for one answer has a handle with all of its entries", async () => {
  await using world = new World();
  const names = Array.from({ length: 300 }, (_, at) => `name-${at}`);
  for (const name of names) world.write(`/dir/${name}`, "");
  const { isWhole, handle, data } = await world.open("/dir", 0, 1000);
  assert.equal(isWhole, false);
  assert.equal(data.length, 1000);
  const all = (await world.readAt(handle, 0n, AGENT_LIMITS.chunkBytes)).data;
  assert.deepEqual(all.subarray(0, data.length), data);
  assert.deepEqual(entriesOf(all).map(({ name }) => name).toSorted(), [".", "..", ...names].toSorted());
});

Deno.test("what open(2) refuses is refused with its errno", async () => {
  await using world = new World();
  world.write("/file", "");
  world.link("/file", "/link");
  world.link("/ring", "/ring");
  const cases: [path: string, flags: number, errno: number][] = [
    ["/nothing", 0, ERRNO.ENOENT],
    ["", 0, ERRNO.ENOENT],
    ["/file/below", 0, ERRNO.ENOTDIR],
    ["/file", O_DIRECTORY, ERRNO.ENOTDIR],
    ["/link", O_NOFOLLOW, ERRNO.ELOOP],
    ["/ring", 0, ERRNO.ELOOP],
    ["/file", O_RDWR, ERRNO.EROFS],
    ["/a\0b", 0, ERRNO.EINVAL],
    [`/${"x".repeat(256)}`, 0, ERRNO.ENAMETOOLONG],
    [`/${"x/".repeat(2047)}x`, 0, ERRNO.ENAMETOOLONG],
  ];
  for (const [path, flags, errno] of cases) {
    assert.equal((await world.open(path, flags)).errno, errno, `${path.slice(0, 20)} ${flags}`);
  }
});

Deno.test("O_PATH gives the stat of anything, and the bytes of a file that may be read", async () => {
  await using world = new World();
  world.write("/file", "abc");
  world.link("/file", "/link");
  const { errno, stat, isWhole, data } = await world.open("/file", O_PATH);
  assert.deepEqual([errno, stat.size, isWhole, fromUtf8(data)], [0, 3n, true, "abc"]);
  assert.equal((await world.open("/link", O_PATH | O_NOFOLLOW)).stat.mode & 0o170000, 0o120000);
});

Deno.test("a FIFO, a socket and a device are ENXIO at once, whoever is at their other ends", async () => {
  await using world = new World();
  await new Deno.Command("mkfifo", { args: [`${world.directory}/fifo`] }).output();
  using _listener = Deno.listen({ transport: "unix", path: `${world.directory}/socket` });
  assert.equal((await world.open("/fifo")).errno, ENXIO);
  assert.equal((await world.open("/socket")).errno, ENXIO);
  const root = openRoot(cString("/"));
  const files = new Files(root, null);
  const device = await reply<Reply<"OpenReply">>((outlet) =>
    files.open({ type: "Open", path: utf8("/dev/zero"), flags: 0, inlineBytes: 10 }, outlet)
  );
  await closeFile(root);
  assert.equal(device.errno, ENXIO);
});

Deno.test("paths are bytes: names that are not UTF-8 are found", async () => {
  await using world = new World();
  const name = Uint8Array.of(0x2f, 0xff, 0xfe);
  await new Deno.Command("sh", { args: ["-c", `printf x > "${world.directory}/$(printf '\\377\\376')"`] }).output();
  assert.equal(fromUtf8((await world.open(name)).data), "x");
});

Deno.test("stat follows links unless told not to", async () => {
  await using world = new World();
  world.write("/file", "abc");
  world.link("/file", "/link");
  assert.equal((await world.stat("/link")).stat.size, 3n);
  assert.equal((await world.stat("/link", AT_SYMLINK_NOFOLLOW)).stat.mode & 0o170000, 0o120000);
  assert.equal((await world.stat("/nothing")).errno, ERRNO.ENOENT);
});

Deno.test("access says what may be done", async () => {
  await using world = new World();
  world.write("/file", "");
  Deno.chmodSync(`${world.directory}/file`, 0o644);
  const [F_OK, X_OK, R_OK] = [0, 1, 4];
  assert.equal(await world.access("/file", F_OK), 0);
  assert.equal(await world.access("/file", R_OK), 0);
  assert.equal(await world.access("/file", X_OK), ERRNO.EACCES);
  assert.equal(await world.access("/nothing", F_OK), ERRNO.ENOENT);
  assert.equal(await world.access("/file", 8), ERRNO.EINVAL);
});

Deno.test("readlink gives the text of a link, and EINVAL for what is none", async () => {
  await using world = new World();
  world.write("/file", "");
  world.link("../any where", "/link");
  assert.equal(await world.readLink("/link"), "../any where");
  assert.equal(await world.readLink("/file"), `errno ${ERRNO.EINVAL}`);
  assert.equal(await world.readLink("/nothing"), `errno ${ERRNO.ENOENT}`);
});

Deno.test("realpath resolves every link inside the root, and speaks of the root as /", async () => {
  await using world = new World();
  world.write("/a/b/file", "");
  world.link("/a", "/x");
  world.link("../b/file", "/a/b/again");
  assert.equal(await world.realPath("/x/b/../b/again"), "/a/b/file");
  assert.equal(await world.realPath("/"), "/");
  assert.equal(await world.realPath("/../.."), "/");
  assert.equal(await world.realPath("/x/nothing"), `errno ${ERRNO.ENOENT}`);
});

Deno.test("a handle is good until it is closed, and its number does not come back", async () => {
  await using world = new World();
  world.write("/file", "12345678");
  const { handle } = await world.open("/file", 0, 1);
  await world.files.closeHandle(handle);
  assert.equal((await world.readAt(handle, 0n, 1)).errno, ERRNO.EBADF);
  assert.notEqual((await world.open("/file", 0, 1)).handle, handle);
  await world.files.closeHandle(12345n);
});

Deno.test("a handle closed while it is being read serves that read to its end", async () => {
  await using world = new World();
  world.write("/file", "12345678");
  const { handle } = await world.open("/file", 0, 1);
  const reading = Promise.all(Array.from({ length: 50 }, () => world.readAt(handle, 0n, 8)));
  await world.files.closeHandle(handle);
  for (const { errno, data } of await reading) assert.deepEqual([errno, fromUtf8(data)], [0, "12345678"]);
});

Deno.test("more open handles than the limit are EMFILE, and what is whole needs none", async () => {
  await using world = new World({ maxHandles: 2 });
  world.write("/file", "12345678");
  const { handle } = await world.open("/file", 0, 1);
  await world.open("/file", 0, 1);
  assert.equal((await world.open("/file", 0, 1)).errno, ERRNO.EMFILE);
  assert.equal((await world.open("/file")).errno, 0);
  await world.files.closeHandle(handle);
  assert.equal((await world.open("/file", 0, 1)).errno, 0);
});

Deno.test("a read longer than a chunk is EINVAL", async () => {
  await using world = new World();
  world.write("/file", "12345678");
  const { handle } = await world.open("/file", 0, 1);
  assert.equal((await world.readAt(handle, 0n, AGENT_LIMITS.chunkBytes + 1)).errno, ERRNO.EINVAL);
});

Deno.test("closing a session gives back every descriptor it held", async () => {
  await using world = new World();
  world.write("/file", "12345678");
  const openDescriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = openDescriptors();
  for (let count = 0; count < 20; count++) await world.open("/file", 0, 1);
  assert.equal(openDescriptors(), before + 20);
  const late = world.open("/file", 0, 1);
  await world.files.close();
  await late;
  assert.equal(openDescriptors(), before);
});

Deno.test("answers that do not leave hold up further reading, in their turn and of that session only", async () => {
  await using world = new World();
  await using other = new World();
  world.write("/big", new Uint8Array(1 << 20));
  other.write("/big", new Uint8Array(1 << 20));
  const leaving = Promise.withResolvers<void>();
  let answered = 0;
  const outlet: Outlet = {
    send: () => Promise.reject(new Error("a big answer is not copied")),
    sendInPlace() {
      answered++;
      return leaving.promise;
    },
  };
  const request = { type: "Open", path: utf8("/big"), flags: 0, inlineBytes: 1 << 20 } as const;
  const opens = Array.from({ length: 50 }, () => world.files.open(request, outlet));
  assert.equal((await other.open("/big")).errno, 0);
  while (answered < 16) await world.stat("/big");
  await world.stat("/big");
  assert.equal(answered, 16, "MiB are unsent");
  leaving.resolve();
  await Promise.all(opens);
  assert.equal(answered, 50);
});

Deno.test("statfs() tells of the file system that a path below the root lies on", async () => {
  await using world = new World();
  world.write("/file", "text");
  const told = async (path: string) =>
    await world.files.statFs({ type: "StatFs", path: utf8(path) }) as Reply<"StatFsReply">;
  const { errno, words } = await told("/file");
  assert.equal(errno, 0);
  const NAMELEN_AT = 8 * 8;
  assert.equal(new DataView(words.buffer).getBigUint64(NAMELEN_AT, true), 255n);
  assert.equal((await told("/none")).errno, ERRNO.ENOENT);
});
