/**
 * Judged by difference, in mode write: programs that change a tree of the target, as a plain process inside it and under
 * `mirrord exec` outside, each time on an empty /data/work. What they say, the tree they leave included, must be the same.
 */
import assert from "node:assert/strict";
import { exec, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { differences, endInside, run, runInside, spawnInside } from "../support/inside.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

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
    const target = undo.adopt(spawnInside(sandbox, "/", [...rights, "cat"]), endInside);
    for (const [topic, command] of TOPICS) {
      await renew(sandbox, isNobody);
      const inside = await runInside(sandbox, scratch, [...rights, ...command]);
      await renew(sandbox, isNobody);
      const args = ["-t", `process/${target.pid}`, "--fs-mode", "write", "--", ...rights, ...command];
      const outside = await exec(args, { cwd: scratch, env: { PYTHONDONTWRITEBYTECODE: "1" } });
      if (inside.split("\n").length < 10) throw new Error(`Inside it said only ${inside}`);
      assert.deepEqual(await differences({ inside, outside: outside.stdout + outside.stderr }, []), [], topic);
    }
  });
}

/** An empty directory that is the program's own. */
async function renew({ root }: Sandbox, isNobody: boolean): Promise<void> {
  const work = `${root}/data/work`;
  await run("sh", ["-c", `rm -rf ${work}; mkdir -p ${work}; ${isNobody ? `chown ${USER}:${USER} ${work}` : ":"}`]);
}
