/** Programs that no loader starts: a supervisor answers their system calls (native/supervisor). */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { sandboxTest } from "../support/sandbox_case.ts";

const BUSYBOX = "/usr/bin/busybox";
const NEEDS = { needs: [BUSYBOX] };

const FILES = {
  "/app/tree/a.txt": "alpha\n",
  "/app/tree/b/c.txt": "gamma\n",
  "/app/big": "0123456789abcdef".repeat(3 << 16),
};

/** Lines that a program prints the same in the target and here. */
const SCRIPT = `
cat /app/config.json /app/tree/a.txt
ls -lan /app/tree /app/tree/b
find /app/tree | sort
stat -c '%n %s %a %F %i' /app/tree /app/tree/a.txt
cat /app/none
md5sum /app/big
tail -c 5 /app/big
wc -c /app/big
readlink -f /app/tree/b/../a.txt
test -r /app/tree/a.txt && test -d /app/tree && ! test -e /app/nothing && echo tested
grep -r gamma /app/tree
hostname
uname -n
cat /etc/hosts
for i in 1 2 3; do cat /app/tree/a.txt; done
dd if=/app/big bs=4096 skip=7 count=1 2>&- | md5sum
`;

sandboxTest("a static shell and its tools see the target's files as a program in the target does", {
  ...NEEDS,
  files: FILES,
}, async (it) => {
  const command = [BUSYBOX, "sh", "-c", `exec 2>&1${SCRIPT}`];
  const [here, there] = [await it.run(command), await it.inside(command)];
  assert.equal(here.stdout, there.stdout);
  assert.equal(here.code, there.code);
});

sandboxTest("dynamic programs start static ones, and these dynamic ones, all in the target", NEEDS, async (it) => {
  const { stdout, stderr } = await it.run([
    "sh",
    "-c",
    `${BUSYBOX} cat /app/config.json; ${BUSYBOX} sh -c "cat /app/config.json; sh -c '${BUSYBOX} hostname; hostname'"`,
  ]);
  const blue = '{ "color": "blue" }\n';
  assert.equal(stdout, `${blue}${blue}${it.sandbox.hostname}\n${it.sandbox.hostname}\n`);
  assert.equal(stderr, "");
});

sandboxTest(
  "a static program ends as it would alone: its code, its signal, and nothing of ours stays",
  NEEDS,
  async (it) => {
    assert.equal((await it.run([BUSYBOX, "sh", "-c", "exit 7"])).code, 7);
    assert.equal((await it.run([BUSYBOX, "sh", "-c", "kill -TERM $$"])).signal, "SIGTERM");
    assert.equal(
      (await it.run([BUSYBOX, "sh", "-c", "trap 'echo heard; exit 3' USR1; kill -USR1 $$; sleep 9"])).code,
      3,
    );
    await eventually(async () => {
      const { stdout } = await new Deno.Command("pgrep", { args: ["-f", `^mirrord-supervisor ${BUSYBOX} `] }).output();
      return stdout.length === 0;
    });
  },
);

sandboxTest("a static program finds names and connects from within the target", NEEDS, async (it) => {
  const { stdout, stderr } = await it.run([BUSYBOX, "wget", "-q", "-O", "-", "http://echo-server/"]);
  assert.equal(JSON.parse(stdout || "null")?.http.path, "/", stderr);
});
