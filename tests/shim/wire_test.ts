/** What the intproxy may do wrong: that call fails, the program goes on; and it never hangs, prints or dies of us. */
import assert from "node:assert/strict";
import { makeCodec } from "../../src/proto/codec.ts";
import { LAYER, LAYER_LIMITS, type LayerFrame } from "../../src/proto/layer.ts";
import { answerFrom, entriesOf, file, statOf } from "../support/remote_tree.ts";
import { type Answer, startUnderShim } from "../support/under_shim.ts";

const codec = makeCodec(LAYER);
const TREE = { "/data/a": file("A"), "/data/b": file("B") };
const right = answerFrom(TREE);

/** Opens /data/a and /data/b; the first is answered by `bad`. */
async function twoCalls(bad: (request: LayerFrame) => Answer): Promise<string> {
  const answer = (request: LayerFrame) =>
    "path" in request && new TextDecoder().decode(request.path) === "/data/a" ? bad(request) : right(request);
  await using app = await startUnderShim("process", ["several", "/data/a", "/data/b"], { answer });
  return await app.output();
}

function frameOf(request: LayerFrame, change: (frame: Uint8Array) => Uint8Array | void): Uint8Array {
  const message = right({ ...request, path: new TextEncoder().encode("/data/a") } as LayerFrame)!;
  const frame = codec.encode(message, request.id);
  return change(frame) ?? frame;
}

const MALFORMED: { what: string; answer: (request: LayerFrame) => Answer }[] = [
  { what: "closes the connection", answer: () => "hang up" },
  { what: "answers another type", answer: () => ({ type: "Done", errno: 0 }) },
  {
    what: "answers another id",
    answer: (it) => frameOf(it, (frame) => void new DataView(frame.buffer).setUint32(5, 99)),
  },
  { what: "answers an unknown type", answer: (it) => frameOf(it, (frame) => void (frame[4] = 250)) },
  {
    what: "names a length over the limit",
    answer: (it) => frameOf(it, (frame) => new DataView(frame.buffer).setUint32(0, LAYER_LIMITS.frameBytes + 1, true)),
  },
  {
    what: "names a length too short for a head",
    answer: (it) => frameOf(it, (frame) => new DataView(frame.buffer).setUint32(0, 3, true)),
  },
  {
    what: "sends more than the frame",
    answer: (it) => frameOf(it, (frame) => new Uint8Array([...frame, 1, 2, 3])),
  },
  {
    what: "sends a field that is longer than the frame",
    answer: (it) => frameOf(it, (frame) => new DataView(frame.buffer).setUint32(frame.length - 5, 1000, true)),
  },
  {
    what: "sends an errno that is none",
    answer: (it) => frameOf(it, (frame) => new DataView(frame.buffer).setInt32(9, -77, true)),
  },
];

for (const { what, answer } of MALFORMED) {
  Deno.test(`open() is EIO when the intproxy ${what}; the next call is right`, async () => {
    assert.equal(await twoCalls(answer), "/data/a EIO\n/data/b B\n");
  });
}

Deno.test("open() is EIO when the intproxy breaks off in the middle of a frame", async () => {
  await using app = await startUnderShim("process", ["several", "/data/a", "/data/b"]);
  for (const cut of [3, 20]) {
    const open = await app.expect("Open");
    await app.reply(open, frameOf(open, (frame) => frame.subarray(0, cut)));
    await app.reply(open, "hang up");
  }
  assert.equal(await app.output(), "/data/a EIO\n/data/b EIO\n");
});

Deno.test("open() puts an answer together that comes byte by byte", async () => {
  await using app = await startUnderShim("process", ["several", "/data/a"]);
  const open = await app.expect("Open");
  for (const byte of frameOf(open, () => {})) await app.reply(open, Uint8Array.of(byte));
  assert.equal(await app.output(), "/data/a A\n");
});

Deno.test("opendir() is EIO when the entries of a directory are no records", async () => {
  const entries = entriesOf(["a", "b"]);
  const broken = [
    entries.subarray(0, entries.length - 3),
    entries.map((byte, at) => at === 16 ? 0 : byte),
    entries.map((byte, at) => at === 16 ? 255 : byte),
    entries.map((byte, at) => at > 18 && at < 24 ? 65 : byte),
  ];
  const stat = { ...statOf(file("")), mode: 0o040755 };
  for (const data of broken) {
    await using app = await startUnderShim("files", ["opendir", "/data"], {
      answer: () => ({ type: "OpenReply", errno: 0, stat, isWhole: true, handle: 0n, data: new Uint8Array(data) }),
    });
    assert.equal(await app.output(), "EIO\n");
  }
});

Deno.test("an idle connection that the intproxy has closed is made anew, and the call succeeds", async () => {
  await using app = await startUnderShim("process", ["several", "/data/a", "/data/b"]);
  const first = await app.expect("Open");
  const answer = codec.encode(right(first)!, first.id);
  await app.reply(first, answer);
  await app.reply(first, "hang up");
  const second = await app.expect("Open");
  await app.reply(second, right(second));
  assert.equal(await app.output(), "/data/a A\n/data/b B\n");
});

Deno.test("calls are refused at once when the intproxy is gone, and local ones go on", async () => {
  await using app = await startUnderShim("process", ["several", "/data/a", "/dev/null", "/data/b"], {
    isIntproxyGone: true,
  });
  assert.equal(await app.output(), "/data/a EIO\n/dev/null \n/data/b EIO\n");
});

Deno.test("a call that waits is EIO when the intproxy goes away", async () => {
  await using app = await startUnderShim("process", ["several", "/data/a", "/data/b"]);
  await app.expect("Open");
  app.hangUp();
  assert.equal(await app.output(), "/data/a EIO\n/data/b EIO\n");
});

Deno.test("names are EAI_AGAIN when the intproxy is gone", async () => {
  await using app = await startUnderShim("names", ["getaddrinfo", "web", "80"], { isIntproxyGone: true });
  assert.equal(await app.output(), "EAI_AGAIN errno 0\n");
});

for (const [what, settings] of [["no frame", "x"], ["cut", "cut"], ["missing", undefined]] as const) {
  Deno.test(`what could be the target's fails when the settings are ${what}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "mirrord-local-" });
    try {
      if (settings) await Deno.writeTextFile(`${directory}/settings`, settings.repeat(5));
      const env = { MIRRORD_SESSION_DIR: directory };
      await using app = await startUnderShim("process", ["several", "/data/a", "/dev/null"], { env });
      assert.equal(await app.output(), "/data/a EIO\n/dev/null \n");
      assert.equal(app.hellos.length, 0);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("the first frame is a Hello with build, pid and program, and is not waited for", async () => {
  await using app = await startUnderShim("/usr/bin/true", []);
  assert.equal(await app.output(), "");
  await app.untilHello();
  const [hello] = app.hellos;
  assert.deepEqual({ ...hello, pid: hello!.pid > 0 }, {
    type: "Hello",
    id: 0,
    build: "test-build",
    pid: true,
    isLifeline: true,
    program: "/usr/bin/true",
  });
});
