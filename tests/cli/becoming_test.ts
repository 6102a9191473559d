/** mirrord becomes the program: what a program can see of its own process is as if it had been started without us. */
import assert from "node:assert/strict";
import { endOf, exec, MIRRORD, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { eventually, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const DECODER = new TextDecoder();
const QUIET = { MIRRORD_PROGRESS_MODE: "off" };

function test(name: string, body: (flags: string[], pid: number) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(["--target", `process/${sandbox.pid}`, "--"], sandbox.pid);
  });
}

test("the exit code is the program's", async (target) => {
  for (const code of [0, 1, 42, 255]) assert.equal((await exec([...target, "sh", "-c", `exit ${code}`])).code, code);
});

test("the process id is the one that was started, and a signal ends the program by that signal", async (target) => {
  const child = spawnMirrord(["exec", ...target, "sh", "-c", "echo $$; exec sleep 60"], { env: QUIET });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  assert.equal(DECODER.decode(value).trim(), String(child.pid));
  child.kill("SIGTERM");
  await child.stdin.close();
  const { signal } = await endOf(child);
  assert.equal(signal, "SIGTERM");
});

test("standard input is the program's", async (target) => {
  const { stdout } = await exec([...target, "tr", "a-z", "A-Z"], { stdin: "through a pipe" });
  assert.equal(stdout, "THROUGH A PIPE");
});

test("standard descriptors that were closed are closed in the program", async (target) => {
  const script = 'for fd in 0 1 2; do test -e /proc/$$/fd/$fd && echo "$fd is open" >&9; done';
  const typed = `exec 9>&1; "$0" exec ${target.join(" ")} sh -c '${script}'`;
  for (const [closed, open] of [["<&-", "1 is open\n2 is open\n"], [">&-", "0 is open\n2 is open\n"]] as const) {
    const args = ["-c", `${typed} ${closed}`, MIRRORD];
    const { stdout } = await new Deno.Command("sh", { args, env: QUIET, stdin: "null" }).output();
    assert.equal(DECODER.decode(stdout), open);
  }
});

test("the working directory and the name in argv[0] are kept", async (target) => {
  const { stdout } = await exec([...target, "sh", "-c", 'pwd; echo "$0"'], { cwd: "/var/log" });
  assert.equal(stdout, "/var/log\nsh\n");
});

test("a working directory whose name is no UTF-8 is kept, and local", async (target) => {
  const script = 'd=$(mktemp -d)/$(printf "\\377"); mkdir "$d"; cd "$d"; echo local > here; ' +
    `"$0" exec ${target.join(" ")} sh -c 'cat here "$PWD/here"'; rm -r "\${d%/*}"`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script, MIRRORD], env: QUIET, stdin: "null" })
    .output();
  assert.equal(DECODER.decode(stdout), "local\nlocal\n");
});

test("the terminal is the program's", async (target) => {
  const typed = `${MIRRORD} exec ${
    target.join(" ")
  } sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all three'`;
  const command = new Deno.Command("script", { args: ["-qec", typed, "/dev/null"], env: QUIET, stdin: "null" });
  const { stdout, code } = await command.output();
  assert.match(DECODER.decode(stdout), /^\/dev\/pts\/\d+\r\nall three\r\n/);
  assert.equal(code, 0);
});

test("the program has no children it did not start, and no descriptors but its three", async (target) => {
  const script =
    "ls -l /proc/self/fd | grep -c 'socket\\|pipe\\|memfd\\|anon' ; ls /proc/$$/task/$$/children | wc -w; " +
    "cat /proc/$$/task/$$/children";
  const { stdout } = await exec([...target, "bash", "-c", script]);
  const [, , children] = stdout.split("\n");
  assert.equal(children!.trim().split(" ").length, 1, "only the cat itself");
});

