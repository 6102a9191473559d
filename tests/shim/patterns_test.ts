/**
 * The user's patterns and the built-in rules against each other, in every mode, for reading and writing: conformance
 * 9.3, "layer file filter". The shim itself is asked, as `mirrord explain` does.
 */
import assert from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { type PathRules, pathRulesTable } from "../../src/config/path_rules.ts";
import { type Outcome, PathJudge, type Rule, RULES } from "../../src/layer/explain.ts";
import { builtShim, type Settings, settingsOf } from "../support/under_shim.ts";
import { startUnderShim } from "../support/under_shim.ts";
import { joinNul } from "../../src/base/bytes.ts";

const MODES = ["local", "localwithoverrides", "read", "write"] as const;
type Mode = typeof MODES[number];

const RULES_OF_TEST: PathRules = {
  notFound: [String.raw`\.not_found$`],
  readWrite: [String.raw`\.read_write$`],
  readOnly: [String.raw`\.read_only$`],
  local: [String.raw`\.local$`, "^/there/"],
};

async function settings(mode: Mode, changes: Partial<Settings> = {}): Promise<Settings> {
  return {
    ...settingsOf("/run/session", await builtShim()),
    fsMode: MODES.indexOf(mode),
    home: utf8("/srv/me"),
    launchDirectory: utf8("/srv/project"),
    temporaryDirectory: utf8("/srv/scratch"),
    program: utf8("/srv/bin/program"),
    pathRules: pathRulesTable(RULES_OF_TEST),
    ...changes,
  };
}

interface Row {
  readonly path: string;
  /** By mode: local, localwithoverrides, read, write. */
  readonly reading: readonly [Outcome, Outcome, Outcome, Outcome];
  readonly writing: readonly [Outcome, Outcome, Outcome, Outcome];
}

const L: Outcome = "local";
const R: Outcome = "remote";
const A: Outcome = "absent";

/** 11 kinds of path, 4 modes, reading and writing: 88 decisions. */
const MATRIX: readonly Row[] = [
  { path: "/data/plain", reading: [L, L, R, R], writing: [L, L, L, R] },
  { path: "/data/x.read_write", reading: [L, R, R, R], writing: [L, R, R, R] },
  { path: "/data/x.read_only", reading: [L, R, R, R], writing: [L, L, L, L] },
  { path: "/data/x.local", reading: [L, L, L, L], writing: [L, L, L, L] },
  { path: "/data/x.not_found", reading: [L, A, A, A], writing: [L, A, A, A] },
  { path: "/usr/built-in", reading: [L, L, L, L], writing: [L, L, L, L] },
  { path: "/usr/x.read_write", reading: [L, R, R, R], writing: [L, R, R, R] },
  { path: "/usr/x.read_only", reading: [L, R, R, R], writing: [L, L, L, L] },
  { path: "/etc/resolv.conf", reading: [L, R, R, R], writing: [L, L, L, L] },
  { path: "/srv/me/.config/gcloud/x", reading: [L, A, A, A], writing: [L, A, A, A] },
  { path: "/srv/elsewhere/.config/gcloud/x", reading: [L, L, R, R], writing: [L, L, L, R] },
];

for (const { path, reading, writing } of MATRIX) {
  for (const [index, mode] of MODES.entries()) {
    // Row U01
    Deno.test(`${path} in mode ${mode} is ${reading[index]} for reading and ${writing[index]} for writing`, async () => {
      using judge = new PathJudge(await builtShim());
      const given = await settings(mode);
      assert.equal(judge.decide(given, path, false).outcome, reading[index]);
      assert.equal(judge.decide(given, path, true).outcome, writing[index]);
    });
  }
}

/** In the order of reference 3.5: each list decides before those that follow it, and all before what is built in. */
for (
  const { lists, outcome, rule } of [
    { lists: ["notFound", "readWrite", "readOnly", "local"], outcome: A, rule: "not-found-pattern" },
    { lists: ["readWrite", "readOnly", "local"], outcome: R, rule: "read-write-pattern" },
    { lists: ["readOnly", "local"], outcome: R, rule: "read-only-pattern" },
    { lists: ["local"], outcome: L, rule: "local-pattern" },
    { lists: [], outcome: A, rule: "user-credentials" },
  ] as const
) {
  Deno.test(`a path that ${lists.join(", ") || "no list"} would have is decided by ${rule}`, async () => {
    using judge = new PathJudge(await builtShim());
    const none: PathRules = { notFound: [], readWrite: [], readOnly: [], local: [] };
    const rules = { ...none, ...Object.fromEntries(lists.map((it) => [it, ["/config$"]])) };
    const given = await settings("read", { pathRules: pathRulesTable(rules) });
    assert.deepEqual(judge.decide(given, "/srv/me/.kube/config", false), {
      outcome,
      rule,
      remotePath: outcome === R ? "/srv/me/.kube/config" : undefined,
    });
  });
}

