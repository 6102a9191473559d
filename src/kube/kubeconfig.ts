/**
 * From a kubeconfig to an `ApiServer`: which file, which context, and what authenticates us there, exec plugins
 * included.
 *
 * @kubernetes/client-node reads it. It is loaded only here and only when needed, never by the intproxy; and only its
 * module for kubeconfigs, of which the bundler keeps 2 MB: all of it is 17 MB, which take 300 ms to start.
 */
import type { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import type { Cluster, Context, User } from "@kubernetes/client-node/dist/config_types.js";
import { UserError } from "../base/errors.ts";
import type { ApiServer } from "./api_server.ts";
import { type ExecPlugin, runExecPlugin } from "./exec_plugin.ts";
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
}

const IN_CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** Throws `UserError` saying which file is wrong and how. */
export async function loadKubeconfig(options: KubeconfigOptions = {}): Promise<Kubeconfig> {
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  const env = options.env ?? ((name) => Deno.env.get(name));
  const sources = await readSources(options.path, env);
  const config = new KubeConfig();
  let from: string;
  if (sources) {
    from = sources.map((it) => it.path).join(":");
    merge(config, sources.map((it) => parse(new KubeConfig(), it)));
    if (config.clusters.length === 0 && config.contexts.length === 0) throw invalid(from, "it names no clusters");
  } else if (env("KUBERNETES_SERVICE_HOST") && await exists(IN_CLUSTER_TOKEN)) {
    from = "the pod's service account";
    config.loadFromCluster();
  } else throw missing(env);
  const context = chooseContext(config, options.context, from);
  config.setCurrentContext(context.name);
  const isTerminal = options.isTerminal ?? Deno.stdin.isTerminal();
  const directory = directoryOf(sources?.[0]?.path ?? "/");
  const server = await serverOf(config, context, { from, env, isTerminal, directory });
  return {
    server: options.isInsecure === undefined ? server : { ...server, isInsecure: options.isInsecure },
    namespace: context.namespace || "default",
  };
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
  if (given !== undefined) return await Promise.all(given.split(":").filter(Boolean).map((it) => readSource(it)));
  const listed = env("KUBECONFIG")?.split(":").filter(Boolean) ?? [];
  if (listed.length > 0) {
    // As kubectl has it, a listed file need not be there; all missing is a mistake.
    const present: Source[] = [];
    for (const path of listed) if (await exists(path)) present.push(await readSource(path));
    return present.length > 0 ? present : [await readSource(listed[0]!)];
  }
  const usual = `${env("HOME") ?? ""}/.kube/config`;
  return await exists(usual) ? [await readSource(usual)] : undefined;
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

function parse(config: KubeConfig, { path, text }: Source): KubeConfig {
  if (text.trim() === "") return config;
  try {
    config.loadFromString(text);
  } catch (error) {
    throw invalid(path, firstLine(error), error);
  }
  config.makePathsAbsolute(directoryOf(path));
  return config;
}

/** Into `into`; of two things with one name the first wins, as with kubectl. */
function merge(into: KubeConfig, configs: readonly KubeConfig[]): void {
  const firsts = <T extends { name: string }>(all: T[]): T[] => [
    ...new Map(all.toReversed().map((it) => [it.name, it])).values(),
  ];
  into.loadFromOptions({
    clusters: firsts(configs.flatMap((it) => it.clusters)),
    contexts: firsts(configs.flatMap((it) => it.contexts)),
    users: firsts(configs.flatMap((it) => it.users)),
    currentContext: configs.map((it) => it.currentContext).find(Boolean),
  });
}

function chooseContext(config: KubeConfig, wanted: string | undefined, from: string): Context {
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
}

async function serverOf(config: KubeConfig, context: Context, around: Surroundings): Promise<ApiServer> {
  const { from, env } = around;
  const cluster: Cluster | undefined = config.clusters.find((it) => it.name === context.cluster);
  const user: User | undefined = config.users.find((it) => it.name === context.user);
  if (!cluster?.server) throw invalid(from, `context "${context.name}" names cluster "${context.cluster}", not there`);
  if (!user && context.user) throw invalid(from, `context "${context.name}" names user "${context.user}", not there`);
  if (!/^https?:\/\/./.test(cluster.server)) throw invalid(from, `"${cluster.server}" is no address of an API server`);
  const { proxyUrl, ...direct } = cluster;
  // The library has rules of its own against plain HTTP (`kubectl proxy` is reached that way) and about proxies.
  const isPlain = cluster.server.startsWith("http:");
  config.clusters = config.clusters.map((it) =>
    it === cluster ? { ...direct, skipTLSVerify: isPlain || direct.skipTLSVerify } : it
  );
  if (user?.exec) await logIn(config, user, cluster, around);
  const proxy = proxyFor(cluster.server, proxyUrl, env);
  const applied: Applied = { headers: {} };
  try {
    await config.applyToHTTPSOptions(applied);
  } catch (error) {
    throw authenticationFailure(error, from);
  }
  const headers = { ...applied.headers, ...(applied.auth ? { Authorization: `Basic ${btoa(applied.auth)}` } : {}) };
  return {
    url: cluster.server,
    context: context.name,
    headers,
    ...pem("ca", applied.ca),
    ...pem("cert", applied.cert),
    ...pem("key", applied.key),
    ...(applied.servername ? { serverName: applied.servername } : {}),
    ...(applied.rejectUnauthorized === false ? { isInsecure: true } : {}),
    ...(proxy === undefined ? {} : { proxy }),
  };
}

/** Puts in place of the plugin what it answers. */
async function logIn(config: KubeConfig, user: User, cluster: Cluster, around: Surroundings): Promise<void> {
  const { isTerminal, directory } = around;
  const credentials = await runExecPlugin(user.exec as ExecPlugin, {
    ...{ user: user.name, isTerminal, directory },
    cluster: {
      server: cluster.server,
      "tls-server-name": cluster.tlsServerName,
      "insecure-skip-tls-verify": cluster.skipTLSVerify,
      "certificate-authority-data": cluster.caData,
    },
  });
  const { exec: _, ...rest } = user;
  const { token, clientCertificateData: cert, clientKeyData: key } = credentials;
  const known: User = {
    ...rest,
    ...(token === undefined ? {} : { token }),
    ...(cert === undefined ? {} : { certData: btoa(cert) }),
    ...(key === undefined ? {} : { keyData: btoa(key) }),
  };
  config.users = config.users.map((it) => it === user ? known : it);
}

/** What the library puts in, of node's many options. */
interface Applied {
  headers: Record<string, string>;
  auth?: string;
  ca?: string | Uint8Array;
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  servername?: string;
  rejectUnauthorized?: boolean;
}

function pem<K extends string>(name: K, value: string | Uint8Array | undefined): { [P in K]?: string } {
  if (value === undefined) return {};
  const text = typeof value === "string" ? value : new TextDecoder().decode(value);
  return { [name]: text } as { [P in K]?: string };
}

function authenticationFailure(error: unknown, from: string): unknown {
  if (error instanceof Deno.errors.NotFound || error instanceof Error && "code" in error && error.code === "ENOENT") {
    return invalid(from, `a file that it names is missing (${firstLine(error)})`, error);
  }
  return new UserError("KUBE_AUTH_FAILED", `Cannot authenticate with ${from}: ${firstLine(error)}`, { cause: error });
}

export function missing(env: (name: string) => string | undefined): UserError {
  const usual = `${env("HOME") ?? "~"}/.kube/config`;
  return new UserError(
    "KUBECONFIG_MISSING",
    `Cannot find a kubeconfig: KUBECONFIG is not set and there is no ${usual}`,
    {
      hint: "--kubeconfig FILE names one; --target process/PID needs none",
    },
  );
}

export function invalid(from: string, because: string, cause?: unknown): UserError {
  return new UserError("KUBECONFIG_INVALID", `Cannot use the kubeconfig ${from}: ${because}`, {
    hint: "`kubectl config view` must be able to read it",
    ...(cause === undefined ? {} : { cause }),
  });
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split("\n", 1)[0]!;
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
