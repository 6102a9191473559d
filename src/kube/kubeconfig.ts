/**
 * From a kubeconfig to an `ApiServer`: which file, which context, and what authenticates us there, exec plugins
 * included. It is loaded only when it is needed, never by the intproxy.
 */
import { UserError } from "../base/errors.ts";
import type { ApiServer } from "./api_server.ts";
import { runExecPlugin } from "./exec_plugin.ts";
import { invalid, missing } from "./kubeconfig_errors.ts";
import {
  joinKubeconfigs,
  type KubeCluster,
  type KubeconfigContent,
  type KubeContext,
  type KubeUser,
  type Pem,
  readKubeconfig,
} from "./kubeconfig_file.ts";
import { proxyFor } from "./proxy.ts";

export interface Kubeconfig {
  readonly server: ApiServer;
  /** The context's namespace, "default" where it names none. */
  readonly namespace: string;
}

export interface KubeconfigOptions {
  /** Files, separated by ":"; before the environment. */
  readonly path?: string | undefined;
  readonly context?: string | undefined;
  /** Overrides what the kubeconfig says of verifying the server's certificate. */
  readonly isInsecure?: boolean | undefined;
  /** Where variables come from. */
  readonly env?: (name: string) => string | undefined;
  /** Whether an exec plugin may ask something there; by default whether there is one. */
  readonly isTerminal?: boolean;
  /** Ends an exec plugin that is waited for. */
  readonly signal?: AbortSignal | undefined;
  /** The folder of a pod's service account. */
  readonly serviceAccount?: string;
}

/** Where a pod finds what its service account may. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Throws `UserError` saying which file is wrong and how. */
export async function loadKubeconfig(options: KubeconfigOptions = {}): Promise<Kubeconfig> {
  const env = options.env ?? ((name) => Deno.env.get(name));
  const serviceAccount = options.serviceAccount ?? SERVICE_ACCOUNT;
  const sources = await readSources(options.path, env);
  let from: string;
  let content: KubeconfigContent;
  if (sources) {
    from = sources.map((it) => it.path).join(":");
    content = joinKubeconfigs(sources.map((it) => readKubeconfig(it.path, it.text, directoryOf(it.path))));
    if (content.clusters.length === 0 && content.contexts.length === 0) throw invalid(from, "it names no clusters");
  } else if (env("KUBERNETES_SERVICE_HOST") && await exists(`${serviceAccount}/token`)) {
    from = "the pod's service account";
    content = await inCluster(serviceAccount, env);
  } else throw missing(env);
  const context = chooseContext(content, options.context, from);
  const isTerminal = options.isTerminal ?? Deno.stdin.isTerminal();
  const directory = directoryOf(sources?.[0]?.path ?? "/");
  const server = await serverOf(content, context, { from, env, isTerminal, directory, signal: options.signal });
  return {
    server: options.isInsecure === undefined ? server : { ...server, isInsecure: options.isInsecure },
    namespace: context.namespace || "default",
  };
}

