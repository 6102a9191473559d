/** Paths that stand for others: which call asks what they stand for, and that the rules and libc see the other path. */
import assert from "node:assert/strict";
import { fromUtf8 } from "../../src/base/bytes.ts";
import { PathMapper, pathMappingTable } from "../../src/config/path_mapping.ts";
import type { LayerFrame } from "../../src/proto/layer.ts";
import { type Answer, startUnderShim } from "../support/under_shim.ts";

const MAPPING: [string, string][] = [
  ["^/app/secrets/(.*)$", "/var/run/$1"],
  ["^/here/(?<rest>.*)", "/tmp/mirrord-mapping-test/${rest}"],
  ["^/swap/a$", "/swap/b"],
  ["^/swap/b$", "/swap/a"],
];

const mapper = new PathMapper(MAPPING);

function answer(request: LayerFrame): Answer {
  if (request.type === "MapPath") {
    const path = mapper.map(request.path);
    return { type: "PathReply", errno: path ? 0 : 2, path: path ?? new Uint8Array() };
  }
  return { type: "Done", errno: request.type === "Access" ? 0 : 38 };
}

/** The paths that the agent is asked for, and how often the intproxy is asked what a path stands for. */
async function run(args: string[], cwd?: string): Promise<{ asked: string[]; mapped: number; output: string }> {
  await using app = await startUnderShim("files", args, {
    settings: { pathMappings: pathMappingTable(MAPPING) },
    answer,
    ...(cwd === undefined ? {} : { cwd }),
  });
  const output = (await app.end()).stdout;
  const asked = app.frames.flatMap((it) => it.type === "Access" || it.type === "Rename" ? [describe(it)] : []);
  return { asked, mapped: app.count("MapPath"), output };
}

function describe(frame: LayerFrame): string {
  if (frame.type === "Rename") return `${fromUtf8(frame.from)} > ${fromUtf8(frame.to)}`;
  return frame.type === "Access" ? fromUtf8(frame.path) : "";
}

Deno.test("a path that stands for one of the target's is asked for as that, whatever it looks like", async () => {
  const { asked, mapped } = await run([
    "access-all",
    "/app/secrets/x",
    "/app/secrets/",
    "/app//secrets/./y",
    "/data/x",
  ]);
  assert.deepEqual(asked, ["/var/run/x", "/var/run/", "/var/run/y", "/data/x"]);
  assert.equal(mapped, 3);
});

Deno.test("access() of a path that stands for a local one is libc's, of that path", async () => {
  await Deno.mkdir("/tmp/mirrord-mapping-test", { recursive: true });
  await Deno.writeTextFile("/tmp/mirrord-mapping-test/file", "");
  const { asked, output } = await run(["access-all", "/here/file", "/here/none", "/here//x/../file"]);
  assert.deepEqual(asked, []);
  assert.equal(output, "ok /here/file\nENOENT /here/none\nok /here//x/../file\n");
});

Deno.test("a mapping is applied once, and only to absolute paths", async () => {
  assert.deepEqual((await run(["access-all", "/swap/a", "/swap/b"])).asked, ["/swap/b", "/swap/a"]);
  const relative = await run(["access-all", "swap/a"], "/");
  assert.deepEqual(relative, { asked: ["/swap/a"], mapped: 0, output: "ok swap/a\n" });
});

Deno.test("without a mapping nobody is asked", async () => {
  await using app = await startUnderShim("files", ["access-all", "/here/file"], { answer });
  await app.end();
  assert.equal(app.count("MapPath"), 0);
});

Deno.test("a mapped path that nobody can tell stays what it is", async () => {
  await using app = await startUnderShim("files", ["access-all", "/app/secrets/x"], {
    settings: { pathMappings: pathMappingTable(MAPPING) },
    answer: (request) => request.type === "MapPath" ? "hang up" : { type: "Done", errno: 0 },
  });
  await app.end();
  assert.deepEqual(app.frames.map((it) => it.type === "Access" ? fromUtf8(it.path) : it.type).at(-1), "/app/secrets/x");
});

// L44: rename with mapping
Deno.test("rename() and link() map both of their paths", async () => {
  for (const symbol of ["rename", "link"]) {
    await using app = await startUnderShim("tree", [symbol, "/app/secrets/x", "/swap/a"], {
      settings: { pathMappings: pathMappingTable(MAPPING), fsMode: 3 },
      answer: (request) => request.type === "MapPath" ? answer(request) : { type: "Done", errno: 0 },
    });
    await app.end();
    const [asked] = app.frames.filter((it) => it.type !== "MapPath");
    assert.ok(asked && "from" in asked && "to" in asked, JSON.stringify(app.frames.map((it) => it.type)));
    assert.deepEqual([fromUtf8(asked.from as Uint8Array), fromUtf8(asked.to)], ["/var/run/x", "/swap/b"]);
  }
});
