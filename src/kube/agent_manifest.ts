/**
 * The Job that runs the agent, as data. It asks for as little as the agent gets along with: without a target it has no
 * rights at all, with one it has hostPID and five capabilities; it is never privileged and mounts nothing of the node.
 */

export interface AgentJob {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly pullPolicy: "Always" | "IfNotPresent" | "Never";
  readonly port: number;
  /** Hex. The pod's spec is no secret, so it does not hold the secret itself. */
  readonly secretSha256: string;
  /** How long the agent waits for its client. */
  readonly communicationTimeoutSeconds: number;
  /** How long the finished Job is kept. */
  readonly ttlSeconds: number;
  readonly target: { readonly node: string; readonly containerId: string } | undefined;
}

const LABELS = { app: "mirrord", "kuma.io/sidecar-injection": "disabled" };
const ANNOTATIONS = { "linkerd.io/inject": "disabled", "sidecar.istio.io/inject": "false" };

/**
 * Each with what it is for. The kernel asks for all of them in the namespaces of the node, so a container's root that
 * has them can do much there: the agent is made with a digest of the run's secret, and nobody else can talk to it.
 */
const TARGETED_CAPABILITIES = [
  "SYS_ADMIN", // setns(2): the target's network and host name
  "SYS_PTRACE", // /proc/PID/root, /proc/PID/environ, /proc/PID/ns of a process that is not ours
  "DAC_READ_SEARCH", // files that only their owner may read, as root in the target may; and /proc/PID/environ
  "SETUID", // files as a target that is not root: setfsuid(2)
  "SETGID", // the same for its groups
];

export const AGENT_CONTAINER = "mirrord-agent";

export function agentJobManifest(job: AgentJob): object {
  const { name, namespace, ttlSeconds } = job;
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace, labels: LABELS, annotations: ANNOTATIONS },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: ttlSeconds,
      template: { metadata: { labels: LABELS, annotations: ANNOTATIONS }, spec: podSpec(job) },
    },
  };
}

function podSpec(job: AgentJob): object {
  const { target } = job;
  const placed = target && {
    // By name rather than by selector: the one node is known, and what is in the way there is said at once.
    nodeName: target.node,
    hostPID: true,
    tolerations: [{ operator: "Exists" }],
  };
  return {
    ...placed,
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 5,
    automountServiceAccountToken: false,
    // Without a target the agent's variables are the program's, and a pod has those of the Services around it.
    enableServiceLinks: !target,
    containers: [container(job)],
  };
}

function container({ image, pullPolicy, port, secretSha256, communicationTimeoutSeconds, target }: AgentJob): object {
  const who = target ? ["--container-id", target.containerId] : ["--targetless"];
  return {
    name: AGENT_CONTAINER,
    image,
    imagePullPolicy: pullPolicy,
    args: [...who, "--listen", String(port), "--communication-timeout", String(communicationTimeoutSeconds)],
    env: [{ name: "MIRRORD_AGENT_SECRET_SHA256", value: secretSha256 }],
    // What it said last is in the pod's status: readable without the right to read logs.
    terminationMessagePolicy: "FallbackToLogsOnError",
    // Measured: 57 MB idle, 230 MB at most while 2 GB pass in four streams. JavaScript can use one core, I/O another.
    resources: { requests: { cpu: "10m", memory: "64Mi" }, limits: { cpu: "2", memory: "512Mi" } },
    securityContext: {
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
      ...(target
        ? { runAsUser: 0, capabilities: { drop: ["ALL"], add: TARGETED_CAPABILITIES } }
        : { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, capabilities: { drop: ["ALL"] } }),
    },
  };
}
