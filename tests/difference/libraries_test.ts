/** Judged by difference, as difference_test.ts: libraries that only the target has. */
import assert from "node:assert/strict";
import { differences, endInside, run, spawnInside } from "../support/inside.ts";
import { exec } from "../support/mirrord.ts";
import { builtProgram, sandboxTest } from "../support/sandbox_case.ts";

const FIXTURE = new URL("./programs/libraries_fixture.sh", import.meta.url).pathname;

const START = new URL("./programs/libraries_start.c", import.meta.url).pathname;

sandboxTest("programs load the target's libraries, with what these need, as inside", {}, async (it) => {
  const program = await builtProgram("difference/programs/libraries.c");
  await run("sh", [FIXTURE, `${it.sandbox.root}/data/libs`, "/data/libs", START]);
  await Deno.copyFile(program, `${it.sandbox.root}/tmp/program`);
  const environment = "LD_LIBRARY_PATH=/nowhere:/data/libs/listed";
  const inside = await it.inside(["env", environment, "/tmp/program", "/data/libs"]);
  const outside = await it.run(["env", environment, program, "/data/libs"]);
  const [there, here] = [inside, outside].map(({ stdout, stderr, code }) => `${stdout}${stderr}code ${code}\n`);
  await Deno.writeTextFile("/tmp/libs.inside", there!);
  assert.ok(there!.split("\n").length > 100 && inside.code === 0, `inside it said only ${there}`);
  assert.deepEqual(await differences({ inside: there!, outside: here! }, []), []);
});

/** Run by a shell; the programs in `here` are this machine's. */
const starts = (here: string) => [
  "/data/libs/bin/beside",
  "cd /data/libs/bin; ./old",
  "/data/libs/bin/beside /data/libs/bin/knows sh -c 'exec /data/libs/bin/old /bin/echo over'",
  "/data/libs/bin/told 2>&1",
  "LD_LIBRARY_PATH=/nowhere:/data/libs/lib:/data/libs/plain:/data/libs/rpath /data/libs/bin/told /data/libs/bin/beside",
  `${here}/knows /bin/true`,
  `${here}/told 2>&1`,
  `export LD_LIBRARY_PATH=/data/libs/lib:/data/libs/plain:/data/libs/rpath; ${here}/told ${here}/knows env true; echo $LD_LIBRARY_PATH`,
  `/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL("${here}/absolute.so").value())'`,
  `LD_LIBRARY_PATH=/data/libs/lib:/data/libs/plain:/data/libs/rpath /usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL("${here}/plug.so").value())'`,
  "/usr/bin/python3 -c 'import subprocess as s; print(s.run([\"/data/libs/bin/beside\"], capture_output=True, text=True).stdout)'",
];

sandboxTest("programs start with the target's libraries, wherever they lie themselves, as inside", {}, async (it) => {
  const { root } = it.sandbox;
  await run("sh", [FIXTURE, `${root}/data/libs`, "/data/libs", START]);
  const libs = `${root}/data/libs`;
  await run("sh", ["-c", `cp ${libs}/bin/[kt]* ${libs}/rpath/[ap]*.so ${it.here}; cp -r ${it.here} ${root}/tmp/`]);
  const script = ["sh", "-c", starts(it.here).map((it) => `(${it}); echo ended $?`).join("\n")];
  const [inside, outside] = [await it.inside(script), await it.run(script)];
  assert.ok(inside.stdout.split("\n").length > 50, `inside it said only ${inside.stdout}${inside.stderr}`);
  assert.deepEqual(await differences({ inside: inside.stdout, outside: outside.stdout + outside.stderr }, []), []);
});

sandboxTest("the program that is typed has the target's libraries, and its LD_LIBRARY_PATH", {}, async (it) => {
  const { sandbox: { root }, sandbox, here } = it;
  await run("sh", [FIXTURE, `${root}/data/libs`, "/data/libs", START]);
  await run("sh", ["-c", `cp ${root}/data/libs/bin/[kt]* ${here}; cp -r ${here} ${root}/tmp/`]);
  const variable = "LD_LIBRARY_PATH=/usr/lib:/data/libs/lib:/data/libs/plain:/data/libs/rpath:/data/libs/listed";
  const target = spawnInside(sandbox, "/", ["env", variable, "cat"]);
  try {
    await spokenBy(target, "ready");
    const script = "import ctypes; print(ctypes.CDLL('liblisted.so').listed(), ctypes.CDLL('libmiddle.so').middle())";
    for (const command of [[`${here}/knows`, `${here}/told`], [`${here}/told`], ["/usr/bin/python3", "-c", script]]) {
      const inside = await it.inside(["env", variable, ...command], here);
      const outside = await exec(["-t", `process/${target.pid}`, "--", ...command], { cwd: here });
      assert.deepEqual(outside, inside);
      assert.equal(outside.stderr, "");
    }
  } finally {
    await endInside(target);
  }
});

const BUILDS = `mkdir -p /data/work; cd /data/work
echo 'int number(int x) { return x + 1; }' >number.c
echo 'int number(int); int printf(const char *, ...); int main() { printf("%d\\n", number(41)); }' >main.c
gcc -shared -fPIC -o libnumber.so number.c && gcc -o main main.c -L. -lnumber -Wl,-rpath,'$ORIGIN' && ./main
gcc -o told main.c -L. -lnumber && LD_LIBRARY_PATH=. ./told; LD_LIBRARY_PATH=/none:/data/work ./told
echo 'int number(int x) { return x + 2; }' >number.c; gcc -shared -fPIC -o libnumber.so number.c; ./main
/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL("./libnumber.so").number(1))'; env | grep -c LD_LIBRARY_PATH
ls -a $MIRRORD_SESSION_DIR | grep -c libraries`;

sandboxTest("a library and a program that were just built at the target are run", {}, async (it) => {
  const { stdout, stderr } = await it.write(["bash", "-c", BUILDS]);
  assert.deepEqual([stdout, stderr], ["42\n42\n42\n43\n3\n0\n0\n", ""]);
});

/** Its environment is its own when it answers. */
async function spokenBy(child: Deno.ChildProcess, word: string): Promise<void> {
  const [writer, reader] = [child.stdin.getWriter(), child.stdout.getReader()];
  await writer.write(new TextEncoder().encode(word));
  await reader.read();
  writer.releaseLock();
  reader.releaseLock();
}
