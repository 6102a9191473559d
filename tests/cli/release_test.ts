/** What `deno task release` publishes, made of an executable that is only a script: the real one is 100 MB. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { VERSION } from "../../src/cli/version.ts";
import { release } from "../../tasks/release.ts";

const NAME = `mirrord-${VERSION}-linux-x86_64`;

async function released(body: (directory: string, files: string[]) => Promise<void>, url?: string): Promise<void> {
  const base = await Deno.makeTempDir({ prefix: "mirrord-release-" });
  try {
    const executable = `${base}/mirrord`;
    await Deno.writeTextFile(executable, '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    const directory = `${base}/release`;
    await body(directory, await release({ executable, directory, url }));
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

async function output(directory: string, program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: directory }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("a release has the executable, its archive, completions, and checksums that hold for all of them", async () => {
  await released(async (directory, files) => {
    const completions = ["mirrord.bash", "_mirrord", "mirrord.fish"].map((it) => `completions/${it}`);
    assert.deepEqual(files, [NAME, `${NAME}.tar.gz`, ...completions, "mirrord.yaml"]);
    const checked = await output(directory, "sha256sum", "--check", "--strict", "SHA256SUMS");
    assert.equal(checked, files.map((it) => `${it}: OK\n`).join(""));
    assert.equal(await output(directory, `./${NAME}`, "runs"), "runs\n");
    assert.equal(await Deno.readTextFile(`${directory}/completions/_mirrord`), "completions zsh\n");
    assert.deepEqual(
      [...Deno.readDirSync(directory)].map((it) => it.name).sort(),
      [NAME, `${NAME}.tar.gz`, "SHA256SUMS", "completions", "mirrord.yaml"].sort(),
    );
  });
});

Deno.test("krew's manifest names the archive by its checksum, and a bin and files that lie in it", async () => {
  await released(async (directory) => {
    const manifest = parse(await Deno.readTextFile(`${directory}/mirrord.yaml`));
    assert.equal(manifest.apiVersion, "krew.googlecontainertools.github.com/v1alpha2");
    assert.equal(manifest.kind, "Plugin");
    assert.equal(manifest.metadata.name, "mirrord");
    assert.equal(manifest.spec.version, `v${VERSION}`);
    const [platform, more] = manifest.spec.platforms;
    assert.equal(more, undefined);
    assert.deepEqual(platform.selector, { matchLabels: { os: "linux", arch: "amd64" } });
    assert.equal(platform.uri, `https://example.org/v1/${NAME}.tar.gz`);
    const [sum] = (await output(directory, "sha256sum", `${NAME}.tar.gz`)).split(" ");
    assert.equal(platform.sha256, sum);
    assert.equal(platform.bin, "mirrord");
    const members = (await output(directory, "tar", "-tzf", `${NAME}.tar.gz`)).split("\n");
    for (const { from, to } of platform.files) {
      assert.ok(members.includes(from), from);
      assert.equal(to, ".");
    }
    assert.ok(platform.files.some((it: { from: string }) => it.from === platform.bin));
  }, "https://example.org/v1");
});

Deno.test("the same executable makes the same archive", async () => {
  const sums: string[] = [];
  const sum = async (directory: string) => void sums.push(await Deno.readTextFile(`${directory}/SHA256SUMS`));
  await released(sum, "https://example.org");
  await released(sum, "https://example.org");
  assert.equal(sums[0], sums[1]);
});
