/** `mirrord exec --target process/PID`: programs of this machine in the context of another process, end to end. */
import assert from "node:assert/strict";
import { type Ended, exec, MIRRORD, type RunOptions, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, SANDBOX_ENVIRONMENT, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();

/** Runs a command in the sandbox's context; `options.flags` stand before it. */
function run(
  sandbox: Sandbox,
  command: readonly string[],
  options: RunOptions & { flags?: readonly string[] } = {},
): Promise<Ended> {
  return exec(["--target", `process/${sandbox.pid}`, ...options.flags ?? [], "--", ...command], options);
}

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

test("curl reaches a server by a name that only the target's DNS knows", async (sandbox) => {
  const { code, stdout, stderr } = await run(sandbox, ["curl", "-sS", "http://echo-server/path"]);
  assert.equal(stderr, "");
  assert.equal(JSON.parse(stdout).host.hostname, sandbox.hostname);
  assert.equal(JSON.parse(stdout).http.path, "/path");
  assert.equal(code, 0);
});

test("names are looked up in the target's hosts file, and are not found where they are not", async (sandbox) => {
  const found = await run(sandbox, ["getent", "hosts", "in-hosts-only"]);
  assert.match(found.stdout, new RegExp(`^${sandbox.address} `));
  const missing = await run(sandbox, ["curl", "-sS", "http://no-such-name/"]);
  assert.equal(missing.code, 6, missing.stderr);
});

test("a server on the target's loopback answers, a closed port refuses", async (sandbox) => {
  const answered = await run(sandbox, ["curl", "-sS", "telnet://127.0.0.1:7001"]);
  assert.equal(answered.stdout, `only on loopback of ${sandbox.hostname}\n`);
  const refused = await run(sandbox, ["curl", "-sS", `http://${sandbox.address}:9/`]);
  assert.match(refused.stderr, /Connection refused|Couldn't connect/);
  assert.equal(refused.code, 7);
});

test("an IPv6 server of the target answers", async (sandbox) => {
  const { stdout } = await run(sandbox, ["curl", "-sS", "http://[::1]/six"]);
  assert.equal(JSON.parse(stdout).http.path, "/six");
});

test("files, the host name and the environment are the target's", async (sandbox) => {
  const config = await run(sandbox, ["cat", "/app/config.json"]);
  assert.equal(config.stdout, '{ "color": "blue" }\n');
  const hostname = await run(sandbox, ["cat", "/etc/hostname"]);
  assert.equal(hostname.stdout, `${sandbox.hostname}\n`);
  const named = await run(sandbox, ["hostname"]);
  assert.equal(named.stdout, `${sandbox.hostname}\n`);
  const greeting = await run(sandbox, ["printenv", "GREETING"]);
  assert.equal(greeting.stdout, `${SANDBOX_ENVIRONMENT["GREETING"]}\n`);
  const listing = await run(sandbox, ["ls", "/app"]);
  assert.equal(listing.stdout, "config.json\nsecret\n");
});

test("children of a shell are in the target's context too", async (sandbox) => {
  const script = 'cat /etc/hostname | tr a-z A-Z; env -i cat /app/config.json; echo "$(hostname)"';
  const { stdout } = await run(sandbox, ["sh", "-c", script]);
  assert.equal(stdout, `${sandbox.hostname.toUpperCase()}\n{ "color": "blue" }\n${sandbox.hostname}\n`);
});

test("--fs-mode local and --no-remote-dns leave files and names to this machine", async (sandbox) => {
  const file = await run(sandbox, ["cat", "/app/config.json"], { flags: ["--fs-mode", "local"] });
  assert.match(file.stderr, /No such file/);
  const name = await run(sandbox, ["curl", "-sS", "http://echo-server/"], { flags: ["--no-remote-dns"] });
  assert.equal(name.code, 6);
});

// Row E26
test("--no-outgoing makes connections from this machine", async (sandbox) => {
  const flags = ["--no-outgoing"];
  const { code } = await run(sandbox, ["curl", "-sS", "telnet://127.0.0.1:7001"], { flags });
  assert.equal(code, 7);
});

test("variables: PATH and HOME stay the user's, the target's others win over the user's", async (sandbox) => {
  const env = { GREETING: "mine", ONLY_MINE: "1", HOME: "/tmp" };
  const { stdout } = await run(sandbox, ["env"], { env });
  const lines = stdout.split("\n");
  assert.ok(lines.includes(`GREETING=${SANDBOX_ENVIRONMENT["GREETING"]}`));
  assert.ok(lines.includes("ONLY_MINE=1"));
  assert.ok(lines.includes("HOME=/tmp"));
  assert.ok(lines.includes("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
});

test("--override-env-vars-include takes only what matches, even what is left out otherwise", async (sandbox) => {
  const { stdout } = await run(sandbox, ["env"], { env: { GREETING: "mine" }, flags: ["-s", "HO*;DATABASE_???"] });
  const lines = stdout.split("\n");
  assert.ok(lines.includes(`DATABASE_URL=${SANDBOX_ENVIRONMENT["DATABASE_URL"]}`));
  assert.ok(lines.includes("HOME=/root"));
  assert.ok(lines.includes("GREETING=mine"));
});

test("--override-env-vars-exclude leaves out what matches", async (sandbox) => {
  const { stdout } = await run(sandbox, ["env"], { flags: ["-x", "GREET*"] });
  assert.doesNotMatch(stdout, /^GREETING=/m);
  assert.match(stdout, /^DATABASE_URL=/m);
});

// Row U08
test("a variable may say what an option says, and the option wins", async (sandbox) => {
  const env = { MIRRORD_IMPERSONATED_TARGET: `process/${sandbox.pid}`, MIRRORD_FILE_MODE: "local" };
  const local = await exec(["cat", "/app/config.json"], { env });
  assert.match(local.stderr, /No such file/);
  const remote = await exec(["--fs-mode=read", "cat", "/app/config.json"], { env });
  assert.equal(remote.stdout, '{ "color": "blue" }\n');
});

testUnless(REASON, "a target process that does not exist is refused by its number", async () => {
  const { code, stderr } = await exec(["-t", "process/4194303", "true"]);
  assert.match(stderr, /there is no such process/);
  assert.equal(code, 125);
});

test("without root a process is refused, and sudo is named", async (sandbox) => {
  const NOBODY = 65534;
  const cache = await Deno.makeTempDir();
  try {
    await Deno.chown(cache, NOBODY, NOBODY);
    // dist/ may lie in a home directory that is closed to others.
    const executable = `${cache}/mirrord`;
    await Deno.copyFile(MIRRORD, executable);
    const env = { XDG_CACHE_HOME: cache, XDG_RUNTIME_DIR: cache };
    const { code, stderr } = await run(sandbox, ["true"], { env, executable, uid: NOBODY, cwd: "/" });
    assert.match(stderr, /entering a process needs root\n hint: .* sudo/);
    assert.equal(code, 125);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

test("a static program has the target's environment, files and host name", async (sandbox) => {
  const directory = await Deno.makeTempDir();
  try {
    const source = `${directory}/static.c`;
    const text = `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
	char name[65], line[99];
	gethostname(name, sizeof name);
	printf("%s\\n%s\\n%s", getenv("GREETING"), name, fgets(line, sizeof line, fopen("/app/config.json", "r")));
}
`;
    await Deno.writeTextFile(source, text);
    const compile = new Deno.Command("gcc", { args: ["-static", "-o", `${directory}/static`, source] });
    assert.equal((await compile.output()).code, 0);
    const { stdout, stderr } = await run(sandbox, [`${directory}/static`]);
    assert.equal(stderr, "");
    assert.equal(stdout, `${SANDBOX_ENVIRONMENT["GREETING"]}\n${sandbox.hostname}\n{ "color": "blue" }\n`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
