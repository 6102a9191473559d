/** Completion as a shell does it: the script is sourced by bash, and asked for what comes next. */
import assert from "node:assert/strict";
import { MIRRORD, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();

/** What bash would offer for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const script = `
    PATH=${MIRRORD.slice(0, MIRRORD.lastIndexOf("/"))}:$PATH
    source <(mirrord completions bash)
    compopt() { :; }
    COMP_WORDS=(mirrord "$@") COMP_CWORD=$#
    _mirrord
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", script, "bash", ...words],
    cwd: "/usr/share",
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).split("\n").filter((it) => it !== "");
}

testUnless(REASON, "bash completes commands, options, values, programs and files of mirrord", async () => {
  assert.deepEqual(await offered("verify"), ["verify-config"]);
  assert.deepEqual(await offered("exec", "--fs-m"), ["--fs-mode"]);
  assert.deepEqual(await offered("exec", "--fs-mode", "=", "wr"), ["write"]);
  assert.ok((await offered("exec", "bas")).includes("bash"));
  assert.deepEqual(await offered("exec", "cat", "/etc/hostna"), ["/etc/hostname"]);
});

testUnless(REASON, "completions are printed for the shells that there are, and refused for others", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await mirrord(["completions", shell]);
    assert.equal(code, 0);
    assert.match(stdout, /mirrord __complete/);
  }
  for (const args of [[], ["tcsh"], ["bash", "zsh"]]) {
    const { code, stderr } = await mirrord(["completions", ...args]);
    assert.equal(code, 2);
    assert.match(stderr, /Cannot complete in/);
  }
});
