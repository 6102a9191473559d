/** Debuggers and tracers around a program that lives in the target: they start it, stop it, watch it, and it still reads there. */
import assert from "node:assert/strict";
import { sandboxTest } from "../support/sandbox_case.ts";

const FILES = { "/data/web/note.txt": "read in the target\n" };
const CAT = ["/bin/cat", "/data/web/note.txt"];

const TOOLS: readonly [tool: string, command: readonly string[], says: RegExp][] = [
  [
    "gdb",
    ["-q", "-batch", "-ex", "catch syscall exit_group", "-ex", "run", "-ex", "continue", "--args", ...CAT],
    /Catchpoint 1 \(call/,
  ],
  ["strace", ["-f", "-e", "trace=memfd_create", "sh", "-c", CAT.join(" ")], /memfd_create\("mirrord-f-/],
  ["valgrind", ["--error-exitcode=9", ...CAT], /ERROR SUMMARY: 0 errors/],
  ["ltrace", ["-e", "open", ...CAT], /exited \(status 0\)/],
];

for (const [tool, args, says] of TOOLS) {
  const isThere = await Deno.stat(`/usr/bin/${tool}`).then(() => true, () => false);
  sandboxTest(`${tool} runs a program that reads a file of the target`, {
    files: FILES,
    ...isThere ? {} : { waits: `${tool} is not installed` },
  }, async (it) => {
    const { stdout, stderr, code } = await it.run([`/usr/bin/${tool}`, ...args]);
    assert.match(stdout, /read in the target\n/);
    assert.match(stdout + stderr, says);
    assert.equal(code, 0, stderr);
  });
}