test("limits, signal dispositions and mask are as the user's shell gave them", async (target) => {
  // The last eight digits: signals 1 to 32. 33 and 34 belong to the C library.
  const script = 'ulimit -Sn; ulimit -Hn; grep -E "^Sig(Ign|Blk|Cgt)" /proc/self/status | grep -o "........$"';
  const shell = (command: string) => ["-c", `ulimit -Sn 777; trap "" HUP INT; ${command}`];
  const plain = await new Deno.Command("bash", { args: shell(`bash -c '${script}'`) }).output();
  const typed = `MIRRORD_PROGRESS_MODE=off ${MIRRORD} exec ${target.join(" ")} bash -c '${script}'`;
  const mirrored = await new Deno.Command("bash", { args: shell(typed) }).output();
  assert.equal(DECODER.decode(mirrored.stdout), DECODER.decode(plain.stdout));
});

test("variables that mean something to our runtime reach the program and not the runtime", async (target) => {
  const env = { DENO_DIR: "/no/such/place", DENO_V8_FLAGS: "--no-such-flag", NODE_OPTIONS: "--no-such-option" };
  const { stdout, stderr } = await exec([...target, "env"], { env });
  assert.equal(stderr, "");
  for (const [name, value] of Object.entries(env)) assert.ok(stdout.includes(`${name}=${value}\n`), name);
  assert.doesNotMatch(stdout, /^(MIRRORD_LAUNCHER|MIRRORD_KEPT_\w*|DENO_NO_\w+)=/m);
  const without = await exec([...target, "env"]);
  assert.doesNotMatch(without.stdout, /^DENO_/m);
});

test("a variable that is not UTF-8 keeps its bytes", async (target) => {
  const typed = `export ODD=$'\\xff\\xfe='; MIRRORD_PROGRESS_MODE=off ${MIRRORD} exec ${target.join(" ")} printenv ODD`;
  const { stdout } = await new Deno.Command("bash", { args: ["-c", typed] }).output();
  assert.deepEqual(stdout, new Uint8Array([0xff, 0xfe, 0x3d, 0x0a]));
});

test("arguments keep their bytes, and empty ones stay", async (target) => {
  const typed = `MIRRORD_PROGRESS_MODE=off ${MIRRORD} exec ${target.join(" ")} printf '<%s>' '' $'\\xff' ''`;
  const { stdout } = await new Deno.Command("bash", { args: ["-c", typed] }).output();
  assert.deepEqual(stdout, new Uint8Array([0x3c, 0x3e, 0x3c, 0xff, 0x3e, 0x3c, 0x3e]));
});

test("a script without #! is run by sh, one with it by what it names", async (target) => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/bare`, 'echo "bare $1"\n');
    await Deno.writeTextFile(`${directory}/named`, '#!/usr/bin/env bash\necho "named $1 $BASH_VERSINFO"\n');
    for (const name of ["bare", "named"]) await Deno.chmod(`${directory}/${name}`, 0o755);
    const bare = await exec([...target, `${directory}/bare`, "one"]);
    assert.equal(bare.stdout, "bare one\n");
    const named = await exec([...target, `${directory}/named`, "two"]);
    assert.match(named.stdout, /^named two \d+\n$/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

test("after the run no process and no directory of it is left", async (target, pid) => {
  const env = { XDG_RUNTIME_DIR: await Deno.makeTempDir() };
  try {
    assert.equal((await exec([...target, "true"], { env })).code, 0);
    await eventually(() => isEmpty(`${env.XDG_RUNTIME_DIR}/mirrord`));
    await eventually(() => processesWith(`--pid\0${pid}\0`).length === 0);
    await eventually(() => processesWith(`${env.XDG_RUNTIME_DIR}/mirrord`).length === 0);
  } finally {
    await Deno.remove(env.XDG_RUNTIME_DIR, { recursive: true });
  }
});

function isEmpty(directory: string): boolean {
  return [...Deno.readDirSync(directory)].length === 0;
}

/** Processes whose command line holds this text. */
function processesWith(text: string): string[] {
  return [...Deno.readDirSync("/proc")].map((it) => it.name).filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return ["cmdline", "environ"].some((it) => Deno.readTextFileSync(`/proc/${name}/${it}`).includes(text));
    } catch {
      return false;
    }
  });
}
