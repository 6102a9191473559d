/** Configuration files as somebody uses them: named, found, from standard input; checked; refused with a sentence. */
import assert from "node:assert/strict";
import { assertGolden } from "../support/golden.ts";
import { exec, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt();
const SANDBOX_REASON = REASON ?? whyNoSandbox();

/** A directory with these files in it. */
async function withFiles(files: Record<string, string>, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/.mirrord`);
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const FILES = {
  "good.yaml":
    "target: deployment/web/container/app\napi: true\nfeature:\n  fs: local\n  env: { override: { A: b } }\n",
  "bad.json": `{
    "targte": "pod/web",
    "operator": true,
    "agent": { "ttl": "long" },
    "feature": { "network": { "outgoing": { "unix_streams": "x" } } }
  }`,
  "broken.toml": "[agent]\nttl = = 5\n",
  "conflict.json": '{ "feature": { "env": { "include": "A", "exclude": "B" } } }',
};

for (
  const { file, flags, code } of [
    { file: "good.yaml", flags: ["--resolved"], code: 0 },
    { file: "good.yaml", flags: [], code: 0 },
    { file: "bad.json", flags: [], code: 1 },
    { file: "broken.toml", flags: [], code: 1 },
    { file: "conflict.json", flags: [], code: 1 },
    { file: "none.json", flags: ["--ide"], code: 1 },
  ]
) {
  const args = ["verify-config", ...flags, file];
  testUnless(REASON, `mirrord ${args.join(" ")} answers with one object and exit code ${code}`, async () => {
    await withFiles(FILES, async (cwd) => {
      const ended = await mirrord(args, { cwd });
      assert.deepEqual({ code: ended.code, stderr: ended.stderr }, { code, stderr: "" });
      await assertGolden(`${args.join("_").replaceAll(/[^a-z]+/g, "_")}.json`, ended.stdout);
    });
  });
}

testUnless(REASON, "exec with a configuration file that is wrong says the first thing, with exit code 2", async () => {
  await withFiles(FILES, async (cwd) => {
    const errors: string[] = [];
    for (const file of ["bad.json", "broken.toml", "conflict.json", "none.json"]) {
      const { code, stdout, stderr } = await exec(["-f", file, "true"], { cwd });
      assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
      errors.push(stderr);
    }
    await assertGolden("config_errors.txt", errors.join(""));
  });
});

testUnless(REASON, "verify-config wants one file", async () => {
  for (const args of [[], ["a", "b"]]) {
    const { code, stderr } = await mirrord(["verify-config", ...args]);
    assert.match(stderr, /^error: Cannot verify: .*\n hint: mirrord verify-config /);
    assert.equal(code, 2);
  }
});

testUnless(REASON, "ls refuses formats and types that it does not know", async () => {
  for (
    const [args, says] of [
      [["-o", "xml"], /"xml": .*\n hint: one of: json/],
      [["-t", "planet"], /one of: deployment, rollout/],
    ] as const
  ) {
    const { code, stderr } = await mirrord(["ls", ...args]);
    assert.match(stderr, says);
    assert.equal(code, 2);
  }
});

testUnless(
  SANDBOX_REASON,
  "exec reads the file that is named, the variable's, or the one that lies there",
  async (): Promise<void> => {
    await using sandbox = await startSandbox();
    const config = (text: string) =>
      JSON.stringify({ target: `process/${sandbox.pid}`, feature: { env: { override: { FROM: text } } } });
    const files = { ".mirrord/mirrord.json": config("default"), "named.json": config("named") };
    await withFiles(files, async (cwd) => {
      for (
        const { flags, env, stdin, from, name } of [
          { flags: [], env: {}, from: "default", name: ".mirrord/mirrord.json" },
          { flags: ["-f"], env: {}, from: "default", name: "./.mirrord/mirrord.json" },
          { flags: [], env: { MIRRORD_CONFIG_FILE: "named.json" }, from: "named", name: "named.json" },
          {
            flags: ["-f"],
            env: { MIRRORD_CONFIG_FILE: "named.json" },
            from: "default",
            name: "./.mirrord/mirrord.json",
          },
          { flags: ["--config-file=named.json"], env: {}, from: "named", name: "named.json" },
          { flags: ["-f", "-"], env: {}, stdin: config("stdin"), from: "stdin", name: "stdin" },
        ]
      ) {
        const options = {
          cwd,
          env: { MIRRORD_PROGRESS_MODE: "dumb", ...env },
          ...stdin === undefined ? {} : { stdin },
        };
        const { stdout, stderr } = await exec([...flags, "--", "printenv", "FROM"], options);
        assert.equal(stdout, `${from}\n`, stderr);
        assert.ok(
          stderr.includes(`with target process/${sandbox.pid}, configuration file ${name} was loaded\n`),
          stderr,
        );
      }
    });
  },
);

testUnless(
  SANDBOX_REASON,
  "flags win over variables, those over the file; standard input stays the program's",
  async () => {
    await using sandbox = await startSandbox();
    const file = {
      target: `process/${sandbox.pid}`,
      feature: { fs: "local", env: { env_file: "x.env", unset: ["Gone"] } },
    };
    const files = { ".mirrord/mirrord.json": JSON.stringify(file), "x.env": "GREETING=from the file\n" };
    await withFiles(files, async (cwd) => {
      const script = 'read line; echo "$line"; echo "$GREETING"; echo "[$GONE]"; cat /app/config.json';
      const run = (flags: string[], env: Record<string, string>) =>
        exec([...flags, "sh", "-c", script], { cwd, env: { GONE: "not", ...env }, stdin: "typed\n" });
      const lines = "typed\nfrom the file\n[]\n";
      const config = '{ "color": "blue" }\n';
      assert.equal((await run([], {})).stdout, lines);
      assert.equal((await run([], { MIRRORD_FILE_MODE: "read" })).stdout, lines + config);
      assert.equal((await run(["--fs-mode", "local"], { MIRRORD_FILE_MODE: "read" })).stdout, lines);
    });
  },
);

testUnless(REASON, "a configuration file may be a template, on standard input too", async () => {
  const file = '{ "key": "k-{{ git_branch }}", "target": { "namespace": "{{ get_env(name=`TEAM`) }}-{{ key }}" } }';
  await withFiles({ "template.json": file }, async (cwd) => {
    const env = { TEAM: "shop", MIRRORD_BRANCH_NAME: "main" };
    const found = JSON.parse((await mirrord(["verify-config", "template.json"], { cwd, env })).stdout);
    assert.equal(found.config.namespace, "shop-k-main");
    const keyed = await mirrord(["verify-config", "-"], { cwd, env: { ...env, MIRRORD_KEY: "typed" }, stdin: file });
    assert.equal(JSON.parse(keyed.stdout).config.namespace, "shop-typed");
    const refused = await exec(["-f", "-", "true"], { cwd, stdin: "{% for x in y %}{% endfor %}" });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /"standard input": the template cannot be rendered: line 1: loops cannot be used/);
  });
});
