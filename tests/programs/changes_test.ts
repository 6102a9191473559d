/**
 * Judged by difference, in mode write: programs that change a tree of the target, as a plain process inside it and under
 * `mirrord exec` outside, each time on an empty /data/work. What they say, the tree they leave included, must be the same.
 */
import assert from "node:assert/strict";
import { exec, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, SANDBOX_ENVIRONMENT, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

/** Lines that may differ, and why. */
const INTENDED: readonly { topic: string; line: RegExp; why: string }[] = [];

const USER = 4241;
/** Somebody without rights of its own. */
const NOBODY = ["setpriv", "--reuid", `${USER}`, "--regid", `${USER}`, "--groups", "4242"];
const PROGRAMS = new URL("../difference/programs/", import.meta.url).pathname;
const PYTHON = "/usr/bin/python3";

const TOPICS: readonly [topic: string, command: readonly string[]][] = [
  ["changes", [PYTHON, "changes.py"]],
  ["editing", ["bash", "editing.sh"]],
  ["projects", ["bash", "projects.sh"]],
  ["executing", ["bash", "executing.sh"]],
];

for (const isNobody of [false, true]) {
  const who = isNobody ? "a user without rights" : "root";
  const title = `programs of ${who} change a tree from outside as they do inside`;
  testUnless(whyNotBuilt() ?? whyNoSandbox(), title, async () => {
    await using sandbox = await startSandbox();
    const scratch = await Deno.makeTempDir({ prefix: "mirrord-changes-" });
    await using undo = new AsyncDisposableStack();
    undo.defer(() => Deno.remove(scratch, { recursive: true }));
    await run("sh", [
      "-c",
      `cp ${PROGRAMS}/* ${scratch}; chmod 755 ${scratch}; cp -r ${scratch} ${sandbox.root}${scratch}`,
    ]);
    const mount = `mount --rbind /dev ${sandbox.root}/dev; chmod 1777 ${sandbox.root}/tmp`;
    await run("nsenter", ["--target", `${sandbox.pid}`, "--mount", "--", "sh", "-c", mount]);
    const rights = isNobody ? NOBODY : [];
    const target = undo.adopt(spawnInside(sandbox, "/", [...rights, "cat"]), end);
    for (const [topic, command] of TOPICS) {
      await renew(sandbox, isNobody);
      const inside = await outputOf(spawnInside(sandbox, scratch, [...rights, ...command]));
      await renew(sandbox, isNobody);
      const args = ["-t", `process/${target.pid}`, "--fs-mode", "write", "--", ...rights, ...command];
      const outside = await exec(args, { cwd: scratch, env: { PYTHONDONTWRITEBYTECODE: "1" } });
      if (inside.split("\n").length < 10) throw new Error(`Inside it said only ${inside}`);
      assert.deepEqual(await differences(topic, inside, outside.stdout + outside.stderr), [], topic);
    }
  });
}

/** An empty directory that is the program's own. */
async function renew({ root }: Sandbox, isNobody: boolean): Promise<void> {
  const work = `${root}/data/work`;
  await run("sh", ["-c", `rm -rf ${work}; mkdir -p ${work}; ${isNobody ? `chown ${USER}:${USER} ${work}` : ":"}`]);
}

function spawnInside(sandbox: Sandbox, directory: string, command: readonly string[]): Deno.ChildProcess {
  const there = ["--target", String(sandbox.pid), "--net", "--uts", "--mount", "--root", `--wdns=${directory}`, "--"];
  return new Deno.Command("nsenter", {
    args: [...there, ...command],
    clearEnv: true,
    env: { ...SANDBOX_ENVIRONMENT, LC_ALL: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outputOf(child: Deno.ChildProcess): Promise<string> {
  await child.stdin.close();
  const { stdout, stderr } = await child.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

async function end(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await child.stdin.close().catch(() => {});
  await child.output();
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** The lines that only one of them says and that are not meant to differ. */
async function differences(topic: string, inside: string, outside: string): Promise<string[]> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/inside`, inside);
    await Deno.writeTextFile(`${directory}/mirrord`, outside);
    const formats = ["--old-line-format=inside:  %L", "--new-line-format=mirrord: %L", "--unchanged-line-format="];
    const command = new Deno.Command("diff", { args: [...formats, `${directory}/inside`, `${directory}/mirrord`] });
    const lines = new TextDecoder().decode((await command.output()).stdout).split("\n");
    const intended = INTENDED.filter((it) => it.topic === topic);
    return lines.filter((it) => it !== "" && !intended.some(({ line }) => line.test(it.slice(9))));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
