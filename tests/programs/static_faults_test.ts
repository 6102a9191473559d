/** What goes wrong while a supervisor answers for a program: it ends as a program with the shim would, and nothing hangs. */
import assert from "node:assert/strict";
import { spawnMirrord } from "../support/mirrord.ts";
import { eventually, PATIENCE_MS } from "../support/eventually.ts";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";

const BUSYBOX = "/usr/bin/busybox";
const NEEDS = { needs: [BUSYBOX] };

/** Processes whose command line holds all of `words`, and whose environment names this directory, if one is given. */
function processes(words: readonly string[], directory = ""): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => {
    try {
      const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return words.every((word) => command.includes(word)) &&
        Deno.readTextFileSync(`/proc/${pid}/environ`).includes(directory);
    } catch {
      return false;
    }
  });
}

function kill(pids: readonly number[]): void {
  assert.notEqual(pids.length, 0, "nothing to kill");
  for (const pid of pids) Deno.kill(pid, "SIGKILL");
}

interface Ending {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a shell script that says a line when it is under way, and calls `fault` then; resolves with how it ended. */
async function faultWhile(it: Case, script: string, fault: () => void): Promise<Ending> {
  const flags = ["exec", "-t", `process/${it.sandbox.pid}`, "--fs-mode=write", "--"];
  const env = { MIRRORD_PROGRESS_MODE: "off", XDG_RUNTIME_DIR: it.here };
  const child = spawnMirrord([...flags, BUSYBOX, "sh", "-c", script], { env, cwd: "/tmp" });
  await child.stdin.close();
  const [watched, rest] = child.stdout.tee();
  const reader = watched.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /^under way/);
  fault();
  const deadline = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const drained = (async () => {
    while (!(await reader.read()).done);
  })();
  const texts = [new Response(rest).text(), new Response(child.stderr).text()] as const;
  const [stdout, stderr, { code, signal }] = await Promise.all([...texts, child.status]);
  await drained;
  clearTimeout(deadline);
  return { code, signal, stdout, stderr };
}

const supervisorOf = (it: Case) => processes(["mirrord-supervisor", BUSYBOX], it.here);
const LOOP = "echo under way; while cat /app/config.json >/tmp/mirrord-static-loop; do :; done; echo over";

sandboxTest("an agent that dies ends a program under a supervisor, with one sentence", NEEDS, async (it) => {
  // busybox runs cat within the shell: with its stderr elsewhere the shell could not be told anything.
  const script = "echo under way; while :; do cat /app/config.json >/dev/null; sleep 0.1; done";
  const agent = () => kill(processes(["agent", "--pid", String(it.sandbox.pid)]));
  const { signal, stderr } = await faultWhile(it, script, agent);
  assert.equal(signal, "SIGTERM");
  assert.match(stderr, /^mirrord: .*agent/m);
  await eventually(() => supervisorOf(it).length === 0);
});

sandboxTest("an intproxy that dies fails the next call of the program", NEEDS, async (it) => {
  const { stdout } = await faultWhile(it, LOOP, () => kill(processes(["intproxy"], it.here)));
  assert.match(stdout, /over$/m);
  await eventually(() => supervisorOf(it).length === 0);
});

sandboxTest(
  "a supervisor that dies fails the calls that it would answer: nothing becomes this machine's",
  NEEDS,
  async (it) => {
    const script = "echo under way; while cat /app/config.json; do :; done; ls /; echo over";
    const { stdout } = await faultWhile(it, script, () => kill(supervisorOf(it)));
    assert.match(stdout, /^over$/m);
    assert.doesNotMatch(stdout, /^bin$/m);
    await eventually(() => supervisorOf(it).length === 0);
  },
);

sandboxTest(
  "a program that is killed takes its supervisor along, and its children are answered still",
  NEEDS,
  async (it) => {
    const script = `(sleep 0.3; cat /app/config.json; echo last) & echo under way; kill -KILL $$`;
    const { signal, stdout } = await faultWhile(it, script, () => {});
    assert.equal(signal, "SIGKILL");
    assert.match(stdout, /blue.*\nlast$/m);
    await eventually(() => supervisorOf(it).length === 0);
  },
);
