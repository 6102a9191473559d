/**
 * The part of the table of options that is about the agent: `agent.*` of the configuration file, and what of it flags and
 * variables can say. What these keys mean in a pod's manifest is src/kube/agent_manifest.ts.
 */
import type { KeyDecl, OptionDecl, ValueKind } from "./options.ts";
import type { Values } from "./values.ts";

export const PULL_POLICIES = ["Always", "IfNotPresent", "Never"] as const;
export type PullPolicy = typeof PULL_POLICIES[number];

export type AgentKey =
  | "agent.namespace"
  | "agent.image"
  | "agent.image.registry"
  | "agent.image.tag"
  | "agent.image_pull_policy"
  | "agent.image_pull_secrets"
  | "agent.ttl"
  | "agent.keep_alive"
  | "agent.startup_timeout"
  | "agent.communication_timeout"
  | "agent.ephemeral"
  | "agent.log_level"
  | "agent.json_log"
  | "agent.labels"
  | "agent.annotations"
  | "agent.node_selector"
  | "agent.tolerations"
  | "agent.resources"
  | "agent.service_account"
  | "agent.priority_class"
  | "agent.privileged"
  | "agent.disabled_capabilities"
  | "agent.disable_mesh_sidecar_injection"
  | "agent.security_context";

const group = "Agent";

export const AGENT_OPTIONS: readonly OptionDecl[] = [
  {
    flag: "--agent-namespace",
    short: "-a",
    env: "MIRRORD_AGENT_NAMESPACE",
    key: "agent.namespace",
    kind: "namespace",
    value: "NAMESPACE",
    doc: "Namespace in which the agent is made",
    default: "the target's",
    group,
  },
  {
    flag: "--agent-image",
    short: "-i",
    env: "MIRRORD_AGENT_IMAGE",
    key: "agent.image",
    kind: "image",
    value: "IMAGE",
    doc: "Image of the agent, of this same version",
    group,
  },
  {
    flag: "--ephemeral-container",
    short: "-e",
    env: "MIRRORD_EPHEMERAL_CONTAINER",
    key: "agent.ephemeral",
    kind: "boolean",
    sets: "true",
    doc: "Put the agent into the target's pod, as an ephemeral container, rather than beside it",
    group,
  },
  {
    flag: "--agent-ttl",
    env: "MIRRORD_AGENT_TTL",
    key: "agent.ttl",
    kind: "seconds",
    value: "SECONDS",
    doc: "How long the cluster keeps the agent's finished Job",
    default: "1",
    group,
  },
  {
    flag: "--agent-keep-alive",
    env: "MIRRORD_AGENT_KEEP_ALIVE",
    key: "agent.keep_alive",
    kind: "seconds",
    value: "SECONDS",
    doc: "How long the agent stays when its run is over, so that your next run of the same target starts at once",
    default: "0",
    group,
  },
  {
    flag: "--agent-startup-timeout",
    env: "MIRRORD_AGENT_STARTUP_TIMEOUT",
    key: "agent.startup_timeout",
    kind: "seconds",
    value: "SECONDS",
    doc: "How long to wait for the agent to be ready",
    default: "60",
    group,
  },
  {
    flag: "--agent-log-level",
    short: "-l",
    env: "MIRRORD_AGENT_RUST_LOG",
    key: "agent.log_level",
    kind: "text",
    value: "LEVEL",
    doc: "The agent writes the same few lines at every level, and none with off",
    default: "info",
    group,
  },
];

/** Of the configuration file, some of them also of the environment. */
export const AGENT_FILE_OPTIONS: readonly KeyDecl[] = [
  {
    key: "agent.image.registry",
    env: "MIRRORD_AGENT_IMAGE_REGISTRY",
    kind: "text",
    doc: "The image's name without its tag",
    group,
  },
  { key: "agent.image.tag", env: "MIRRORD_AGENT_IMAGE_TAG", kind: "text", doc: "The image's tag alone", group },
  {
    key: "agent.image_pull_policy",
    env: "MIRRORD_AGENT_IMAGE_PULL_POLICY",
    kind: "pullPolicy",
    doc: "When the node pulls the agent's image",
    default: "IfNotPresent",
    group,
  },
  {
    key: "agent.image_pull_secrets",
    kind: "objects",
    doc: 'Secrets to pull the image with: [{"name": "…"}]',
    group,
  },
  {
    key: "agent.communication_timeout",
    env: "MIRRORD_AGENT_COMMUNICATION_TIMEOUT",
    kind: "seconds",
    doc: "How long an agent waits for its first client before it leaves",
    default: "30",
    group,
  },
  {
    key: "agent.json_log",
    env: "MIRRORD_AGENT_JSON_LOG",
    kind: "boolean",
    doc: "Whether the agent's log lines are JSON",
    default: "false",
    group,
  },
  { key: "agent.labels", kind: "map", doc: "More labels for the agent's Job and pod", group },
  { key: "agent.annotations", kind: "map", doc: "More annotations for the agent's Job and pod", group },
  {
    key: "agent.node_selector",
    kind: "map",
    doc: "Labels of nodes that may take the agent of a run without a target; with one it runs on the target's node",
    group,
  },
  {
    key: "agent.tolerations",
    kind: "objects",
    doc: "Taints that the agent's pod tolerates, as in a pod",
    default: "all with a target, else none",
    group,
  },
  {
    key: "agent.resources",
    kind: "object",
    doc: "Requests and limits of the agent's container, as in a pod",
    default: "10m and 64Mi, at most 2 CPUs and 512Mi",
    group,
  },
  { key: "agent.service_account", kind: "text", doc: "Service account of the agent's pod; no token is mounted", group },
  { key: "agent.priority_class", kind: "text", doc: "Priority class of the agent's pod", group },
  {
    key: "agent.privileged",
    kind: "boolean",
    doc: "Whether the agent's container is privileged, where its capabilities alone are not enough",
    default: "false",
    group,
  },
  {
    key: "agent.disabled_capabilities",
    kind: "list",
    doc: "Capabilities that the agent does without, and without what they are for: NET_ADMIN, SYS_ADMIN, SYS_PTRACE…",
    group,
  },
  {
    key: "agent.disable_mesh_sidecar_injection",
    kind: "boolean",
    doc: "Whether the agent's pod tells service meshes to leave it alone",
    default: "true",
    group,
  },
  {
    key: "agent.security_context",
    kind: "object",
    doc: "app_armor_profile and seccomp_profile of the agent's container: {type, localhost_profile}",
    default: "seccomp: RuntimeDefault",
    group,
  },
];

