/**
 * What runs the agent, as data: a Job, or an ephemeral container of the target's pod. It asks for as little as the agent
 * gets along with: without a target it has no rights at all, with one it has hostPID (as a Job) and five capabilities, and
 * those that writing files and incoming traffic take where the run may do that; it mounts nothing of the node, and is privileged only when the user says so.
 */

/** What the user may say of it; docs/config.md has the meanings. */
export interface AgentSpec {
  readonly image: string;
  readonly pullPolicy: "Always" | "IfNotPresent" | "Never";
  readonly pullSecrets: readonly string[];
  /** How long the finished Job is kept. */
  readonly ttlSeconds: number;
  /** How long the agent waits for its first client. */
  readonly communicationTimeoutSeconds: number;
  /** How long it waits for another one when the last has left. */
  readonly keepAliveSeconds: number;
  readonly isJsonLog: boolean;
  readonly isQuiet: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly object[] | undefined;
  readonly resources: object | undefined;
  readonly serviceAccount: string | undefined;
  readonly priorityClass: string | undefined;
  readonly isPrivileged: boolean;
  /** What runs may do with the agent beyond reading, connecting and asking names. */
  readonly isWriting: boolean;
  readonly takesIncoming: boolean;
  readonly disabledCapabilities: readonly string[];
  readonly isMeshInjectionDisabled: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
}

export interface AgentJob {
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
  /** Hex. The pod's spec is no secret, so it does not hold the secret itself. */
  readonly secretSha256: string;
  readonly target: { readonly node: string; readonly containerId: string } | undefined;
}

export interface EphemeralAgent {
  readonly name: string;
  readonly port: number;
  readonly secretSha256: string;
  readonly target: { readonly container: string; readonly containerId: string };
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
const WRITING_CAPABILITIES = [
  "DAC_OVERRIDE", // files that root in the target may write, whosever they are
  "CHOWN", // the same for whom it may give them to,
  "FOWNER", // whose mode and times it may set,
  "FSETID", // and with which set-id bits
];
const INCOMING_CAPABILITIES = [
  "NET_ADMIN", // redirects of the target's ports: nftables in its network, SO_MARK
  "NET_RAW", // mirrors copy segments as they pass: packet(7); connections that are taken over from the target: raw(7)
  "NET_BIND_SERVICE", // the same for ports below 1024
];

export const AGENT_CONTAINER = "mirrord-agent";

export function agentJobManifest(job: AgentJob, spec: AgentSpec): object {
  const { name, namespace } = job;
  const { app, ...mesh } = LABELS;
  // Ours win: by them agents are known.
  const labels = { ...spec.labels, ...(spec.isMeshInjectionDisabled ? mesh : {}), app };
  const annotations = { ...(spec.isMeshInjectionDisabled ? ANNOTATIONS : {}), ...spec.annotations };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace, labels, annotations },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: spec.ttlSeconds,
      template: { metadata: { labels, annotations }, spec: podSpec(job, spec) },
    },
  };
}

function podSpec(job: AgentJob, spec: AgentSpec): object {
  const { target } = job;
  const placed = target
    ? {
      // By name rather than by selector: the one node is known, and what is in the way there is said at once.
      nodeName: target.node,
      hostPID: true,
      tolerations: spec.tolerations ?? [{ operator: "Exists" }],
    }
    : {
      ...(Object.keys(spec.nodeSelector).length > 0 ? { nodeSelector: spec.nodeSelector } : {}),
      ...(spec.tolerations ? { tolerations: spec.tolerations } : {}),
    };
  const who = target ? ["--container-id", target.containerId] : ["--targetless"];
  return {
    ...placed,
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 5,
    automountServiceAccountToken: false,
    // Without a target the agent's variables are the program's, and a pod has those of the Services around it.
    enableServiceLinks: !target,
    ...(spec.serviceAccount === undefined ? {} : { serviceAccountName: spec.serviceAccount }),
    ...(spec.priorityClass === undefined ? {} : { priorityClassName: spec.priorityClass }),
    ...(spec.pullSecrets.length > 0 ? { imagePullSecrets: spec.pullSecrets.map((name) => ({ name })) } : {}),
    containers: [{
      ...container(AGENT_CONTAINER, who, job, spec),
      // Measured: 57 MB idle, 230 MB at most while 2 GB pass in four streams. JavaScript can use one core, I/O another.
      resources: spec.resources ?? { requests: { cpu: "10m", memory: "64Mi" }, limits: { cpu: "2", memory: "512Mi" } },
      securityContext: securityContext(spec, target !== undefined),
    }],
  };
}

/** What a pod is patched with: the subresource takes it since Kubernetes 1.22. It has the pod's network, and its processes. */
export function ephemeralPatch(agent: EphemeralAgent, spec: AgentSpec): object {
  const { name, target } = agent;
  return {
    spec: {
      ephemeralContainers: [{
        ...container(name, ["--neighbour", target.containerId], agent, spec),
        targetContainerName: target.container,
        // The pod may say otherwise for its containers.
        securityContext: { ...securityContext(spec, true), runAsNonRoot: false },
      }],
    },
  };
}

function container(
  name: string,
  who: readonly string[],
  { port, secretSha256 }: { readonly port: number; readonly secretSha256: string },
  spec: AgentSpec,
): object {
  const waits = [
    ...["--communication-timeout", String(spec.communicationTimeoutSeconds)],
    ...(spec.keepAliveSeconds > 0 ? ["--keep-alive", String(spec.keepAliveSeconds)] : []),
  ];
  const flags: [string, boolean][] = [
    ["MIRRORD_AGENT_JSON_LOG", spec.isJsonLog],
    ["MIRRORD_AGENT_QUIET", spec.isQuiet],
  ];
  return {
    name,
    image: spec.image,
    imagePullPolicy: spec.pullPolicy,
    args: [...who, "--listen", String(port), ...waits],
    env: [
      { name: "MIRRORD_AGENT_SECRET_SHA256", value: secretSha256 },
      ...flags.filter(([, isSet]) => isSet).map(([name]) => ({ name, value: "true" })),
    ],
    // What it said last is in the pod's status: readable without the right to read logs.
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

function securityContext(spec: AgentSpec, isTargeted: boolean): object {
  const needed = [
    ...TARGETED_CAPABILITIES,
    ...(spec.isWriting ? WRITING_CAPABILITIES : []),
    ...(spec.takesIncoming ? INCOMING_CAPABILITIES : []),
  ];
  const capabilities = needed.filter((it) => !spec.disabledCapabilities.includes(it));
  const rights = isTargeted
    ? { runAsUser: 0, capabilities: { drop: ["ALL"], add: capabilities } }
    : { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, capabilities: { drop: ["ALL"] } };
  const { seccomp_profile: seccomp, app_armor_profile: appArmor } = spec.securityContext;
  return {
    readOnlyRootFilesystem: true,
    seccompProfile: profile(seccomp) ?? { type: "RuntimeDefault" },
    ...(appArmor === undefined ? {} : { appArmorProfile: profile(appArmor) }),
    // The API server refuses privileged containers that may not become so.
    ...(spec.isPrivileged
      ? { privileged: true, runAsUser: 0 }
      : { privileged: false, allowPrivilegeEscalation: false, ...rights }),
  };
}

/** `{type, localhost_profile}` as the configuration file writes it. */
function profile(said: unknown): object | undefined {
  if (typeof said !== "object" || said === null) return undefined;
  const { localhost_profile: localhostProfile, ...rest } = said as Record<string, unknown>;
  return { ...rest, ...(localhostProfile === undefined ? {} : { localhostProfile }) };
}
