/** Files that a client writes: order, errors, rights and bounds, against a directory that stands for the target's root. */
import assert from "node:assert/strict";
import { utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import { type AgentMessage, WRITE } from "../proto/agent.ts";
import { closeFile, openRoot, packRights } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { Budget } from "./budget.ts";
import { Writing } from "./writing.ts";

const O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0o100, O_TRUNC = 0o1000, O_APPEND = 0o2000;

interface Place extends AsyncDisposable {
  readonly tree: string;
  readonly writing: Writing;
  /** Descriptors that were kept for reading. */
  readonly kept: number[];
}

async function start(uid?: number): Promise<Place> {
  const tree = await Deno.makeTempDir();
  await Deno.chmod(tree, 0o755);
  const root = openRoot(cString(tree));
  const kept: number[] = [];
  const own = { uid: 0, gid: 0, groups: [] };
  const rights = uid === undefined ? null : packRights({ uid, gid: uid, groups: [] }, own);
  const keepForReading = (fd: number) => BigInt(kept.push(fd));
  const writing = new Writing({ root, rights, threads: new Budget(4), keepForReading });
  return {
    tree,
    writing,
    kept,
    [Symbol.asyncDispose]: async () => {
      await writing.close();
      await Promise.all([root, ...kept].map((fd) => closeFile(fd)));
      await Deno.remove(tree, { recursive: true });
    },
  };
}

async function open(place: Place, path: string, flags: number, mode = 0o644, inlineBytes = 1 << 20) {
  const request = { type: "OpenWriting", path: utf8(path), flags, mode, umask: 0o022, inlineBytes } as const;
  const answer = await place.writing.open(request);
  assert.ok(answer.type === "WritingReply");
  return answer;
}

function write(
  place: Place,
  handle: bigint,
  text: string,
  rest: { then?: number; size?: bigint; offset?: bigint } = {},
) {
  const message = { type: "Write", handle, then: 0, size: 0n, offset: 0n, data: utf8(text), ...rest } as const;
  return place.writing.write(message);
}

function errnoOf(answer: AgentMessage): number {
  assert.ok("errno" in answer);
  return answer.errno;
}

Deno.test("writes of one handle happen in their order, and the last word is close's", async () => {
  await using place = await start();
  const { handle, stat } = await open(place, "/new", O_WRONLY | O_CREAT, 0o666);
  assert.equal(stat.mode & 0o777, 0o644);
  const answers = await Promise.all([
    write(place, handle, "one two three"),
    write(place, handle, "TWO", { offset: 4n }),
    write(place, handle, "", { then: WRITE.setSize, size: 7n }),
    write(place, handle, "!", { offset: 9n, then: WRITE.stat | WRITE.sync | WRITE.close }),
  ]);
  assert.deepEqual(answers.map(errnoOf), [0, 0, 0, 0]);
  const last = answers.at(-1)!;
  assert.ok(last.type === "Written" && last.stat.size === 10n);
  assert.equal(await Deno.readTextFile(`${place.tree}/new`), "one TWO\0\0!");
  assert.equal(errnoOf(await write(place, handle, "x")), ERRNO.EBADF);
});

Deno.test("contents come with the answer where they are wanted, and what is beyond by a handle", async () => {
  await using place = await start();
  await Deno.writeTextFile(`${place.tree}/file`, "0123456789");
  const whole = await open(place, "/file", O_RDWR);
  assert.deepEqual([new TextDecoder().decode(whole.data), whole.restHandle], ["0123456789", 0n]);
  const part = await open(place, "/file", O_WRONLY, 0, 4);
  assert.deepEqual([new TextDecoder().decode(part.data), part.restHandle, place.kept.length], ["0123", 1n, 1]);
  const none = await open(place, "/file", O_WRONLY | O_APPEND, 0, 0);
  assert.deepEqual([none.data.length, none.restHandle, none.stat.size], [0, 0n, 10n]);
  await write(place, none.handle, "end");
  assert.equal(await Deno.readTextFile(`${place.tree}/file`), "0123456789end");
  const cut = await open(place, "/file", O_WRONLY | O_TRUNC);
  assert.deepEqual([cut.data.length, cut.stat.size], [0, 0n]);
});

Deno.test("what is no regular file is not opened, and nothing leads out of the root", async () => {
  await using place = await start();
  await new Deno.Command("mkfifo", { args: [`${place.tree}/fifo`] }).output();
  await Deno.mkdir(`${place.tree}/directory`);
  await Deno.symlink("/../../../../out", `${place.tree}/link`);
  const errno = async (path: string, flags = O_WRONLY | O_CREAT) => (await open(place, path, flags)).errno;
  assert.equal(await errno("/fifo"), ERRNO.ENXIO);
  assert.equal(await errno("/directory"), ERRNO.EISDIR);
  assert.equal(await errno("/none/file"), ERRNO.ENOENT);
  assert.equal(await errno("/" + "x".repeat(5000)), ERRNO.ENAMETOOLONG);
  assert.equal(await errno("/link"), 0);
  assert.deepEqual([...Deno.readDirSync(place.tree)].map(({ name }) => name).sort(), [
    "directory",
    "fifo",
    "link",
    "out",
  ]);
});

Deno.test({
  name: "files are created and written as the target's user",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using place = await start(4241);
    await Deno.mkdir(`${place.tree}/own`);
    await Deno.chown(`${place.tree}/own`, 4241, 4241);
    await Deno.writeTextFile(`${place.tree}/roots`, "x");
    const created = await open(place, "/own/file", O_WRONLY | O_CREAT, 0o600);
    assert.deepEqual([created.errno, created.stat.uid, created.stat.gid], [0, 4241, 4241]);
    assert.equal((await open(place, "/roots", O_WRONLY)).errno, ERRNO.EACCES);
    assert.equal((await open(place, "/new", O_WRONLY | O_CREAT)).errno, ERRNO.EACCES);
  },
});

Deno.test("a borrowed descriptor is used after what was asked before, and not after close", async () => {
  await using place = await start();
  const { handle } = await open(place, "/file", O_WRONLY | O_CREAT);
  const first = write(place, handle, "text");
  const size = place.writing.borrow(handle, (fd) => Promise.resolve(Deno.statSync(`/proc/self/fd/${fd}`).size));
  const last = write(place, handle, "", { then: WRITE.close });
  assert.equal(await size, 4);
  await Promise.all([first, last]);
  assert.equal(await place.writing.borrow(handle, () => Promise.resolve(0)), -ERRNO.EBADF);
  const allocated = await place.writing.allocate({ type: "Allocate", handle, mode: 0, offset: 0n, length: 1n });
  assert.equal(errnoOf(allocated), ERRNO.EBADF);
});
