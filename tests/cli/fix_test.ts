/** `mirrord fix kubeconfig`, with files and a PATH of the test's own. */
import assert from "node:assert/strict";
import { type Ended, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const KUBECONFIG = `# of the staging cluster
apiVersion: v1
kind: Config
users:
- name: dev   # me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login-tool # from our wiki
      args: [--login, login-tool]
- {name: ops, user: {exec: {command: "./plugins/log in"}}}
- name: old
  user: {exec: {command: /usr/bin/true}}
- name: plain
  user: {token: abc}
`;

interface Scene {
  readonly directory: string;
  readonly file: string;
  readonly fix: (...args: string[]) => Promise<Ended>;
}

function fixTest(name: string, text: string, body: (scene: Scene) => Promise<void>): void {
  testUnless(whyNotBuilt(), name, async () => {
    const directory = await Deno.makeTempDir({ prefix: "mirrord-fix-" });
    try {
      for (const it of ["bin", "conf/plugins"]) await Deno.mkdir(`${directory}/${it}`, { recursive: true });
      await Deno.writeTextFile(`${directory}/bin/login-tool`, "#!/bin/sh\n", { mode: 0o755 });
      await Deno.writeTextFile(`${directory}/conf/plugins/log in`, "#!/bin/sh\n", { mode: 0o755 });
      const file = `${directory}/conf/config`;
      await Deno.writeTextFile(file, text, { mode: 0o640 });
      await Deno.chmod(file, 0o640);
      const env = { PATH: `relative:${directory}/bin:/usr/bin:/bin`, KUBECONFIG: file };
      await body({ directory, file, fix: (...args) => mirrord(["fix", "kubeconfig", ...args], { env }) });
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

fixTest(
  "plugins get absolute paths, everything else in the file stays",
  KUBECONFIG,
  async ({ directory, file, fix }) => {
    const { code, stdout, stderr } = await fix();
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const [tool, plugin] = [`${directory}/bin/login-tool`, `${directory}/conf/plugins/log in`];
    assert.equal(
      stdout,
      `${file}: user "dev": login-tool → ${tool}\n${file}: user "ops": ./plugins/log in → ${plugin}\n${file} was written\n`,
    );
    const expected = KUBECONFIG.replace("command: login-tool", `command: ${tool}`).replace(
      '"./plugins/log in"',
      `"${plugin}"`,
    );
    assert.equal(await Deno.readTextFile(file), expected);
    assert.equal((await Deno.stat(file)).mode! & 0o7777, 0o640);
    assert.deepEqual([...Deno.readDirSync(`${directory}/conf`)].map((it) => it.name).sort(), ["config", "plugins"]);
    const again = await fix();
    assert.deepEqual([again.code, again.stdout], [0, "nothing to fix: every plugin has an absolute path\n"]);
  },
);

fixTest("--dry-run says it and writes nothing", KUBECONFIG, async ({ file, fix }) => {
  const { code, stdout } = await fix("--dry-run");
  assert.match(stdout, /login-tool → \/.*\nnothing was changed: --dry-run\n$/s);
  assert.equal(code, 0);
  assert.equal(await Deno.readTextFile(file), KUBECONFIG);
});

fixTest("what is not found is told and left, the others are fixed", KUBECONFIG, async ({ directory, file, fix }) => {
  await Deno.remove(`${directory}/bin/login-tool`);
  const { code, stdout } = await fix();
  assert.match(stdout, /user "dev": login-tool: not found, left as it is\n/);
  assert.equal(code, 1);
  const text = await Deno.readTextFile(file);
  assert.match(text, /command: login-tool # from our wiki/);
  assert.match(text, /conf\/plugins\/log in"/);
});

const LINKED = JSON.stringify({ users: [{ name: "a", user: { exec: { command: "login-tool" } } }] }, undefined, 1);
fixTest(
  "a link stays a link, JSON stays JSON, and the list in KUBECONFIG gives way to --kubeconfig",
  LINKED,
  async (it) => {
    const link = `${it.directory}/link`;
    await Deno.symlink(it.file, link);
    const { code } = await it.fix("--kubeconfig", link);
    assert.equal(code, 0);
    assert.equal((await Deno.lstat(link)).isSymlink, true);
    const { users } = JSON.parse(await Deno.readTextFile(it.file));
    assert.equal(users[0].user.exec.command, `${it.directory}/bin/login-tool`);
  },
);

fixTest("a file that is no YAML, and one that is not there, are refused as they are elsewhere", "a: [", async (it) => {
  const broken = await it.fix();
  assert.match(broken.stderr, /Cannot use the kubeconfig .*\(code KUBECONFIG_INVALID\)/s);
  assert.equal(broken.code, 125);
  const gone = await it.fix("--kubeconfig", "/nonexistent/config");
  assert.match(gone.stderr, /there is no such file/);
});