export interface AgentConfig {
  readonly namespace: string | undefined;
  readonly image: {
    /** The whole name; or one of the two that follow. */
    readonly name: string | undefined;
    readonly registry: string | undefined;
    readonly tag: string | undefined;
  };
  readonly pullPolicy: PullPolicy;
  /** Names of Secrets. */
  readonly pullSecrets: readonly string[];
  readonly ttlSeconds: number;
  readonly keepAliveSeconds: number;
  readonly startupTimeoutMs: number;
  readonly communicationTimeoutSeconds: number | undefined;
  readonly isEphemeral: boolean;
  readonly logLevel: string | undefined;
  readonly isJsonLog: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly object[] | undefined;
  readonly resources: object | undefined;
  readonly serviceAccount: string | undefined;
  readonly priorityClass: string | undefined;
  readonly isPrivileged: boolean;
  readonly disabledCapabilities: readonly string[];
  readonly isMeshInjectionDisabled: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
}

/** Reads one value of those that were said; throws `UserError` when it cannot be. */
export type ReadValue = <K extends ValueKind>(key: AgentKey, kind: K) => Values[K] | undefined;

export function resolveAgent(value: ReadValue): AgentConfig {
  const image = value("agent.image", "image") ?? {};
  return {
    namespace: value("agent.namespace", "namespace"),
    image: {
      name: image.name,
      registry: image.registry ?? value("agent.image.registry", "text"),
      tag: image.tag ?? value("agent.image.tag", "text"),
    },
    pullPolicy: value("agent.image_pull_policy", "pullPolicy") ?? "IfNotPresent",
    pullSecrets: (value("agent.image_pull_secrets", "objects") ?? []).map((it) => String(it.name ?? "")),
    ttlSeconds: value("agent.ttl", "seconds") ?? 1,
    keepAliveSeconds: value("agent.keep_alive", "seconds") ?? 0,
    startupTimeoutMs: (value("agent.startup_timeout", "seconds") ?? 60) * 1000,
    communicationTimeoutSeconds: value("agent.communication_timeout", "seconds"),
    isEphemeral: value("agent.ephemeral", "boolean") ?? false,
    logLevel: value("agent.log_level", "text"),
    isJsonLog: value("agent.json_log", "boolean") ?? false,
    labels: value("agent.labels", "map") ?? {},
    annotations: value("agent.annotations", "map") ?? {},
    nodeSelector: value("agent.node_selector", "map") ?? {},
    tolerations: value("agent.tolerations", "objects"),
    resources: value("agent.resources", "object"),
    serviceAccount: value("agent.service_account", "text"),
    priorityClass: value("agent.priority_class", "text"),
    isPrivileged: value("agent.privileged", "boolean") ?? false,
    disabledCapabilities: (value("agent.disabled_capabilities", "list") ?? []).map((it) => it.replace(/^CAP_/, "")),
    isMeshInjectionDisabled: value("agent.disable_mesh_sidecar_injection", "boolean") ?? true,
    securityContext: value("agent.security_context", "object") ?? {},
  };
}

/** As a configuration file would say it. */
export function formatAgent(agent: AgentConfig): Record<AgentKey, unknown> {
  const { name, registry, tag } = agent.image;
  const some = <T extends object>(value: T) => Object.keys(value).length > 0 ? value : undefined;
  const parts = registry === undefined && tag === undefined ? undefined : {
    ...(registry === undefined ? {} : { registry }),
    ...(tag === undefined ? {} : { tag }),
  };
  return {
    "agent.namespace": agent.namespace,
    "agent.image": name ?? parts,
    "agent.image.registry": undefined,
    "agent.image.tag": undefined,
    "agent.image_pull_policy": agent.pullPolicy,
    "agent.image_pull_secrets": some(agent.pullSecrets.map((it) => ({ name: it }))),
    "agent.ttl": agent.ttlSeconds,
    "agent.keep_alive": agent.keepAliveSeconds,
    "agent.startup_timeout": agent.startupTimeoutMs / 1000,
    "agent.communication_timeout": agent.communicationTimeoutSeconds,
    "agent.ephemeral": agent.isEphemeral,
    "agent.log_level": agent.logLevel,
    "agent.json_log": agent.isJsonLog,
    "agent.labels": some(agent.labels),
    "agent.annotations": some(agent.annotations),
    "agent.node_selector": some(agent.nodeSelector),
    "agent.tolerations": agent.tolerations,
    "agent.resources": agent.resources,
    "agent.service_account": agent.serviceAccount,
    "agent.priority_class": agent.priorityClass,
    "agent.privileged": agent.isPrivileged,
    "agent.disabled_capabilities": some(agent.disabledCapabilities),
    "agent.disable_mesh_sidecar_injection": agent.isMeshInjectionDisabled,
    "agent.security_context": some(agent.securityContext),
  };
}
