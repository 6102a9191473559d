/**
 * A kubeconfig's exec plugin: the program that logs the user in (client.authentication.k8s.io, v1 and v1beta1). Where it
 * may ask something, it has the user's terminal; what it says on standard error the user sees then, else it is told when
 * the plugin fails.
 */
import { concatBytes, fromUtf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import { delay } from "./deadline.ts";

/** As the kubeconfig has it. */
export interface ExecPlugin {
  readonly apiVersion?: string;
  readonly command?: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly installHint?: string;
  readonly interactiveMode?: string;
  readonly provideClusterInfo?: boolean;
}

/** Who asks, and about which cluster. */
export interface PluginContext {
  readonly user: string;
  /** Of the kubeconfig: what relative commands are relative to. */
  readonly directory: string;
  /** What a plugin learns of the cluster that asks to. */
  readonly cluster: Readonly<Record<string, unknown>>;
  readonly isTerminal: boolean;
  /** Ends the plugin. */
  readonly signal?: AbortSignal | undefined;
}

export interface PluginCredentials {
  readonly token?: string;
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
}

export async function runExecPlugin(plugin: ExecPlugin, context: PluginContext): Promise<PluginCredentials> {
  const { command = "", interactiveMode = "IfAvailable" } = plugin;
  const isInteractive = interactiveMode !== "Never" && context.isTerminal;
  if (interactiveMode === "Always" && !isInteractive) {
    throw failed(plugin, context, "wants to ask something, and there is no terminal", "log in with kubectl before");
  }
  const { code, stdout, stderr } = await outputOf(plugin, context, isInteractive);
  if (code !== 0) {
    const because = firstLine(stderr) || `exit code ${code}`;
    throw failed(plugin, context, `failed: ${because}`, `run \`${command}\` by hand, or any kubectl command`);
  }
  return credentialsOf(plugin, context, stdout);
}

async function outputOf(plugin: ExecPlugin, context: PluginContext, isInteractive: boolean) {
  const { command = "", args, env, apiVersion, provideClusterInfo } = plugin;
  const path = command.includes("/") && !command.startsWith("/") ? `${context.directory}/${command}` : command;
  const info = {
    apiVersion,
    kind: "ExecCredential",
    spec: { interactive: isInteractive, ...(provideClusterInfo ? { cluster: context.cluster } : {}) },
  };
  try {
    const child = new Deno.Command(path, {
      args: [...(args ?? [])],
      env: {
        ...Object.fromEntries((env ?? []).map(({ name, value }) => [name, value])),
        KUBERNETES_EXEC_INFO: JSON.stringify(info),
      },
      stdin: isInteractive ? "inherit" : "null",
      stdout: "piped",
      stderr: isInteractive ? "inherit" : "piped",
    }).spawn();
    return await answerOf(child, isInteractive, context.signal);
  } catch (error) {
    context.signal?.throwIfAborted();
    if (error instanceof Deno.errors.NotFound) {
      throw new UserError(
        "KUBE_AUTH_PLUGIN_MISSING",
        `Cannot authenticate as user "${context.user}": the kubeconfig's plugin "${command}" is not in PATH`,
        { hint: plugin.installHint?.trim() || "install it, or start mirrord where PATH has it" },
      );
    }
    const because = error instanceof Error ? error.message : String(error);
    throw failed(plugin, context, `cannot be run: ${because}`, "can you run it by hand?");
  }
}

/** For a signal that came to the plugin to come to us too. */
const SIGNAL_MS = 500;

/** Rejects when it is called off: whatever the plugin started may hold its pipes open, and is not waited for. */
async function answerOf(child: Deno.ChildProcess, isInteractive: boolean, signal: AbortSignal | undefined) {
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const reader = stream.getReader();
    readers.push(reader);
    const parts: Uint8Array[] = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) parts.push(next.value);
    return fromUtf8(concatBytes(parts));
  };
  const answered = Promise.all([child.status, read(child.stdout), isInteractive ? "" : read(child.stderr)]);
  answered.catch(() => {}); // of one that was called off
  const stopped = Promise.withResolvers<never>();
  const onAbort = () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    for (const reader of readers) reader.cancel().catch(() => {});
    stopped.reject(signal!.reason);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const [status, stdout, stderr] = await Promise.race([answered, stopped.promise]);
    // Ctrl-C is for both of us; that it has ended by it may be known first.
    if (signal && (status.signal === "SIGINT" || status.code === 128 + 2)) await delay(SIGNAL_MS, signal);
    return { code: status.code, stdout, stderr };
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

function credentialsOf(plugin: ExecPlugin, context: PluginContext, text: string): PluginCredentials {
  let status: unknown;
  try {
    status = (JSON.parse(text) as { status?: unknown }).status;
  } catch {
    status = undefined;
  }
  const { token, clientCertificateData, clientKeyData } = (status ?? {}) as Record<string, unknown>;
  if (typeof token !== "string" && typeof clientCertificateData !== "string") {
    const because = "gave no ExecCredential with a token or a certificate";
    throw failed(plugin, context, because, "does kubectl work with this kubeconfig?");
  }
  return {
    ...(typeof token === "string" ? { token } : {}),
    ...(typeof clientCertificateData === "string" ? { clientCertificateData } : {}),
    ...(typeof clientKeyData === "string" ? { clientKeyData } : {}),
  };
}

function failed({ command }: ExecPlugin, { user }: PluginContext, because: string, hint: string): UserError {
  return new UserError(
    "KUBE_AUTH_FAILED",
    `Cannot authenticate as user "${user}": the kubeconfig's plugin "${command}" ${because}`,
    { hint },
  );
}

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0]!;
}
