/**
 * The ways to log in that kubeconfigs knew before there were exec plugins (`auth-provider`: oidc and those of clouds). They
 * are @kubernetes/client-node's, which is loaded for nothing else: it takes 95 ms of CPU and 30 MB.
 */
import { UserError } from "../base/errors.ts";
import type { KubeUser } from "./kubeconfig_file.ts";

/** The headers that authenticate `user`. */
export async function authProviderHeaders(user: KubeUser, server: string): Promise<Record<string, string>> {
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  const config = new KubeConfig();
  const cluster = { name: "cluster", server, skipTLSVerify: false };
  config.loadFromClusterAndUser(cluster, { name: user.name, authProvider: user.authProvider });
  const applied: { headers: Record<string, string> } = { headers: {} };
  try {
    await config.applyToHTTPSOptions(applied);
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).trim().split("\n", 1);
    throw new UserError(
      "KUBE_AUTH_FAILED",
      `Cannot authenticate as user "${user.name}": the kubeconfig's provider "${user.authProvider?.name}" failed: ${line}`,
      { cause: error, hint: "log in again as your cluster's provider says; `kubectl version` must work" },
    );
  }
  return applied.headers;
}
