/** What is printed for programs fits its schema; errors are objects then; what others have is answered by a sentence. */
import assert from "node:assert/strict";
import { assertFits } from "../support/json_schema.ts";
import { exec, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();

const ANSWERS: readonly { args: string[]; schema: string; code?: number; stdin?: string }[] = [
  { args: ["version", "-o", "json"], schema: "version" },
  { args: ["explain", "-o", "json", "/etc/hosts"], schema: "explain" },
  { args: ["explain", "/app/x", "--json"], schema: "explain" },
  { args: ["explain", "-ojson", "db.shop:5432"], schema: "explain" },
  { args: ["explain", "--output=json", "--env", "PATH"], schema: "explain" },
  { args: ["verify-config", "-"], schema: "verify_config", stdin: '{ "target": "pod/web" }' },
  { args: ["verify-config", "--resolved", "-"], schema: "verify_config", stdin: "{}" },
  { args: ["verify-config", "-"], schema: "verify_config", stdin: '{ "targte": 1 }', code: 1 },
];

for (const { args, schema, code = 0, stdin = "" } of ANSWERS) {
  testUnless(REASON, `mirrord ${args.join(" ")} of "${stdin}" prints what ${schema}.json has`, async () => {
    const ended = await mirrord(args, { stdin });
    assert.deepEqual({ code: ended.code, stderr: ended.stderr }, { code, stderr: "" });
    await assertFits(schema, JSON.parse(ended.stdout));
  });
}

const FAILURES: readonly { args: string[]; code: string; env?: Record<string, string>; exit?: number }[] = [
  { args: ["ls", "-o", "json", "--context", "nowhere"], code: "KUBECONFIG_MISSING", exit: 125 },
  { args: ["ls", "-ojson", "more"], code: "USAGE" },
  { args: ["ls", "--nmaespace", "x", "--output=json"], code: "USAGE" },
  { args: ["explain", "--json"], code: "USAGE" },
  { args: ["version", "-o=json", "now"], code: "USAGE" },
  { args: ["diagnose", "-o", "json", "--rounds", "0"], code: "USAGE" },
  { args: ["verify-config", "-o", "json"], code: "USAGE" },
  { args: ["dump", "-o", "json"], code: "OPTIONS_CONFLICT" },
  { args: ["ext", "--fs-mode", "x"], code: "VALUE_INVALID" },
  { args: ["exec", "-t", "pod", "true"], code: "TARGET_INVALID", env: { MIRRORD_PROGRESS_MODE: "json" } },
  { args: ["port-forward"], code: "USAGE", env: { MIRRORD_PROGRESS_MODE: "json" } },
];

for (const { args, code, env = {}, exit = 2 } of FAILURES) {
  const typed = [...Object.entries(env).map((it) => it.join("=")), "mirrord", ...args].join(" ");
  testUnless(REASON, `"${typed}" fails with one object on standard error`, async () => {
    const ended = await mirrord(args, { env: { KUBECONFIG: "/no/such/file", ...env } });
    const error = JSON.parse(ended.stderr);
    await assertFits("error", error);
    assert.deepEqual([error.code, error.exit_code, ended.code, ended.stdout], [code, exit, exit, ""]);
  });
}

testUnless(REASON, "errors are sentences where -o json is the program's, or a value", async () => {
  const { stderr, code } = await exec(["-t", "planet/x", "ls", "-o", "json"]);
  assert.match(stderr, /^error: Cannot use target/);
  assert.equal(code, 2);
  assert.match((await mirrord(["ls", "-o", "xml"])).stderr, /^error: Cannot print/);
});

testUnless(REASON, "lines of progress are objects, and so is what fails behind them", async () => {
  const ended = await mirrord(["exec", "-t", "process/4194303", "true"], { env: { MIRRORD_PROGRESS_MODE: "json" } });
  const lines = ended.stderr.trim().split("\n").map((it) => JSON.parse(it));
  await assertFits("error", lines.at(-1));
  for (const line of lines.slice(0, -1)) await assertFits("progress", line);
  assert.deepEqual(lines.at(-2), { type: "FinishedTask", name: "mirrord exec", success: false, message: null });
});

const OTHERS = [
  ...[
    "container",
    "container-ext",
    "ui",
    "wizard",
    "session",
    "sessions",
    "kill",
    "chaos",
    "vpn",
    "operator",
    "ci",
  ],
  ...["preview", "queues", "qs", "db-branches", "subscribe", "teams", "newsletter", "attach"],
];

testUnless(
  REASON,
  "commands that this tool does not have are answered by one sentence and what to use, exit code 2",
  async () => {
    const answers = await Promise.all(OTHERS.map((name) => mirrord([name, "status", "--all", "-o", "json"])));
    for (const [at, { code, stdout, stderr }] of answers.entries()) {
      assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
      const sentence = `^error: Cannot run "mirrord ${
        OTHERS[at]
      }": .*\\n hint: .* {3}\\(code COMMAND_UNSUPPORTED\\)\\n$`;
      assert.match(stderr, new RegExp(sentence));
    }
    const { stdout } = await mirrord(["--help"]);
    assert.doesNotMatch(stdout, /^ {2}(container|operator) /m);
  },
);

// Row E18
testUnless(REASON, "verify-config with a path and --ide, with a path, with --ide alone, with nothing", async () => {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, '{ "feature": { "fs": "local" } }');
    for (const args of [["--ide", file], [file, "--ide"], [file]]) {
      const { code, stdout } = await mirrord(["verify-config", ...args]);
      const answer = JSON.parse(stdout);
      await assertFits("verify_config", answer);
      assert.deepEqual([code, answer.type, answer.config.path], [0, "Success", "targetless"]);
      assert.ok(answer.compatible_target_types.includes("statefulset"));
    }
    for (const args of [["--ide"], []]) {
      const { code, stdout, stderr } = await mirrord(["verify-config", ...args]);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /^error: Cannot verify: no file was named\n hint: mirrord verify-config/);
    }
  } finally {
    await Deno.remove(file);
  }
});

testUnless(REASON, "verify-config -o text says the same to people", async () => {
  const good = await mirrord(["verify-config", "-o", "text", "-"], { stdin: '{ "api": true }' });
  assert.deepEqual([good.code, good.stdout], [
    0,
    '- is right\n  warning: "api" in standard input has no effect here\n',
  ]);
  const bad = await mirrord(["verify-config", "-", "-o", "text"], { stdin: '{ "targte": true }' });
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /^- is not right:\n {2}Cannot use "targte" in standard input: there is no such key/);
});
