/**
 * `deno task test:cluster`: the end-to-end tests on a real Kubernetes. Brings the tests' cluster up, builds executable and
 * image, loads the image, runs tests/cluster, and takes the cluster down again if it was down before.
 *
 * With MIRRORD_TEST_KUBECONFIG they run on that cluster instead: it must have the agent's image and docker.io/local/busybox:1,
 * or be able to pull them. Arguments are handed to `deno test`.
 */
import { build } from "./build.ts";
import { clusterDown, clusterUp, loadImage } from "./cluster.ts";
import { buildImage } from "./image.ts";
import { prepare, say, TO_BUILD, tryToPrepare } from "./prepare.ts";
import { runTests } from "./test.ts";

const KUBECONFIG = "MIRRORD_TEST_KUBECONFIG";

/** Resolves with the exit code of the tests. */
async function testCluster(args: readonly string[]): Promise<number> {
  await prepare([...TO_BUILD, "buildah", "curl", "procps", "tmux"]);
  await tryToPrepare(["openssl", "psql", "postgres", "psycopg2", "unshare", "ip", "nft"]);
  const given = Deno.env.get(KUBECONFIG);
  if (given) {
    say(`built ${await build()}`);
    return await run(args, given);
  }
  const { kubeconfig, wasUp } = await clusterUp();
  try {
    const archive = await buildImage();
    await loadImage(archive);
    say(`built and loaded ${archive}`);
    return await run(args, kubeconfig);
  } finally {
    if (!wasUp) await clusterDown();
  }
}

async function run(args: readonly string[], kubeconfig: string): Promise<number> {
  const paths = args.some((it) => !it.startsWith("-")) ? [] : ["tests/cluster/"];
  const built = `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/mirrord-cluster/bin`;
  const env = { [KUBECONFIG]: kubeconfig, PATH: `${built}:${Deno.env.get("PATH")}` }; // kubectl is among what was built
  return await runTests([...args, ...paths], env);
}

if (import.meta.main) Deno.exit(await testCluster(Deno.args));
