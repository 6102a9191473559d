/** What completions ask the cluster and the kubeconfig for. Whoever presses a key twice waits: not for long, and nothing fails. */
import type { Config } from "../config/resolve.ts";
import type { KubeClient } from "../kube/client.ts";

const PATIENCE_MS = 3000;

/** Names of contexts, as the kubeconfig's files have them. */
export async function contexts(words: readonly string[]): Promise<string[]> {
  const given = valueIn(words, "--kubeconfig") ?? Deno.env.get("MIRRORD_KUBECONFIG") ?? Deno.env.get("KUBECONFIG");
  const files = given ? given.split(":") : [`${Deno.env.get("HOME") ?? ""}/.kube/config`];
  const { default: yaml } = await import("yaml");
  const names = files.flatMap((file) => {
    try {
      const content = yaml.parse(Deno.readTextFileSync(file)) as { contexts?: { name?: unknown }[] } | null;
      return (content?.contexts ?? []).map((it) => it.name).filter((it) => typeof it === "string");
    } catch {
      return [];
    }
  });
  return [...new Set(names)];
}

export async function namespaces(words: readonly string[]): Promise<string[]> {
  return await asked(words, async (client) => {
    const { listNamespaces } = await import("../kube/listing.ts");
    return await listNamespaces(client, AbortSignal.timeout(PATIENCE_MS)) ?? [];
  });
}

export async function targets(words: readonly string[]): Promise<string[]> {
  const found = await asked(words, async (client, namespace) => {
    const { listTargets } = await import("../kube/listing.ts");
    const { formatTargets } = await import("./ls_format.ts");
    const { targets } = await listTargets(client, { namespace, kinds: undefined });
    return formatTargets(targets, "name", false).split("\n").filter((it) => it !== "");
  });
  return [...found, "targetless"];
}

async function asked(
  words: readonly string[],
  ask: (client: KubeClient, namespace: string) => Promise<string[]>,
): Promise<string[]> {
  try {
    const config = await configOf(words);
    const { openCluster } = await import("./open_cluster.ts");
    const kube = await openCluster(config);
    using client = kube.client;
    const late = Promise.withResolvers<string[]>();
    const timer = setTimeout(() => late.resolve([]), PATIENCE_MS);
    try {
      return await Promise.race([ask(client, config.targetNamespace ?? kube.namespace), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  } catch {
    return [];
  }
}

/** As the words so far, the variables and the file say. */
async function configOf(words: readonly string[]): Promise<Config> {
  const { loadConfig } = await import("./configuration.ts");
  const { parseArguments } = await import("./arguments.ts");
  const { CONFIG_FILE_OPTION, EXEC_OPTIONS } = await import("../config/options.ts");
  const command = words.findIndex((it) => !it.startsWith("-"));
  const known = words.slice(command + 1);
  // The last one waits for its value.
  const flags = known.at(-1)?.startsWith("-") ? known.slice(0, -1) : known;
  const parsed = parseArguments(flags, [CONFIG_FILE_OPTION, ...EXEC_OPTIONS]);
  return (await loadConfig({ flags: parsed.flags, rest: [] })).config;
}

function valueIn(words: readonly string[], flag: string): string | undefined {
  const at = words.lastIndexOf(flag);
  return at === -1 ? words.find((it) => it.startsWith(`${flag}=`))?.slice(flag.length + 1) : words[at + 1];
}
