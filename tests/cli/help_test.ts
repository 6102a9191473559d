/** What is printed when somebody asks: help and version. */
import assert from "node:assert/strict";
import { EXEC_OPTIONS } from "../../src/config/options.ts";
import { assertGolden } from "../support/golden.ts";
import { mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();

for (
  const { args, golden } of [
    { args: ["--help"], golden: "help.txt" },
    { args: ["exec", "--help"], golden: "exec_help.txt" },
    { args: ["agent", "--help"], golden: "agent_help.txt" },
    { args: ["ls", "--help"], golden: "ls_help.txt" },
    { args: ["completions", "--help"], golden: "completions_help.txt" },
    { args: ["diagnose", "--help"], golden: "diagnose_help.txt" },
    { args: ["fix", "--help"], golden: "fix_help.txt" },
    { args: ["port-forward", "--help"], golden: "port_forward_help.txt" },
    { args: ["dump", "--help"], golden: "dump_help.txt" },
    { args: ["console", "--help"], golden: "console_help.txt" },
    { args: ["up", "--help"], golden: "up_help.txt" },
    { args: ["ext", "--help"], golden: "ext_help.txt" },
    { args: ["extract", "--help"], golden: "extract_help.txt" },
    { args: ["version", "--help"], golden: "version_help.txt" },
    { args: ["explain", "--help"], golden: "explain_help.txt" },
    { args: ["verify-config", "--help"], golden: "verify_config_help.txt" },
  ]
) {
  testUnless(REASON, `mirrord ${args.join(" ")} prints what ${golden} holds, on standard output`, async () => {
    const { code, stdout, stderr } = await mirrord(args);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    await assertGolden(golden, stdout);
  });
}

testUnless(REASON, "mirrord help COMMAND prints the same as mirrord COMMAND --help", async () => {
  const [asked, flag] = await Promise.all([mirrord(["help", "exec"]), mirrord(["exec", "-h"])]);
  assert.equal(asked.stdout, flag.stdout);
});

testUnless(REASON, "mirrord --version prints the name and the version", async () => {
  const { code, stdout } = await mirrord(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^mirrord \d+\.\d+\.\d+\n$/);
});

testUnless(REASON, "mirrord without a command prints the help and exits with 2", async () => {
  const { code, stdout } = await mirrord([]);
  assert.equal(code, 2);
  assert.match(stdout, /Commands:\n {2}exec /);
});

Deno.test("each option of exec has one flag, one meaning of its short form, and a default that its kind can read", () => {
  const flags = EXEC_OPTIONS.flatMap((it) => [it.flag, ...it.short ? [it.short] : []]);
  assert.deepEqual(flags, [...new Set(flags)]);
  for (const it of EXEC_OPTIONS) {
    assert.ok(it.value !== undefined || it.sets !== undefined, `${it.flag} says nothing`);
    assert.ok(!it.isValueOptional || it.sets !== undefined, `${it.flag} alone says nothing`);
    assert.match(it.doc, /^[A-Z].*[^.]$/s, `the doc of ${it.flag} is a sentence without full stop`);
  }
});
