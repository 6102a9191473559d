/** Files that are written: a remote and a local test per symbol. The shelf is the real one, the intproxy is played. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { NO_STAT } from "../../src/proto/schema.ts";
import { Shelf } from "../../src/sys/shelf.ts";
import { startUnderShim } from "../support/under_shim.ts";

const NAME = `mirrord-w-${"00".repeat(108)}${"1".padStart(16, "0")}`;

interface Called {
  output: string;
  /** What was asked, in order. */
  asked: string[];
  /** What is in the file in the end. */
  bytes: string;
}

/** Runs `writing SYMBOL PATH` beside a shelf that has file 1. */
async function call(symbol: string, path: string, errno = 0, isAsking = false): Promise<Called> {
  const answer = (frame: LayerFrame): LayerMessage | undefined => {
    switch (frame.type) {
      case "OpenWriting":
        return { type: "OnShelf", errno: 0, file: 1n };
      case "StatWriting":
        return { type: "StatReply", errno: 0, stat: { ...NO_STAT, mode: 0o100640 } };
      case "CheckWriting":
        return { type: "Wrote", errno, size: errno === 0 ? 5n : 2n };
      case "MappedWriting":
        return undefined;
      default:
        return { type: "Done", errno };
    }
  };
  let shelf: Shelf | undefined;
  const prepare = (directory: string) => {
    shelf = new Shelf(`${directory}/shelf`);
    assert.equal(shelf.put(1n, NAME), 0);
    shelf.mark(1n, isAsking);
  };
  try {
    await using app = await startUnderShim("writing", [symbol, path], { answer, prepare, settings: { fsMode: 3 } });
    const output = (await app.output()).trimEnd();
    const into = new Uint8Array(100);
    const count = await shelf!.read(1n, 0, into);
    const bytes = new TextDecoder().decode(into.subarray(0, count));
    if (bytes === "Bytes") await app.untilCount("MappedWriting", 1);
    return { output, asked: app.frames.map(({ type }) => type), bytes };
  } finally {
    shelf?.[Symbol.dispose]();
  }
}

const SYNCED = ["OpenWriting", "SyncWriting"];
const REMOTE: Record<string, string[]> = {
  creat: SYNCED, // by the end of the program
  creat64: SYNCED,
  close: SYNCED,
  close_range: SYNCED,
  dup2: SYNCED,
  dup3: SYNCED,
  fclose: SYNCED,
  fdopen: SYNCED,
  fflush: SYNCED,
  fflush_unlocked: SYNCED,
  ftruncate: SYNCED,
  ftruncate64: SYNCED,
  exit: SYNCED,
  _exit: SYNCED,
  _Exit: SYNCED,
  quick_exit: SYNCED,
  fsync: [...SYNCED, "SyncWriting"],
  fdatasync: [...SYNCED, "SyncWriting"],
  syncfs: [...SYNCED, "SyncWriting"],
  sync_file_range: [...SYNCED, "SyncWriting"],
  msync: ["OpenWriting", "MappedWriting", "SyncWriting", "SyncWriting"],
  mmap: ["OpenWriting", "MappedWriting", "SyncWriting"],
  mmap64: ["OpenWriting", "MappedWriting", "SyncWriting"],
  fchmod: ["OpenWriting", "SetMode", "SyncWriting"],
  fchown: ["OpenWriting", "SetOwner", "SyncWriting"],
  futimens: ["OpenWriting", "SetTimes", "SyncWriting"],
  futimes: ["OpenWriting", "SetTimes", "SyncWriting"],
  fallocate: ["OpenWriting", "AllocateWriting", "SyncWriting"],
  fallocate64: ["OpenWriting", "AllocateWriting", "SyncWriting"],
  posix_fallocate: ["OpenWriting", "AllocateWriting", "SyncWriting"],
  posix_fallocate64: ["OpenWriting", "AllocateWriting", "SyncWriting"],
};
for (const symbol of ["mkstemp", "mkostemp", "mkstemps", "mkostemps"]) {
  REMOTE[symbol] = REMOTE[`${symbol}64`] = SYNCED;
}
// O_DSYNC: each call asks by itself.
for (
  const symbol of ["write", "__write", "pwrite", "pwrite64", "__pwrite64", "writev", "pwritev", "pwritev64", "pwritev2"]
) REMOTE[symbol] = [...SYNCED, "SyncWriting"];
REMOTE.pwritev64v2 = [...SYNCED, "SyncWriting"];

for (const [symbol, asked] of Object.entries(REMOTE)) {
  Deno.test(`${symbol}() of a remote file that is written asks for what the program may rely on`, async () => {
    const called = await call(symbol, "/data/file");
    assert.deepEqual(called.asked, asked);
    assert.equal(called.output, "0");
    assert.equal(called.bytes, /^m(map|map64|sync)$/.test(symbol) ? "Bytes" : "bytes");
  });

  Deno.test(`${symbol}() of a local file that is written asks nothing`, async () => {
    const path = await Deno.makeTempFile({ prefix: "mirrord-local-" });
    try {
      const called = await call(symbol, path);
      assert.deepEqual([called.output, called.asked, called.bytes], ["0", [], ""]);
    } finally {
      await Deno.remove(path);
    }
  });
}

for (const symbol of ["close", "fclose", "fsync", "fdatasync", "msync"]) {
  Deno.test(`${symbol}() tells the error of the target`, async () => {
    assert.equal((await call(symbol, "/data/file", ERRNO.EFBIG)).output, "EFBIG");
  });
}

/** Of a file whose mode says that there is little room, or that something went wrong. */
const ASKING: Record<string, string[]> = {
  fflush: ["OpenWriting", "CheckWriting", "SyncWriting"],
  fflush_unlocked: ["OpenWriting", "CheckWriting", "SyncWriting"],
  ftruncate: ["OpenWriting", "CheckWriting", "SyncWriting", "SyncWriting"],
  write: ["OpenWriting", "CheckWriting", "SyncWriting", "SyncWriting"],
  pwritev: ["OpenWriting", "CheckWriting", "SyncWriting", "SyncWriting"],
};
for (const [symbol, asked] of Object.entries(ASKING)) {
  Deno.test(`${symbol}() asks whether the target could take it where that is in doubt`, async () => {
    const called = await call(symbol, "/data/file", 0, true);
    assert.deepEqual([called.output, called.asked], ["0", asked]);
  });
}

Deno.test("fflush() tells that the target has no room, by the stream's error as well", async () => {
  assert.equal((await call("fflush", "/data/file", ERRNO.ENOSPC, true)).output, "ENOSPC");
});
