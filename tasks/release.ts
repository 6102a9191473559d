/**
 * Makes what is published: `deno task release [--url BASE]` → dist/release.
 *
 *   mirrord-VERSION-linux-x86_64          the executable
 *   mirrord-VERSION-linux-x86_64.tar.gz   the executable, LICENSE and completions: what krew unpacks
 *   completions/mirrord.bash, _mirrord, mirrord.fish
 *   mirrord.yaml                          krew's manifest of the plugin: `kubectl mirrord …`
 *   SHA256SUMS                            of all of them, for `sha256sum --check`
 *
 * BASE is where the files of this version will lie; MIRRORD_RELEASE_URL says the same. Without it the manifest names the
 * archive as a file of this machine, which is good for trying it: kubectl krew install --manifest=… --archive=…
 * The same executable makes the same bytes. Nothing is uploaded.
 */
import { stringify } from "yaml";
import { VERSION } from "../src/cli/version.ts";
import { build } from "./build.ts";

const ROOT = new URL("../", import.meta.url).pathname;
/** Where each shell looks for a completion of this name. */
const COMPLETIONS = { bash: "mirrord.bash", zsh: "_mirrord", fish: "mirrord.fish" } as const;
/** What krew asks of a machine: `uname` in the words of Go. The executable is for no other. */
const PLATFORM = { os: "linux", arch: "amd64" } as const;

export interface ReleaseOptions {
  readonly executable: string;
  readonly directory: string;
  /** Without a slash at its end. */
  readonly url?: string | undefined;
}

/** Fills `directory`, which is made anew; resolves with the names of its files as SHA256SUMS lists them. */
export async function release({ executable, directory, url }: ReleaseOptions): Promise<string[]> {
  const name = `mirrord-${VERSION}-linux-x86_64`;
  const archive = `${name}.tar.gz`;
  await Deno.remove(directory, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${directory}/completions`, { recursive: true });
  await Deno.copyFile(executable, `${directory}/${name}`);
  await Deno.chmod(`${directory}/${name}`, 0o755);
  for (const [shell, file] of Object.entries(COMPLETIONS)) {
    const script = await run([`${directory}/${name}`, "completions", shell]);
    await Deno.writeFile(`${directory}/completions/${file}`, script);
  }
  await writeArchive(directory, name, archive);
  const uri = `${url ?? `file://${directory}`}/${archive}`;
  await Deno.writeTextFile(`${directory}/mirrord.yaml`, krewManifest(uri, await sha256(`${directory}/${archive}`)));
  const files = [name, archive, ...Object.values(COMPLETIONS).map((it) => `completions/${it}`), "mirrord.yaml"];
  const sums = await Promise.all(files.map(async (it) => `${await sha256(`${directory}/${it}`)}  ${it}\n`));
  await Deno.writeTextFile(`${directory}/SHA256SUMS`, sums.join(""));
  return files;
}

/** No times, no owners, one order: who has the same executable gets the same archive. */
async function writeArchive(directory: string, name: string, archive: string): Promise<void> {
  const tree = await Deno.makeTempDir({ dir: directory, prefix: "archive-" });
  try {
    await Deno.link(`${directory}/${name}`, `${tree}/mirrord`);
    await Deno.copyFile(`${ROOT}LICENSE`, `${tree}/LICENSE`);
    await Deno.chmod(`${tree}/LICENSE`, 0o644);
    await run(["cp", "-r", `${directory}/completions`, `${tree}/completions`]);
    const same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+w,go-w"];
    const members = ["LICENSE", "completions", "mirrord"];
    await run(["tar", "-I", "gzip -n", ...same, "-cf", `${directory}/${archive}`, "-C", tree, ...members]);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

/** As https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/ has it. */
export function krewManifest(uri: string, sha256: string): string {
  return stringify({
    apiVersion: "krew.googlecontainertools.github.com/v1alpha2",
    kind: "Plugin",
    metadata: { name: "mirrord" },
    spec: {
      version: `v${VERSION}`,
      shortDescription: "Run a local program in the context of a pod",
      description: "Runs a program on this machine as if it ran inside a pod of the cluster: with the\n" +
        "pod's environment, files, names and network. Nothing is deployed, nothing stays behind.\n",
      platforms: [{
        selector: { matchLabels: PLATFORM },
        uri,
        sha256,
        bin: "mirrord",
        files: ["mirrord", "LICENSE"].map((from) => ({ from, to: "." })),
      }],
    },
  }, { lineWidth: 0 });
}

async function sha256(path: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function run(command: readonly string[]): Promise<Uint8Array> {
  const [program, ...args] = command;
  const process = new Deno.Command(program!, { args, stdin: "null", stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await process.output();
  if (!success) throw new Error(`${command.join(" ")}:\n${new TextDecoder().decode(stderr)}`);
  return stdout;
}

function urlFrom(args: readonly string[]): string | undefined {
  const at = args.indexOf("--url");
  const url = at === -1 ? Deno.env.get("MIRRORD_RELEASE_URL") || undefined : args[at + 1];
  if (at !== -1 && url === undefined) throw new Error("--url needs the address below which the files will lie");
  return url?.replace(/\/+$/, "");
}

if (import.meta.main) {
  const url = urlFrom(Deno.args);
  const directory = `${ROOT}dist/release`;
  const files = await release({ executable: await build(), directory, url });
  const lines = [...files, "SHA256SUMS"].map((it) => `${directory}/${it}\n`).join("");
  await Deno.stderr.write(new TextEncoder().encode(lines));
}
