/** libc's walks through a tree: from a path of the target they list the target, from a path of this machine nothing is asked. */
import assert from "node:assert/strict";
import { answerFrom, directory, file, type Tree } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const TREE: Tree = {
  "/srv": directory("file", "sub/"),
  "/srv/file": file("bytes"),
  "/srv/sub": directory("deep"),
  "/srv/sub/deep": file("more"),
};

const WALKS: Record<string, string> = {
  ftw: "/srv:1 /srv/file:0 /srv/sub:1 /srv/sub/deep:0 0\n",
  nftw: "/srv:1:0 /srv/file:0:1 /srv/sub:1:1 /srv/sub/deep:0:2 0\n",
};

for (const symbol of ["ftw", "ftw64", "nftw", "nftw64"]) {
  Deno.test(`${symbol}() walks a tree of the target: one question for each entry and each directory`, async () => {
    await using app = await startUnderShim("walks", [symbol, "/srv"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), WALKS[symbol.replace("64", "")]);
    assert.deepEqual([app.count("Stat"), app.count("Open")], [4, 2]);
  });

  Deno.test(`${symbol}() stays local when the path is`, async () => {
    await using app = await startUnderShim("walks", [symbol, "/etc/passwd"], { answer: answerFrom(TREE) });
    assert.match(await app.output(), /^\/etc\/passwd:0(:0)? 0\n$/);
    assert.equal(app.count(), 0);
  });

  Deno.test(`${symbol}() says ENOENT when the target has no such path`, async () => {
    await using app = await startUnderShim("walks", [symbol, "/srv/nothing"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "ENOENT\n");
  });
}

const FAMILIES = {
  fts: "fts_open(), fts_read(), fts_children(), fts_set() and fts_close()",
  fts64: "fts64_open(), fts64_read(), fts64_children(), fts64_set() and fts64_close()",
};

for (const [family, symbols] of Object.entries(FAMILIES)) {
  Deno.test(`${symbols} walk a tree of the target`, async () => {
    await using app = await startUnderShim("walks", [family, "/srv"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "/srv:1:0 /srv/file:8:1 /srv/sub:1:1 /srv/sub:6:1 /srv:6:0 0\n");
    assert.deepEqual([app.count("Stat"), app.count("Open")], [3, 2]);
  });

  Deno.test(`${symbols} stay local when the path is`, async () => {
    await using app = await startUnderShim("walks", [family, "/etc/passwd"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "/etc/passwd:8:0 0\n");
    assert.equal(app.count(), 0);
  });

  Deno.test(`${family}_read() says ENOENT when the target has no such path`, async () => {
    await using app = await startUnderShim("walks", [family, "/srv/nothing"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "ENOENT\n");
  });
}
