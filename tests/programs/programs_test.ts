/**
 * Real programs end to end: each script is run by a shell as a plain process inside the target and under `mirrord exec` outside,
 * and both must say the same; one that writes does so in a directory each, which must hold the same afterwards.
 */
import assert from "node:assert/strict";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";
import { CASES, type ProgramCase } from "./cases.ts";
import { isThere } from "../../src/base/is_there.ts";

const HERE = new URL("./", import.meta.url).pathname;

sandboxTest("real programs say the same inside a target and under mirrord", {}, async (it, context) => {
  await furnish(it);
  for (const one of CASES) {
    const missing = one.needs.filter((name) => !isThere(`/usr/bin/${name}`));
    const reason = one.waits ?? (missing.length > 0 ? `needs ${missing.join(", ")}` : undefined);
    await context.step({
      name: reason === undefined ? one.name : `${one.name} (skipped: ${reason})`,
      ignore: reason !== undefined,
      fn: () => one.writes ? judgeWriting(it, one) : judgeReading(it, one),
    });
  }
});

/** What the target needs of /etc, the tree at its /data, our programs at both places under one name. */
async function furnish({ sandbox, here }: Case): Promise<void> {
  const script = `sh ${HERE}fixture.sh ${sandbox.root}/data &&
    cp ${HERE}*.py ${HERE}*.mjs ${HERE}*.java ${here}/ && chmod 755 ${here} && mkdir -p ${sandbox.root}${here} && cp ${here}/* ${sandbox.root}${here}/ &&
    cp -r /etc/alternatives /etc/group /etc/services /etc/ssl ${sandbox.root}/etc/ && cp -rL /etc/java* ${sandbox.root}/etc/ 2>/dev/null;
    nsenter --target ${sandbox.pid} --mount -- mount --rbind /dev ${sandbox.root}/dev`;
  const { success, stderr } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Compilers and git are left alone by default where they do not work in the target's tree: here they are to be entered. */
const ENTERED = { PYTHONDONTWRITEBYTECODE: "1", MIRRORD_SKIP_BUILD_TOOLS: "false" };

async function judgeReading(it: Case, { script, isSorted }: ProgramCase): Promise<void> {
  const command = ["/usr/bin/sh", "-c", script];
  const inside = await it.inside(command, it.here);
  const outside = await it.run(command, { env: ENTERED });
  const order = (text: string) => isSorted ? text.split("\n").sort().join("\n") : text;
  assert.equal(order(outside.stdout), order(inside.stdout));
  assert.deepEqual([outside.code, outside.stderr], [inside.code, inside.stderr]);
  assert.notEqual(inside.stdout, "", inside.stderr);
}

async function judgeWriting(it: Case, { script }: ProgramCase): Promise<void> {
  const said: string[] = [];
  const left: string[] = [];
  for (const where of ["/data/inside", "/data/outside"]) {
    await Deno.remove(`${it.sandbox.root}${where}`, { recursive: true }).catch(() => {});
    await Deno.mkdir(`${it.sandbox.root}${where}`);
    const command = ["/usr/bin/sh", "-c", `W=${where}; ${script}`];
    const { code, stdout, stderr } =
      await (where === "/data/inside" ? it.inside(command, it.here) : it.write(command, { env: ENTERED }));
    said.push(`${stdout}${stderr}= ${code}`.replaceAll(where, "W"));
    const look =
      `cd ${where} && find . -printf '%P %y %m %l\\n' | sort && find . -type f | sort | xargs -d '\\n' sha256sum`;
    left.push((await it.inside(["/usr/bin/sh", "-c", look])).stdout);
  }
  assert.equal(said[1], said[0]);
  assert.equal(left[1], left[0]);
}
