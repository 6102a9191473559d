/** The cluster that a configuration means: its API server's client, and the namespace of its context. */
import type { Config } from "../config/resolve.ts";
import { KubeClient } from "../kube/client.ts";
import { loadKubeconfig } from "../kube/kubeconfig.ts";

export interface OpenCluster {
  readonly client: KubeClient;
  /** The context's. */
  readonly namespace: string;
}

export async function openCluster(config: Config): Promise<OpenCluster> {
  const { kubeconfig: path, context, acceptInvalidCertificates: isInsecure, usesProxy } = config.kube;
  const env = (name: string) => !usesProxy && /_proxy$/i.test(name) ? undefined : Deno.env.get(name);
  const { server, namespace } = await loadKubeconfig({ path, context, isInsecure, env });
  return { client: new KubeClient(server), namespace };
}
