/**
 * Makes the agent's image: `deno task image` → dist/mirrord-agent.tar, as `docker load` and `ctr images import` take it.
 *
 * Built from Dockerfile.agent by buildah, which needs no daemon. The root file system holds dist/mirrord (built before,
 * if it is missing) in its unpacked form, since the image may be read-only, and the shared libraries of this machine that
 * the runtime loads.
 */
import { defaultAgentImage } from "../src/kube/image.ts";
import { VERSION } from "../src/cli/version.ts";
import { build } from "./build.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const DIST = `${ROOT}dist`;
const CONTEXT = `${DIST}/image`;
/** MIRRORD_TEST_AGENT_IMAGE gives it another name: several worktrees can then share one cluster. */
export const AGENT_IMAGE = Deno.env.get("MIRRORD_TEST_AGENT_IMAGE") || defaultAgentImage(VERSION);

/** The root file system's own files; the user is the one Dockerfile.agent names. */
const FILES: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nagent:x:65532:65532:agent:/:/sbin/nologin\n",
  "etc/group": "root:x:0:\nagent:x:65532:\n",
  "etc/nsswitch.conf": "hosts: files dns\n",
};

/** Builds the image, and dist/mirrord unless `isBuilt`; returns the archive's path. */
export async function buildImage(options: { isBuilt?: boolean } = {}): Promise<string> {
  const executable = options.isBuilt ? `${DIST}/mirrord` : await build();
  await prepareRoot(executable, `${CONTEXT}/rootfs`);
  const archive = `${DIST}/mirrord-agent.tar`;
  const storage = await Deno.makeTempDir({ dir: DIST, prefix: "buildah-" });
  const buildah = ["buildah", "--root", `${storage}/root`, "--runroot", `${storage}/run`, "--storage-driver", "vfs"];
  const file = `${ROOT}Dockerfile.agent`;
  try {
    await Deno.remove(archive).catch(() => {});
    await run([...buildah, "bud", "--quiet", "--isolation", "chroot", "-t", AGENT_IMAGE, "-f", file, CONTEXT]);
    await run([...buildah, "push", "--quiet", AGENT_IMAGE, `docker-archive:${archive}:${AGENT_IMAGE}`]);
  } finally {
    await Deno.remove(storage, { recursive: true });
    await Deno.remove(CONTEXT, { recursive: true });
  }
  return archive;
}

async function prepareRoot(executable: string, rootfs: string): Promise<void> {
  await Deno.remove(rootfs, { recursive: true }).catch(() => {});
  for (const directory of ["usr/bin", "etc", "proc", "sys", "dev"]) {
    await Deno.mkdir(`${rootfs}/${directory}`, { recursive: true });
  }
  await Deno.mkdir(`${rootfs}/tmp`);
  await Deno.chmod(`${rootfs}/tmp`, 0o1777);
  await run([executable, "--unpack-runtime", `${rootfs}/usr/bin`]);
  await Deno.chmod(`${rootfs}/usr/bin`, 0o755);
  for (const [path, text] of Object.entries(FILES)) await Deno.writeTextFile(`${rootfs}/${path}`, text);
  for (const library of await sharedLibraries(Deno.execPath())) {
    const to = `${rootfs}${library}`;
    await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(library, to);
    await Deno.chmod(to, 0o755);
  }
}

/** Where the dynamic linker finds what an executable needs, itself included; symbolic links stand for their targets. */
async function sharedLibraries(executable: string): Promise<string[]> {
  const listing = await run(["ldd", executable]);
  return [...listing.matchAll(/(?:^\s*|=> )(\/\S+)/gm)].map((it) => it[1]!);
}

async function run(command: readonly string[]): Promise<string> {
  const [program, ...args] = command;
  const process = new Deno.Command(program!, { args, cwd: ROOT, stdin: "null", stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await process.output().catch((error) => {
    throw new Error(`Cannot run ${program}: is it installed? (apt-get install ${program})`, { cause: error });
  });
  if (!success) throw new Error(`${command.join(" ")}:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  const started = performance.now();
  const archive = await buildImage({ isBuilt: Deno.args.includes("--no-build") });
  const { size } = await Deno.stat(archive);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const text = `${AGENT_IMAGE}: ${archive}, ${(size / 1e6).toFixed(0)} MB in ${seconds} s\n`;
  await Deno.stderr.write(new TextEncoder().encode(text));
}
