/** The cluster that a configuration means: its API server's client, and the namespace of its context. */
import type { Config } from "../config/resolve.ts";
import { KubeClient } from "../kube/client.ts";
import { loadKubeconfig } from "../kube/kubeconfig.ts";

export interface OpenCluster {
  readonly client: KubeClient;
  /** The context's. */
  readonly namespace: string;
}

/** `signal` ends a plugin that asks for a password, say. */
export async function openCluster(config: Config, signal?: AbortSignal): Promise<OpenCluster> {
  const { kubeconfig: path, context, acceptInvalidCertificates: isInsecure, usesProxy } = config.kube;
  const env = (name: string) => !usesProxy && /_proxy$/i.test(name) ? undefined : Deno.env.get(name);
  const { server, namespace } = await loadKubeconfig({ path, context, isInsecure, env, signal });
  return { client: new KubeClient(server), namespace };
}