for (
  const { path, isWrite, rule } of [
    { path: "/volume/x.py", isWrite: false, rule: "mount" },
    { path: "/volume/x.local", isWrite: false, rule: "local-pattern" },
    { path: "/volume/x", isWrite: true, rule: "write" },
    { path: "/etc/hosts", isWrite: false, rule: "target-identity" },
    { path: "/", isWrite: false, rule: "root" },
    { path: "/srv/project/x", isWrite: false, rule: "launch-directory" },
    { path: "/srv/scratch/x", isWrite: false, rule: "temporary-directory" },
    { path: "/etc/passwd", isWrite: false, rule: "system-directory" },
    { path: "/srv/bin/program", isWrite: false, rule: "program" },
    { path: "/srv/me/.bashrc", isWrite: false, rule: "home-dotfile" },
    { path: "/x.py", isWrite: false, rule: "code" },
    { path: "/data/x", isWrite: false, rule: "mode-remote" },
    { path: "/there/", isWrite: false, rule: "local-pattern" },
    { path: "/there", isWrite: false, rule: "mode-remote" },
    { path: "/DATA/X.LOCAL", isWrite: false, rule: "local-pattern" },
    { path: "/data/../usr/x", isWrite: false, rule: "system-directory" },
  ] as const satisfies readonly { path: string; isWrite: boolean; rule: Rule }[]
) {
  Deno.test(`${path} is decided by the rule ${rule}${isWrite ? " for writing" : ""}`, async () => {
    using judge = new PathJudge(await builtShim());
    const given = await settings("read", { mounts: joinNul([utf8("/volume")]) });
    assert.equal(judge.decide(given, path, isWrite).rule, rule);
  });
}

for (
  const { path, isWrite, asked } of [
    { path: "/proc/net/tcp", isWrite: false, asked: "/proc/net/tcp" },
    { path: "/proc/self/net", isWrite: false, asked: "/proc/net/" },
    { path: "/proc/thread-self/net/", isWrite: false, asked: "/proc/net/" },
    { path: "/proc/self/task/1/net/stat", isWrite: false, asked: "/proc/net/stat" },
    { path: `/proc/${Deno.pid}/net/route`, isWrite: false, asked: "/proc/net/route" },
    { path: "/sys/class/net/eth0/address", isWrite: false, asked: "/sys/class/net/eth0/address" },
    { path: "/proc/net/tcp", isWrite: true, asked: undefined },
    { path: "/proc/network/tcp", isWrite: false, asked: undefined },
    { path: "/proc/self/netx", isWrite: false, asked: undefined },
    { path: "/proc/4194305/net/route", isWrite: false, asked: undefined },
    { path: "/proc/self/status", isWrite: false, asked: undefined },
    { path: "/sys/class/net.x", isWrite: false, asked: undefined },
  ]
) {
  const what = `${path} is ${asked ? "the target's" : "this machine's"}${isWrite ? " for writing" : ""}`;
  Deno.test(`${what} where outgoing connections are the target's, whatever feature.fs says`, async () => {
    using judge = new PathJudge(await builtShim());
    for (const mode of ["local", "read"] as const) {
      const given = await settings(mode, { isTcpRemote: true });
      const { rule, remotePath } = judge.decide(given, path, isWrite);
      assert.equal(remotePath, asked);
      if (asked) assert.equal(rule, "target-network");
    }
    const alone = judge.decide(await settings("read", { isTcpRemote: false }), path, isWrite);
    assert.deepEqual([alone.outcome, alone.remotePath], [L, undefined]);
  });
}

Deno.test("the rules have names in the order of the shim", async () => {
  const header = await Deno.readTextFile(new URL("../../native/paths.h", import.meta.url));
  const names = [.../^enum rule \{$.*?^\};$/ms.exec(header)![0].matchAll(/^\tRULE_(\w+),/gm)].map(([, name]) => name!);
  assert.deepEqual(names, [...RULES.map((it) => it.toUpperCase().replaceAll("-", "_")), "COUNT"]);
});

Deno.test("settings with a table that is none leave the user's patterns out", async () => {
  using judge = new PathJudge(await builtShim());
  const table = pathRulesTable(RULES_OF_TEST);
  const tooShort = table.slice(0, -1);
  const wild = table.slice().fill(0xff, 600);
  for (const pathRules of [tooShort, wild, new Uint8Array(5), new Uint8Array(300).fill(255)]) {
    assert.equal(judge.decide(await settings("read", { pathRules }), "/data/x.local", false).rule, "mode-remote");
  }
});

Deno.test("patterns reach into a working directory that is local otherwise", async () => {
  const cases = [
    { patterns: ["^/tmp/there/"], asked: ["/tmp/there/x"] },
    { patterns: ["there"], asked: ["/tmp/there/x"] },
    { patterns: ["^/data"], asked: [] },
  ];
  for (const { patterns, asked } of cases) {
    const rules: PathRules = { notFound: [], readWrite: [], readOnly: patterns, local: [] };
    await using app = await startUnderShim("files", ["access-all", "x", "there/x"], {
      settings: { ...await settings("read"), pathRules: pathRulesTable(rules) },
      answer: (request) => request.type === "Access" ? { type: "Done", errno: 0 } : undefined,
      cwd: "/tmp",
    });
    await app.output();
    const paths = app.frames.flatMap((it) => it.type === "Access" ? [new TextDecoder().decode(it.path)] : []);
    assert.deepEqual(paths, asked, patterns.join());
  }
});
