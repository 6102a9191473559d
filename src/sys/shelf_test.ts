import assert from "node:assert/strict";
import { type Difference, Shelf } from "./shelf.ts";

const BLOCK = 4096;

/** A shelf with file 1, and that file by its descriptor in this process, to write as a program would. */
async function open(): Promise<{ shelf: Shelf; path: string } & AsyncDisposable> {
  const directory = await Deno.makeTempDir();
  const shelf = new Shelf(`${directory}/shelf`);
  const name = `mirrord-w-test-${crypto.randomUUID()}`;
  assert.equal(shelf.put(1n, name), 0);
  const link = [...Deno.readDirSync("/proc/self/fd")].map((it) => `/proc/self/fd/${it.name}`).find((it) => {
    try {
      return Deno.readLinkSync(it).includes(name);
    } catch {
      return false;
    }
  });
  return {
    shelf,
    path: link!,
    [Symbol.asyncDispose]: async () => {
      shelf[Symbol.dispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** All differences up to `until`, as "offset+count". */
async function differences(shelf: Shelf, until: number, capacity = 256 << 10): Promise<string[]> {
  const into = new Uint8Array(capacity);
  const found: string[] = [];
  for (let at = 0;;) {
    const next = await shelf.difference(1n, at, until, into);
    if (next === undefined) return found;
    assert.ok(typeof next === "object");
    found.push(next.ranges === 0 ? `${next.offset}+${next.count}` : rangesIn(next, into));
    at = next.next;
  }
}

/** As the agent's wire has Patch: the bytes of all, then a distance and a length for each. */
function rangesIn({ offset, count, ranges }: Difference, into: Uint8Array): string {
  const view = new DataView(into.buffer, into.byteOffset + count - 8 * ranges);
  const places = Array.from({ length: ranges }, (_, at) => {
    return `${offset + view.getUint32(8 * at, true)}+${view.getUint32(8 * at + 4, true)}`;
  });
  return places.join(" ");
}

function write(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(bytes);
}

const ones = (count: number) => new Uint8Array(count).fill(1);

Deno.test("only bytes that were changed differ, and once", async () => {
  await using it = await open();
  write(it.path, 0, ones(10 * BLOCK + 5));
  assert.deepEqual(await differences(it.shelf, 10 * BLOCK + 5), [`0+${10 * BLOCK + 5}`]);
  assert.deepEqual(await differences(it.shelf, 10 * BLOCK + 5), []);
  write(it.path, 3 * BLOCK + 7, Uint8Array.of(2));
  write(it.path, 7 * BLOCK, Uint8Array.of(2));
  write(it.path, 8 * BLOCK, Uint8Array.of(2));
  write(it.path, 8 * BLOCK + 1, Uint8Array.of(2));
  const places = `${3 * BLOCK + 7}+1 ${7 * BLOCK}+1 ${8 * BLOCK}+2`;
  assert.deepEqual(await differences(it.shelf, 10 * BLOCK + 5), [places]);
  assert.deepEqual(await differences(it.shelf, 10 * BLOCK + 5), []);
});

Deno.test("many small changes of one block are told together, a file that grows within a block from where it grew", async () => {
  await using it = await open();
  write(it.path, 0, ones(13));
  assert.deepEqual(await differences(it.shelf, 13), ["0+13"]);
  write(it.path, 13, ones(6));
  assert.deepEqual(await differences(it.shelf, 19), ["13+6"]);
  write(it.path, 0, ones(BLOCK));
  await differences(it.shelf, BLOCK);
  for (let at = 0; at < BLOCK; at += 16) write(it.path, at, Uint8Array.of(3));
  const [few] = await differences(it.shelf, BLOCK);
  assert.equal(few!.split(" ").length, BLOCK / 16);
  for (let at = 0; at < BLOCK; at += 2) write(it.path, at, Uint8Array.of(4));
  assert.deepEqual(await differences(it.shelf, BLOCK), [`0+${BLOCK - 1}`]);
});

Deno.test("what others wrote becomes the file's where nobody here has written", async () => {
  await using it = await open();
  assert.equal(it.shelf.fill(1n, 0, ones(BLOCK + 9)), 0);
  write(it.path, 5, Uint8Array.of(7));
  const theirs = ones(BLOCK + 20);
  theirs.set([8, 8], 5);
  theirs.set([9], BLOCK + 3);
  assert.equal(it.shelf.merge(1n, 0, theirs), 0);
  const merged = theirs.slice();
  merged[5] = 7;
  assert.deepEqual(await Deno.readFile(it.path), merged);
  assert.deepEqual(await differences(it.shelf, BLOCK + 20), ["5+1"], "what was written here is still to be sent");
});

Deno.test("what came from the target does not differ until it is changed", async () => {
  await using it = await open();
  assert.equal(it.shelf.fill(1n, 0, ones(2 * BLOCK + 9)), 0);
  assert.deepEqual(await differences(it.shelf, 2 * BLOCK + 9), []);
  write(it.path, 2 * BLOCK, Uint8Array.of(3));
  assert.deepEqual(await differences(it.shelf, 2 * BLOCK + 9), [`${2 * BLOCK}+1`]);
});

Deno.test("a hole is a hole, zeros that were written are not, zeros in place of something are sent", async () => {
  await using it = await open();
  write(it.path, 100 * BLOCK, ones(BLOCK));
  assert.deepEqual(await differences(it.shelf, 101 * BLOCK), [`${100 * BLOCK}+${BLOCK}`]);
  write(it.path, 50 * BLOCK, new Uint8Array(BLOCK));
  assert.deepEqual(await differences(it.shelf, 101 * BLOCK), [`${50 * BLOCK}+${BLOCK}`]);
  write(it.path, 100 * BLOCK, new Uint8Array(BLOCK));
  assert.deepEqual(await differences(it.shelf, 101 * BLOCK), [`${100 * BLOCK}+${BLOCK}`]);
  assert.equal(it.shelf.resize(1n, 0), 0);
  assert.equal(it.shelf.resize(1n, 101 * BLOCK), 0);
  assert.deepEqual(await differences(it.shelf, 101 * BLOCK), [], "zeros that became a hole are zeros");
});

Deno.test("after a cut or a doubt what is there is sent again", async () => {
  await using it = await open();
  write(it.path, 0, ones(4 * BLOCK));
  await differences(it.shelf, 4 * BLOCK);
  it.shelf.cut(1n, BLOCK + 1);
  assert.deepEqual(await differences(it.shelf, 4 * BLOCK), [`${BLOCK + 1}+${3 * BLOCK - 1}`]);
  it.shelf.doubt(1n, 0, 1 << 30);
  assert.deepEqual(await differences(it.shelf, 4 * BLOCK, BLOCK), [
    `0+${BLOCK}`,
    `${BLOCK}+${BLOCK}`,
    `${2 * BLOCK}+${BLOCK}`,
    `${3 * BLOCK}+${BLOCK}`,
  ]);
});

Deno.test("the kernel tells whether anybody can still write", async () => {
  await using it = await open();
  assert.equal(it.shelf.look(1n, true).hasWriters, false);
  using reader = Deno.openSync(it.path, { read: true });
  assert.equal(it.shelf.look(1n, true).hasWriters, false);
  {
    using writer = Deno.openSync(it.path, { write: true });
    assert.equal(it.shelf.look(1n, true).hasWriters, true);
    writer.writeSync(ones(3));
  }
  const { hasWriters, size, handed } = it.shelf.look(1n, true);
  assert.deepEqual({ hasWriters, size, handed }, { hasWriters: false, size: 3, handed: 0 });
  reader.readSync(new Uint8Array(1));
});

Deno.test("numbers that are not on the shelf, and paths where no socket can be, are refused", async () => {
  await using it = await open();
  assert.throws(() => it.shelf.look(2n, true), /error 2/);
  assert.equal(await it.shelf.read(2n, 0, new Uint8Array(1)), -2);
  it.shelf.drop(1n);
  it.shelf.drop(1n);
  assert.equal(it.shelf.resize(1n, 5), -2);
  assert.throws(() => new Shelf(`/${"x".repeat(200)}`), /error 36/);
  assert.throws(() => new Shelf("/proc/none/shelf"), /error/);
});
