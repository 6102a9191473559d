/** What a supervisor cannot answer is refused, or it is a program that nobody answers: never silently this machine's. */
import assert from "node:assert/strict";
import { builtProgram, sandboxTest } from "../support/sandbox_case.ts";

const BUSYBOX = "/usr/bin/busybox";
const FILES = { "/app/tree/a.txt": "alpha\n" };
/** Below 4 GB, where addresses of 32 bits lead. */
const CORNERS = ["-static", "-no-pie"];
const NARROW = ["-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector"];

sandboxTest("calls that cannot be told are refused: int 0x80, x32, io_uring, what is newer; a directory is not read", {
  files: FILES,
}, async (it) => {
  const { stdout } = await it.run([await builtProgram("programs/static/corners.c", CORNERS), "calls"]);
  assert.deepEqual(stdout.split("\n"), [
    "narrow: Function not implemented",
    ...["x32", "ring", "attributes"].map((call) => `${call}: -1 Function not implemented`),
    "handle: -1 Operation not supported",
    "directory: -1 Bad file descriptor",
    "entries: 3",
    "",
  ]);
});

sandboxTest("a program of 32 bits is nobody's to answer; what it starts is", {
  files: FILES,
  needs: [BUSYBOX],
}, async (it) => {
  const narrow = await builtProgram("programs/static/narrow.c", NARROW);
  const script = `${narrow}; echo $?; exec ${narrow} ${BUSYBOX} cat /app/tree/a.txt`;
  const { stdout, stderr } = await it.run([BUSYBOX, "sh", "-c", script]);
  assert.equal(stdout, "narrow: here\n3\nnarrow: here\nalpha\n", stderr);
});

/** Nobody goes beyond the limit that way, root neither. */
const WITHOUT_RIGHT = ["/usr/bin/setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"];

for (const { limit, least } of [{ limit: 40, least: 4_000 }, { limit: 16, least: 1 }]) {
  sandboxTest(`hundreds of threads beside ${limit} descriptors are answered or refused, and never here`, {
    files: FILES,
    needs: ["/usr/bin/setpriv"],
  }, async (it) => {
    const program = await builtProgram("programs/static/corners.c", CORNERS);
    const limited = ["sh", "-c", `ulimit -n ${limit}; exec "$@"`, "sh", ...WITHOUT_RIGHT, program];
    const { stdout, stderr } = await it.run(limited);
    const [, right, missing, refused] = /^right: (\d+), missing: (\d+), refused: (\d+)\n$/.exec(stdout) ?? [];
    assert.equal(missing, "0", stdout + stderr);
    assert.equal(Number(right) + Number(refused), 4_000);
    assert.ok(Number(right) >= least, stdout);
  });
}
