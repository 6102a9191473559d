/** `mirrord diagnose`: what this machine and the agent can do, and which programs can be entered. */
import assert from "node:assert/strict";
import { assertFits } from "../support/json_schema.ts";
import { MIRRORD, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { builtProgram } from "../support/sandbox_case.ts";
import { startSandbox, whyNoSandbox } from "../support/sandbox.ts";
import { isThere } from "../../src/base/is_there.ts";

const REASON = whyNotBuilt();
const AS_ROOT = REASON ?? (Deno.uid() === 0 ? undefined : "needs root");
const AS_OTHERS = AS_ROOT ?? (isForOthers() ? undefined : "needs a checkout that others may enter");
const GO = "/usr/lib/go-1.19/bin/go";
const SOURCE = "cli/programs/nothing.c";

interface Answer {
  readonly code: number;
  readonly program: { path: string | null; canBeEntered: boolean; way: string | null; because: string | null };
  // deno-lint-ignore no-explicit-any
  readonly all: any;
}

async function diagnosed(args: readonly string[], uid?: number): Promise<Answer> {
  const { code, stdout, stderr } = await mirrord(["diagnose", "-o", "json", ...args], uid === undefined ? {} : { uid });
  assert.equal(stderr, "");
  const all = JSON.parse(stdout);
  await assertFits("diagnose", all);
  return { code, program: all.program, all };
}

testUnless(REASON, "a program that can be entered is said so, and nothing else is asked", async () => {
  const { code, program, all } = await diagnosed(["cat"]);
  assert.deepEqual([code, program.canBeEntered, program.because, all.agent, all.api], [
    0,
    true,
    null,
    undefined,
    undefined,
  ]);
  assert.match(program.path!, /\/cat$/);
  assert.ok(all.here.features.some((it: { name: string }) => /^glibc \d/.test(it.name)));
});

testUnless(REASON, "a static program can be entered, and the way is told", async () => {
  const { code, program } = await diagnosed([await builtProgram(SOURCE, ["-static"])]);
  assert.deepEqual([code, program.canBeEntered, program.way, program.because], [0, true, "supervisor", null]);
});

testUnless(REASON ?? (isThere(GO) ? undefined : `needs ${GO}`), "a Go program goes the same way", async () => {
  const { code, program } = await diagnosed([GO]);
  assert.deepEqual([code, program.canBeEntered, program.way, program.because], [0, true, "supervisor", null]);
});

const OBSTACLES: readonly { what: string; says: RegExp; reason?: string; path: () => Promise<string>; uid?: number }[] =
  [
    {
      what: "a program that is not there",
      says: /no such program in PATH/,
      path: () => Promise.resolve("no-such-program"),
    },
    {
      what: "a set-id program",
      says: /runs with more rights than yours \(set-id or capabilities\): mirrord cannot enter it/,
      path: () => Promise.resolve("/usr/bin/passwd"),
      uid: 65534,
      ...isThere("/usr/bin/passwd") ? {} : { reason: "needs /usr/bin/passwd" },
    },
  ];

for (const { what, says, reason, path, uid } of OBSTACLES) {
  testUnless(
    uid === undefined ? reason ?? REASON : reason ?? AS_OTHERS,
    `${what} is told with one sentence`,
    async () => {
      const { code, program } = await diagnosed([await path()], uid);
      assert.equal(program.canBeEntered, false);
      assert.match(program.because!, says);
      assert.equal(code, 125);
    },
  );
}

testUnless(
  AS_ROOT ?? (isThere("/snap") ? "there are snaps" : undefined),
  "a snap is told with one sentence",
  async () => {
    await Deno.mkdir("/snap/bin", { recursive: true });
    try {
      await Deno.copyFile(await builtProgram(SOURCE), "/snap/bin/app");
      await Deno.chmod("/snap/bin/app", 0o755);
      assert.match((await diagnosed(["/snap/bin/app"])).program.because!, /is a snap, .*: mirrord cannot enter it;/);
    } finally {
      await Deno.remove("/snap", { recursive: true });
    }
  },
);

testUnless(REASON ?? whyNoSandbox(), "an agent tells what it may do, and how long the way to it is", async () => {
  await using sandbox = await startSandbox();
  const flags = ["-t", `process/${sandbox.pid}`, "--rounds", "5"];
  const { code, all } = await diagnosed([...flags, "cat"]);
  assert.equal(code, 0);
  assert.ok(all.agent.features.every((it: { isThere: boolean }) => it.isThere));
  assert.ok(all.agent.capabilities.includes("NET_ADMIN"));
  assert.deepEqual([all.agent.version, all.agent.user], [all.here.version, 0]);
  assert.equal(all.agent.roundTripMs.rounds, 5);
  const { stdout } = await mirrord(["diagnose", ...flags, "latency"]);
  assert.match(stdout, /^ {2}✓ mirroring and stealing \(NET_ADMIN, nftables\)$/m);
  const tables = await sandbox.inNetwork(["sh", "-c", "cat /proc/net/nf_tables 2>/dev/null || true"]);
  assert.doesNotMatch(tables, /mirrord/);
});

testUnless(REASON, "what fails is in the answer, and on no other stream", async () => {
  const { code, all } = await diagnosed(["-t", "process/4194303"]);
  assert.deepEqual([code, all.error.code], [125, "NO_SUCH_PROCESS"]);
});

/** The executable lies where everybody may go. */
function isForOthers(): boolean {
  const places = MIRRORD.split("/").map((_, at, names) => names.slice(0, at + 1).join("/") || "/");
  return isThere(MIRRORD) && places.every((place) => ((Deno.statSync(place).mode ?? 0) & 0o001) !== 0);
}
