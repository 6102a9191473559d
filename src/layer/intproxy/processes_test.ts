import assert from "node:assert/strict";
import { processState, RunProcesses } from "./processes.ts";
import { eventually } from "../../../tests/support/eventually.ts";

/** A shell that lives until its stdin is closed. */
function startShell(script: string): { pid: number; end(): Promise<void> } {
  const child = new Deno.Command("sh", { args: ["-c", script], stdin: "piped", stdout: "null" }).spawn();
  return {
    pid: child.pid,
    async end() {
      await child.stdin.close();
      await child.status;
    },
  };
}

Deno.test("a process of the run lives until it has ended, and is then forgotten", async () => {
  const processes = new RunProcesses();
  const shell = startShell("read line");
  processes.add(shell.pid);
  processes.add(999_999_999);
  assert.deepEqual(processes.living(), [shell.pid]);
  await shell.end();
  assert.deepEqual(processes.living(), []);
});

Deno.test("a zombie has ended", async () => {
  // The shell becomes sleep, which never asks after the child it inherits.
  const shell = startShell("sh -c 'echo $$; exit 0' & exec cat");
  const processes = new RunProcesses();
  processes.add(shell.pid);
  const zombie = () => {
    for (const entry of Deno.readDirSync("/proc")) {
      const state = /^\d+$/.test(entry.name) ? processState(Number(entry.name)) : null;
      if (state?.parent === shell.pid && state.isZombie) return Number(entry.name);
    }
    return 0;
  };
  await eventually(() => zombie() !== 0);
  assert.ok(!processes.family().has(zombie()));
  await shell.end();
});

Deno.test("the family of a run holds children that never showed themselves", async () => {
  const shell = startShell("sh -c 'read line; :' & cat | cat; wait");
  const processes = new RunProcesses();
  processes.add(shell.pid);
  await eventually(() => processes.family().size >= 3);
  assert.ok(!processes.family().has(Deno.pid));
  await shell.end();
});