/** As if a kubeconfig said so. */
async function inCluster(folder: string, env: (name: string) => string | undefined): Promise<KubeconfigContent> {
  const host = env("KUBERNETES_SERVICE_HOST")!;
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${env("KUBERNETES_SERVICE_PORT") ?? "443"}`;
  const namespace = await Deno.readTextFile(`${folder}/namespace`).then((text) => text.trim(), () => undefined);
  const name = "in-cluster";
  const cluster = { server, "certificate-authority": `${folder}/ca.crt` };
  const file = {
    clusters: [{ name, cluster }],
    users: [{ name, user: { tokenFile: `${folder}/token` } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    "current-context": name,
  };
  return readKubeconfig("the pod's service account", JSON.stringify(file), folder);
}

export interface Source {
  readonly path: string;
  readonly text: string;
}

/** Undefined when nobody names a file and there is none where it usually lies. */
export async function readSources(
  given: string | undefined,
  env: (name: string) => string | undefined,
): Promise<Source[] | undefined> {
  const listed = given === undefined
    ? env("KUBECONFIG")?.split(":").filter(Boolean) ?? []
    : given.split(":").filter(Boolean).map((it) => expanded(it, env));
  if (listed.length > 0) {
    // As kubectl has it, a listed file need not be there; all missing is a mistake.
    const present: Source[] = [];
    for (const path of listed) if (await exists(path)) present.push(await readSource(path));
    return present.length > 0 ? present : [await readSource(listed[0]!)];
  }
  const usual = `${env("HOME") ?? ""}/.kube/config`;
  return await exists(usual) ? [await readSource(usual)] : undefined;
}

/** What a shell makes of a path that it does not see: one in a configuration file, or behind "=". */
function expanded(path: string, env: (name: string) => string | undefined): string {
  return path
    .replace(/^~(?=\/|$)/, () => env("HOME") ?? "~")
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (all, braced, plain) => env(braced ?? plain) ?? all);
}

async function readSource(path: string): Promise<Source> {
  try {
    return { path, text: await Deno.readTextFile(path) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UserError("KUBECONFIG_MISSING", `Cannot read the kubeconfig "${path}": there is no such file`, {
        hint: "--kubeconfig or KUBECONFIG names another one",
      });
    }
    const because = error instanceof Deno.errors.IsADirectory || isDirectory(path)
      ? "it is a directory"
      : error instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : String(error instanceof Error ? error.message : error);
    throw new UserError("KUBECONFIG_UNREADABLE", `Cannot read the kubeconfig "${path}": ${because}`);
  }
}

function chooseContext(config: KubeconfigContent, wanted: string | undefined, from: string): KubeContext {
  const name = wanted ?? config.currentContext;
  const names = config.contexts.map((it) => it.name);
  const hint = names.length > 0 ? `contexts there: ${names.join(", ")}` : "it has no contexts at all";
  if (!name) {
    throw new UserError("KUBE_CONTEXT_UNKNOWN", `Cannot choose a context: ${from} has no current one`, { hint });
  }
  const context = config.contexts.find((it) => it.name === name);
  if (!context) throw new UserError("KUBE_CONTEXT_UNKNOWN", `Cannot use context "${name}": ${from} has none`, { hint });
  return context;
}

export function directoryOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) || "/" : ".";
}

interface Surroundings {
  readonly from: string;
  readonly env: (name: string) => string | undefined;
  readonly isTerminal: boolean;
  /** Of the kubeconfig. */
  readonly directory: string;
  readonly signal: AbortSignal | undefined;
}

async function serverOf(config: KubeconfigContent, context: KubeContext, around: Surroundings): Promise<ApiServer> {
  const { from, env } = around;
  const cluster = config.clusters.find((it) => it.name === context.cluster);
  const user = config.users.find((it) => it.name === context.user);
  if (!cluster?.server) throw invalid(from, `context "${context.name}" names cluster "${context.cluster}", not there`);
  if (!user && context.user) throw invalid(from, `context "${context.name}" names user "${context.user}", not there`);
  if (!/^https?:\/\/./.test(cluster.server)) throw invalid(from, `"${cluster.server}" is no address of an API server`);
  const { server: url } = cluster;
  const proxy = proxyFor(url, cluster.proxyUrl, env);
  const credentials = user ? await credentialsOf(user, { ...cluster, server: url }, around) : { headers: {} };
  const ca = await pemText(cluster.ca, from);
  return {
    url,
    context: context.name,
    ...credentials,
    ...(ca === undefined ? {} : { ca }),
    ...(cluster.serverName ? { serverName: cluster.serverName } : {}),
    // `kubectl proxy` is reached by plain HTTP: there is nothing to verify.
    ...(cluster.isInsecure && url.startsWith("https:") ? { isInsecure: true } : {}),
    ...(proxy === undefined ? {} : { proxy }),
  };
}

type Credentials = Pick<ApiServer, "headers" | "cert" | "key">;

async function credentialsOf(
  user: KubeUser,
  cluster: KubeCluster & { server: string },
  around: Surroundings,
): Promise<Credentials> {
  const { from } = around;
  const plugin = user.exec && await logIn(user, cluster, around);
  const token = plugin?.token ?? (user.tokenFile ? (await readNamed(user.tokenFile, from)).trim() : user.token);
  const cert = plugin?.clientCertificateData ?? await pemText(user.cert, from);
  const key = plugin?.clientKeyData ?? await pemText(user.key, from);
  const provided = user.authProvider && !user.exec
    ? await (await import("./auth_provider.ts")).authProviderHeaders(user, cluster.server)
    : {};
  const basic = user.username === undefined ? undefined : `Basic ${btoa(`${user.username}:${user.password ?? ""}`)}`;
  const authorization = token === undefined ? basic : `Bearer ${token}`;
  return {
    headers: {
      ...provided,
      ...(authorization === undefined ? {} : { Authorization: authorization }),
      ...impersonation(user, from),
    },
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function impersonation({ name, impersonate: { user, groups, uid } }: KubeUser, from: string): Record<string, string> {
  if (groups.length > 1) throw invalid(from, `user "${name}" is to act in several groups (as-groups): one can be used`);
  const [group] = groups;
  return {
    ...(user === undefined ? {} : { "Impersonate-User": user }),
    ...(group === undefined ? {} : { "Impersonate-Group": group }),
    ...(uid === undefined ? {} : { "Impersonate-Uid": uid }),
  };
}

async function logIn(user: KubeUser, cluster: KubeCluster, { isTerminal, directory, signal }: Surroundings) {
  return await runExecPlugin(user.exec!, {
    ...{ user: user.name, isTerminal, directory, signal },
    cluster: {
      server: cluster.server,
      "tls-server-name": cluster.serverName,
      "insecure-skip-tls-verify": cluster.isInsecure,
      "certificate-authority-data": cluster.ca && "data" in cluster.ca ? btoa(cluster.ca.data) : undefined,
    },
  });
}

async function pemText(pem: Pem | undefined, from: string): Promise<string | undefined> {
  if (pem === undefined || "data" in pem) return pem?.data;
  return await readNamed(pem.path, from);
}

/** A file that a kubeconfig names. */
async function readNamed(path: string, from: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const because = error instanceof Deno.errors.NotFound
      ? `a file that it names is missing ("${path}")`
      : `a file that it names cannot be read ("${path}": ${error instanceof Error ? error.message : error})`;
    throw invalid(from, because, error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
