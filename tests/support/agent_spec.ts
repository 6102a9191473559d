/** What a user gets who says nothing of the agent. */
import type { AgentSpec } from "../../src/kube/agent_manifest.ts";

export const AGENT_SPEC: AgentSpec = {
  image: "example/agent:1",
  pullPolicy: "IfNotPresent",
  pullSecrets: [],
  ttlSeconds: 1,
  communicationTimeoutSeconds: 30,
  keepAliveSeconds: 0,
  isJsonLog: false,
  isQuiet: false,
  labels: {},
  annotations: {},
  nodeSelector: {},
  tolerations: undefined,
  resources: undefined,
  serviceAccount: undefined,
  priorityClass: undefined,
  isPrivileged: false,
  isWriting: false,
  takesIncoming: false,
  disabledCapabilities: [],
  isMeshInjectionDisabled: true,
  securityContext: {},
};
