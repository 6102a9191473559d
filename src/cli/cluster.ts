/** An agent in the cluster, for `mirrord exec`: kubeconfig, target, Job; each a step the user sees. */
import { toHex } from "../base/bytes.ts";
import type { Config } from "../config/resolve.ts";
import { formatTarget, type Target } from "../config/target.ts";
import { createAgent } from "../kube/agent_pod.ts";
import type { AgentSpec } from "../kube/agent_manifest.ts";
import { agentImage } from "../kube/image.ts";
import { resolveTarget } from "../kube/pods.ts";
import type { AgentSource } from "./control.ts";
import { openCluster } from "./open_cluster.ts";
import type { Progress } from "./progress.ts";
import { VERSION } from "./version.ts";

export interface ReachableAgent {
  readonly source: AgentSource;
  /** Where volumes are mounted in the target: they are read from it, wherever they lie. */
  readonly mounts: readonly string[];
  /** What `work` with the agent promises; where it fails because the agent did, the cluster's reason. */
  readonly explained: <T>(work: Promise<T>) => Promise<T>;
}

/** Makes the agent; `undo` removes it again unless the program is started. */
export async function agentInCluster(
  config: Config,
  target: Exclude<Target, { kind: "process" }>,
  progress: Progress,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ReachableAgent> {
  const kube = await openCluster(config);
  const client = undo.use(kube.client);
  const namespace = config.targetNamespace ?? kube.namespace;
  const resolved = target.kind === "targetless"
    ? undefined
    : await progress.step(`looking for ${formatTarget(target)}`, async (step) => {
      const found = await resolveTarget(client, namespace, target, signal);
      step.done = `target found: container ${found.container} of pod ${found.pod} in namespace ${namespace}`;
      return found;
    });
  if (resolved && resolved.choice !== "") progress.info(resolved.choice);
  const agent = await progress.step("creating the agent", async (step) => {
    const made = await createAgent({
      client,
      namespace: config.agent.namespace ?? namespace,
      target: resolved,
      isEphemeral: config.agent.isEphemeral,
      spec: specOf(config),
      startupTimeoutMs: config.agent.startupTimeoutMs,
      onStep: (text) => step.update(text),
      signal,
    });
    step.done = config.agent.isEphemeral
      ? `agent runs in pod ${made.address.pod}`
      : `agent pod ${made.address.pod} is running`;
    return made;
  });
  undo.defer(() => agent.remove().catch(() => {}));
  return {
    source: { kind: "port-forward", address: agent.address, secret: toHex(agent.secret) },
    mounts: resolved?.mounts ?? [],
    explained: (work) => agent.explained(work),
  };
}

/** How long an agent waits for its first client, when nobody says. */
const COMMUNICATION_TIMEOUT_SECONDS = 30;

function specOf({ agent }: Config): AgentSpec {
  return {
    ...agent,
    image: agentImage(agent.image, VERSION),
    communicationTimeoutSeconds: agent.communicationTimeoutSeconds ?? COMMUNICATION_TIMEOUT_SECONDS,
    isQuiet: agent.logLevel === "off",
  };
}
