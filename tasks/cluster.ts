/**
 * The tests' Kubernetes on this machine: `deno task cluster up` (its last line is the kubeconfig's path), `deno task cluster
 * down [--purge]`. What it is and does: tests/cluster/README.md.
 */
const SCRIPTS = new URL("../tests/cluster/", import.meta.url).pathname;

/** Brings it up, unless it is; its progress is on standard error. */
export async function clusterUp(): Promise<{ kubeconfig: string; wasUp: boolean }> {
  const wasUp = (await script("in-node", ["true"], "null")).code === 0;
  const { code, stdout } = await script("up", [], "inherit");
  if (code !== 0) throw new Error("Cannot bring the cluster up: tests/cluster/up failed");
  return { kubeconfig: stdout.trim().split("\n").at(-1)!, wasUp };
}

export async function clusterDown(args: readonly string[] = []): Promise<void> {
  const { code } = await script("down", args, "inherit");
  if (code !== 0) throw new Error("Cannot take the cluster down: tests/cluster/down failed");
}

/** Puts an image, as `tasks/image.ts` writes it, on the cluster's node. */
export async function loadImage(archive: string): Promise<void> {
  const { code } = await script("load-image", ["--archive", archive], "inherit");
  if (code !== 0) throw new Error(`Cannot load ${archive} into the cluster`);
}

async function script(name: string, args: readonly string[], stderr: "inherit" | "null") {
  const command = new Deno.Command(SCRIPTS + name, { args: [...args], stdin: "null", stdout: "piped", stderr });
  const output = await command.output();
  return { code: output.code, stdout: new TextDecoder().decode(output.stdout) };
}

if (import.meta.main) {
  const [word, ...args] = Deno.args;
  if (word === "up") Deno.stdout.writeSync(new TextEncoder().encode(`${(await clusterUp()).kubeconfig}\n`));
  else if (word === "down") await clusterDown(args);
  else {
    Deno.stderr.writeSync(new TextEncoder().encode("usage: deno task cluster up | down [--purge]\n"));
    Deno.exit(2);
  }
}
