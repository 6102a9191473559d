/** An agent in the cluster, for `mirrord exec`: kubeconfig, target, Job; each a step the user sees. */
import { toHex } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import { formatTarget, type Target } from "../config/target.ts";
import { type AgentOptions, attachAgent, type ClusterAgent, createAgent, isLogWanted } from "../kube/agent_pod.ts";
import type { AgentSpec } from "../kube/agent_manifest.ts";
import { agentImage } from "../kube/image.ts";
import type { KubeClient } from "../kube/client.ts";
import type { ProbedPort } from "../kube/container_ports.ts";
import { type ResolvedTarget, resolveTarget } from "../kube/pods.ts";
import { withMissingRights } from "../kube/rights.ts";
import type { AgentSource } from "./control.ts";
import { forgetAgent, keyOfAgent, recallAgent, rememberAgent } from "./kept_agents.ts";
import { openCluster } from "./open_cluster.ts";
import type { Progress } from "./progress.ts";
import { VERSION } from "./version.ts";

export interface ReachableAgent {
  readonly source: AgentSource;
  /** Where volumes are mounted in the target: they are read from it, wherever they lie. */
  readonly mounts: readonly string[];
  /** What the target's container says it listens on. */
  readonly ports: readonly number[];
  readonly probes: readonly ProbedPort[];
  /** What `work` with the agent promises; where it fails because the agent did, the cluster's reason. */
  readonly explained: <T>(work: Promise<T>) => Promise<T>;
  /** Of one that was kept: another in its place, for it may go at any moment. */
  readonly replaced?: () => Promise<ReachableAgent>;
}

/** Makes the agent; `undo` removes it again unless the program is started. */
export async function agentInCluster(
  config: Config,
  target: Exclude<Target, { kind: "process" }>,
  progress: Progress,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ReachableAgent> {
  const kube = await progress.aside(() => openCluster(config, signal)); // a plugin may ask for a password
  const client = undo.use(kube.client);
  const namespace = config.targetNamespace ?? kube.namespace;
  const agentNamespace = config.agent.namespace ?? namespace;
  const named = target.kind === "targetless" ? undefined : target;
  const rights = { target: named, targetNamespace: namespace, agentNamespace, isEphemeral: config.agent.isEphemeral };
  try {
    const resolved = named && await findTarget(client, namespace, named, progress, signal);
    return await agentFor(config, client, agentNamespace, resolved, progress, undo, signal);
  } catch (error) {
    throw await withMissingRights(client, error, rights);
  }
}

async function findTarget(
  client: KubeClient,
  namespace: string,
  target: Exclude<Target, { kind: "process" | "targetless" }>,
  progress: Progress,
  signal: AbortSignal,
): Promise<ResolvedTarget> {
  const resolved = await progress.step(`looking for ${formatTarget(target)}`, async (step) => {
    const found = await resolveTarget(client, namespace, target, signal);
    step.done = `target found: container ${found.container} of pod ${found.pod} in namespace ${namespace}`;
    return found;
  });
  if (resolved.choice !== "") progress.info(resolved.choice);
  return resolved;
}

async function agentFor(
  config: Config,
  client: KubeClient,
  namespace: string,
  target: ResolvedTarget | undefined,
  progress: Progress,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ReachableAgent> {
  const spec = specOf(config);
  const wanted: Wanted = {
    ...{ client, namespace, target, spec, signal },
    isEphemeral: config.agent.isEphemeral,
    startupTimeoutMs: config.agent.startupTimeoutMs,
  };
  const isKept = spec.keepAliveSeconds > 0;
  const { agent, forget } = isKept
    ? await keptAgent(wanted, progress, undo)
    : { agent: await newAgent(wanted, progress, undo), forget: undefined };
  const replaced = async () => {
    await forget?.();
    return await agentFor(config, client, namespace, target, progress, undo, signal);
  };
  const job = isKept || isLogWanted(spec) ? undefined : agent.jobName;
  return {
    source: { kind: "port-forward", address: agent.address, secret: toHex(agent.secret), job },
    mounts: target?.mounts ?? [],
    ports: target?.ports ?? [],
    probes: target?.probes ?? [],
    explained: (work) => agent.explained(work).catch((error) => Promise.reject(withFittingImage(error))),
    ...forget ? { replaced } : {},
  };
}

/** Where the agent is of another version, the hint names the image to use. */
export function withFittingImage(error: unknown): unknown {
  if (!(error instanceof UserError) || error.code !== "AGENT_VERSION") return error;
  return new UserError(error.code, error.message, {
    hint: `--agent-image ${agentImage({}, VERSION)} fits, or mirrord of the agent's version`,
  });
}

type Wanted = AgentOptions & { readonly signal: AbortSignal };

async function newAgent(wanted: Wanted, progress: Progress, undo: AsyncDisposableStack): Promise<ClusterAgent> {
  const agent = await progress.step("creating the agent", async (step) => {
    const made = await createAgent({ ...wanted, onStep: (text) => step.update(text) });
    const { pod } = made.address;
    step.done = wanted.isEphemeral ? `agent runs in pod ${pod}` : `agent pod ${pod} is running`;
    return made;
  });
  undo.defer(() => agent.remove().catch(() => {}));
  return agent;
}

/** The one that a run before has left for us, else a new one, which is left for the next run. */
async function keptAgent(
  wanted: Wanted,
  progress: Progress,
  undo: AsyncDisposableStack,
): Promise<{ agent: ClusterAgent; forget?: () => Promise<void> }> {
  const { client, namespace, target, isEphemeral, spec } = wanted;
  const { url, context } = client.server;
  const key = await keyOfAgent({
    ...{ version: VERSION, url, context, namespace, isEphemeral, spec },
    target: target && { namespace: target.namespace, pod: target.pod, containerId: target.containerId },
  });
  // Whatever is wrong with a run that does not begin: the next one has an agent of its own.
  undo.defer(() => forgetAgent(key));
  const kept = await recallAgent(key);
  const known = kept && { ...kept, secret: Uint8Array.fromHex(kept.secret) };
  const again = known && await progress.step("looking for the agent that was kept", async (step) => {
    const found = await attachAgent(wanted, spec.image, known);
    step.done = found ? `agent pod ${known.pod} was kept and is used again` : "the agent that was kept is gone";
    return found;
  });
  if (again) return { agent: again, forget: () => forgetAgent(key) };
  const agent = await newAgent(wanted, progress, undo);
  const { pod, port, namespace: place } = agent.address;
  const job = agent.jobName === undefined ? {} : { job: agent.jobName };
  const { container, secret } = agent;
  await rememberAgent(key, { namespace: place, pod, container, port, secret: toHex(secret), ...job });
  return { agent };
}

/** How long an agent waits for its first client, when nobody says. */
const COMMUNICATION_TIMEOUT_SECONDS = 30;

function specOf({ agent, ...config }: Config): AgentSpec {
  return {
    ...agent,
    isWriting: config.fsMode === "write" || config.paths.readWrite.length > 0,
    takesIncoming: config.incoming.mode !== "off",
    image: agentImage(agent.image, VERSION),
    communicationTimeoutSeconds: agent.communicationTimeoutSeconds ?? COMMUNICATION_TIMEOUT_SECONDS,
    isQuiet: agent.logLevel === "off",
  };
}
