/** Programs that no loader starts: a supervisor answers their system calls (native/supervisor). */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { builtProgram, sandboxTest } from "../support/sandbox_case.ts";

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

sandboxTest("a static program that only the target has is executed, with descriptors of its own only", {
  needs: [BUSYBOX, "/usr/bin/python3"],
}, async (it) => {
  await Deno.mkdir(`${it.sandbox.root}/app/own`);
  await Deno.copyFile(BUSYBOX, `${it.sandbox.root}/app/own/busybox`);
  await Deno.chmod(`${it.sandbox.root}/app/own/busybox`, 0o755);
  const spawn = `import os
given = ["busybox", "cat", "/app/config.json"]
os.waitpid(os.posix_spawn("/app/own/busybox", given, os.environ), 0)
print(sum("mirrord-x-" in os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 32) if os.path.islink(f"/proc/self/fd/{fd}")), flush=True)
os.execv("/app/own/busybox", ["busybox", "sh", "-c", "ls -l /proc/$$/fd | grep -c mirrord-x-; exit 3"])`;
  const first = await it.run(["sh", "-c", "/app/own/busybox cat /app/config.json"]);
  const others = await it.run(["/usr/bin/python3", "-c", spawn]);
  const blue = '{ "color": "blue" }\n';
  assert.deepEqual([first.stdout, first.stderr, first.code], [blue, "", 0]);
  assert.deepEqual([others.stdout, others.stderr, others.code], [`${blue}0\n0\n`, "", 3]);
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

const MUSL = "/usr/bin/musl-gcc";

async function builtForMusl(flags: readonly string[]): Promise<string> {
  const directory = new URL("../../native/out/apps/", import.meta.url).pathname;
  const program = `${directory}program-musl${flags.join("")}`;
  const source = new URL("./static/program.c", import.meta.url).pathname;
  await Deno.mkdir(directory, { recursive: true });
  const { success, stderr } = await new Deno.Command(MUSL, { args: ["-O1", ...flags, "-o", program, source] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return program;
}

const WAYS: readonly { way: string; program: () => Promise<string>; needs?: readonly string[] }[] = [
  { way: "static", program: () => builtProgram("programs/static/program.c", ["-static"]) },
  { way: "static at any address", program: () => builtProgram("programs/static/program.c", ["-static-pie"]) },
  { way: "static with musl", program: () => builtForMusl(["-static"]), needs: [MUSL] },
  { way: "dynamic with musl", program: () => builtForMusl([]), needs: [MUSL] },
];

for (const { way, program, needs } of WAYS) {
  sandboxTest(`a C program that is ${way} says the same in the target and here`, {
    files: FILES,
    ...needs ? { needs } : {},
  }, async (it) => {
    const path = await program();
    await Deno.copyFile(path, `${it.sandbox.root}/app/program`);
    for (const what of ["files", "network", "waiting"]) {
      const [here, there] = [await it.run([path, what]), await it.inside(["/app/program", what])];
      assert.ok(there.stdout.split("\n").length > 2, there.stderr);
      assert.equal(here.stdout, there.stdout);
      assert.deepEqual([here.code, here.signal], [there.code, there.signal]);
    }
  });
}

sandboxTest("a static program that is to be skipped is left alone, and what it starts is not", NEEDS, async (it) => {
  const config = `${it.here}/mirrord.json`;
  await Deno.writeTextFile(config, JSON.stringify({ skip_processes: ["busybox-alone"] }));
  await Deno.copyFile(BUSYBOX, `${it.here}/busybox-alone`);
  await Deno.chmod(`${it.here}/busybox-alone`, 0o755);
  const script =
    `${it.here}/busybox-alone cat /app/config.json || echo here; ${it.here}/busybox-alone env ${BUSYBOX} cat /app/config.json`;
  const { stdout } = await it.run(["sh", "-c", script], { flags: ["--config-file", config] });
  assert.equal(stdout, 'here\n{ "color": "blue" }\n');
});
