/**
 * `deno task bench`: every number of docs/benchmarks.md, measured again and written there.
 *
 * Needs root (process/PID targets) and dist/mirrord; what needs Kubernetes is left out, and said so, when KUBECONFIG (or the
 * test cluster's kubeconfig) reaches none. Images are loaded by tests/cluster, so the cluster part is for that cluster.
 */
import { measureConnects } from "./connects.ts";
import { measureDelay } from "./delay.ts";
import { measureFiles } from "./files.ts";
import { measureHooks } from "./hooks.ts";
import { measureIncoming } from "./incoming.ts";
import { measureListing } from "./ls.ts";
import { measureMemory } from "./memory.ts";
import { markdownTable, type Row } from "./measure.ts";
import { measureNetwork } from "./network.ts";
import { tryToPrepare } from "../tasks/prepare.ts";
import { measureStolen } from "./stolen.ts";
import { measureClusterStart, measureStart } from "./start.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const PAGE = `${ROOT}docs/benchmarks.md`;
const CLUSTER_KUBECONFIG = "/var/lib/mirrord-cluster/kubeconfig";

export interface Bench {
  mirrord: string;
  root: string;
  /** Environment for mirrord and kubectl when they talk to the cluster. */
  clusterEnv: Record<string, string>;
}

async function main(): Promise<number> {
  const bench: Bench = {
    mirrord: `${ROOT}dist/mirrord`,
    root: ROOT,
    clusterEnv: {
      KUBECONFIG: Deno.env.get("KUBECONFIG") ?? CLUSTER_KUBECONFIG,
      PATH: `${Deno.env.get("HOME")}/.cache/mirrord-cluster/bin:${Deno.env.get("PATH")}`,
    },
  };
  await tryToPrepare(["wrk", "node", "nginx"]);
  const rows: Row[] = [];
  const skipped: string[] = [];
  const add = (more: Row[]) => {
    rows.push(...more);
    say(markdownTable(more) + "\n");
  };
  add(await measureStart(bench));
  add(await measureHooks(bench));
  add(await measureDelay());
  add(await measureConnects(bench));
  add(await measureIncoming());
  if (await hasCluster(bench)) {
    add(await measureClusterStart(bench));
    add(await measureNetwork(bench));
    add(await measureFiles(bench));
    add(await measureStolen(bench));
    add(await measureListing(bench));
  } else skipped.push("everything that needs Kubernetes: no API server answers");
  add(await measureMemory(bench));
  await Deno.writeTextFile(PAGE, await page(rows, skipped));
  say(`Written to ${PAGE}`);
  return 0;
}

async function hasCluster(bench: Bench): Promise<boolean> {
  const { success } = await new Deno.Command("kubectl", {
    args: ["get", "--raw", "/readyz", "--request-timeout=5s"],
    env: bench.clusterEnv,
    stdout: "null",
    stderr: "null",
  }).output().catch(() => ({ success: false }));
  return success;
}

async function page(rows: Row[], skipped: string[]): Promise<string> {
  const head = new TextDecoder().decode(
    (await new Deno.Command("git", { args: ["rev-parse", "--short", "HEAD"], cwd: ROOT }).output()).stdout,
  ).trim();
  const date = new Date().toISOString().slice(0, 10);
  return `# Benchmarks

Printed by \`npx -y deno@2.9.6 task bench\` on ${date} at commit ${head}: Linux ${Deno.osRelease()}, ${navigator.hardwareConcurrency} cores.
Two ways of doing one thing take turns in one run; of each the median counts, and the ratio is what is judged. The machine is shared, so
single figures move by a third between runs and ratios by a tenth. How many messages an operation costs is not measured but asserted:
\`tests/session\` and \`tests/shim\` count them (small file 1, getaddrinfo 1, connect 1).
"Node and developer apart": a cluster's node and a developer's machine are two, so the load, the target's server and the agent have one
processor, the intproxy and the user's program the other; without a run the load and the server have that one processor too. "All
shared": the kernel places everything, so the user's own program takes time from the target.

${markdownTable(rows)}
${skipped.map((what) => `\nLeft out in this run: ${what}.\n`).join("")}`;
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}

if (import.meta.main) Deno.exit(await main());
