/** Whose files, variables and processes: what a configuration file says of them, end to end in a target on this machine. */
import assert from "node:assert/strict";
import { type Ended, exec, type RunOptions, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, SANDBOX_ENVIRONMENT, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const BLUE = '{ "color": "blue" }\n';

function test(
  name: string,
  config: unknown,
  body: (run: (command: readonly string[], options?: RunOptions) => Promise<Ended>, sandbox: Sandbox) => Promise<void>,
): void {
  testUnless(REASON, name, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await using sandbox = await startSandbox();
      await Deno.writeTextFile(`${folder}/mirrord.json`, JSON.stringify(config));
      const flags = ["-f", `${folder}/mirrord.json`, "-t", `process/${sandbox.pid}`];
      await body((command, options = {}) => exec([...flags, "--", ...command], { cwd: folder, ...options }), sandbox);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

const PATTERNS = {
  feature: { fs: { mode: "localwithoverrides", read_only: ["^/app/"], not_found: ["^/usr/share/zoneinfo"] } },
};

test("patterns say which files are the target's, and which are not there", PATTERNS, async (run) => {
  assert.equal((await run(["cat", "/app/config.json"])).stdout, BLUE);
  assert.match((await run(["cat", "/usr/share/zoneinfo/tzdata.zi"])).stderr, /No such file or directory/);
  assert.match((await run(["sh", "-c", "echo x > /app/config.json"])).stderr, /nonexistent|No such file/);
});

const READ_WRITE = { feature: { fs: { mode: "read", read_write: ["^/app/written"] } } };

test("a read_write pattern lets a program write to the target in mode read", READ_WRITE, async (run) => {
  const { stdout, stderr } = await run(["sh", "-c", "echo new > /app/written.txt && cat /app/written.txt"]);
  assert.deepEqual({ stdout, stderr }, { stdout: "new\n", stderr: "" });
  const other = await run(["sh", "-c", "echo new > /app/other.txt"]);
  assert.match(other.stderr, /nonexistent|No such file/);
});

const MAPPING = {
  feature: {
    fs: { mapping: { "^/configuration/(?<name>[^/]+)\\.js$": "/app/${name}.json", "^/mine": "/etc/debian_version" } },
  },
};

// Row U05
test("paths stand for the target's or for this machine's others", MAPPING, async (run) => {
  assert.equal((await run(["cat", "/configuration/config.js"])).stdout, BLUE);
  assert.equal((await run(["cat", "/mine"])).stdout, await Deno.readTextFile("/etc/debian_version"));
  const python =
    "import os; print(os.stat('/configuration/config.js').st_size, os.path.realpath('/configuration/config.js'))";
  assert.equal((await run(["python3", "-c", python])).stdout, `${BLUE.length} /configuration/config.js\n`);
});

const LOADED = {
  feature: {
    env: { load_from_process: true, unset: ["http_proxy"], override: { ADDED: "1" }, exclude: ["MISSING_*"] },
  },
};

test("every process takes the target's variables when it is told to", LOADED, async (run) => {
  const { stdout } = await run(["env", "-i", "sh", "-c", "echo $GREETING $ADDED ${HTTP_PROXY-none}"], {
    env: { HTTP_PROXY: "http://nowhere" },
  });
  assert.equal(stdout, `${SANDBOX_ENVIRONMENT["GREETING"]} 1 none\n`);
});

const SKIPPED = { skip_processes: ["cat"], skip_extra_build_tools: ["head"] };

test("processes are left alone by name, their children and what was typed are not", SKIPPED, async (run) => {
  assert.match((await run(["sh", "-c", "cat /app/config.json"])).stderr, /No such file/);
  assert.match((await run(["sh", "-c", "head /app/config.json"])).stderr, /No such file/);
  assert.equal((await run(["head", "/app/config.json"])).stdout, BLUE);
  assert.equal((await run(["sh", "-c", "tail /app/config.json"])).stdout, BLUE);
});
