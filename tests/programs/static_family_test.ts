/**
 * Processes that a program without a loader begins. Where only whom a process has named may look into it (Yama), each of them
 * names the supervisor before it does anything (native/supervisor/permission.c).
 */
import assert from "node:assert/strict";
import { builtProgram, sandboxTest } from "../support/sandbox_case.ts";

const FILES = { "/app/tree/a.txt": "alpha\n" };
const SETPRIV = "/usr/bin/setpriv";
/** root may look into all; without this it is as everybody. */
const WITHOUT_RIGHT = [SETPRIV, "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"];

function yama(): string | undefined {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/yama/ptrace_scope").trim();
  } catch {
    return undefined;
  }
}

interface Way {
  readonly way: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly before?: readonly string[];
  readonly waits?: string;
}

const WAYS: readonly Way[] = [
  { way: "whom anybody may look into" },
  { way: "that each name the supervisor", env: { MIRRORD_TEST_PTRACE_SCOPE: "1" } },
  {
    way: "that only who is named may look into",
    before: WITHOUT_RIGHT,
    ...yama() === "1" ? {} : { waits: "needs kernel.yama.ptrace_scope=1" },
  },
];

for (const { way, env, before, waits } of WAYS) {
  for (const flags of [["-static"], ["-static-pie"]]) {
    sandboxTest(`a program (${flags[0]}) begins processes ${way} as it does in the target`, {
      files: FILES,
      needs: [SETPRIV],
      ...waits === undefined ? {} : { waits },
    }, async (it) => {
      const program = await builtProgram("programs/static/family.c", flags);
      await Deno.copyFile(program, `${it.sandbox.root}/app/program`);
      const there = await it.inside(["/app/program"]);
      const here = await it.run([...before ?? [], program], env ? { env } : {});
      assert.match(there.stdout, /^forks: 100, .*^threads: 320$/ms);
      assert.equal(here.stdout, there.stdout, here.stderr);
      assert.deepEqual([here.code, here.signal], [there.code, there.signal]);
    });
  }
}
