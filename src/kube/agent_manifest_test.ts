import assert from "node:assert/strict";
import { agentJobManifest } from "./agent_manifest.ts";

const JOB = {
  name: "mirrord-agent-0123456789",
  namespace: "shop",
  image: "example/agent:1",
  pullPolicy: "IfNotPresent",
  port: 34567,
  secretSha256: "ab".repeat(32),
  communicationTimeoutSeconds: 30,
  ttlSeconds: 1,
} as const;

const LABELS = { app: "mirrord", "kuma.io/sidecar-injection": "disabled" };
const ANNOTATIONS = { "linkerd.io/inject": "disabled", "sidecar.istio.io/inject": "false" };

function manifestAround(podSpec: object): object {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "mirrord-agent-0123456789", namespace: "shop", labels: LABELS, annotations: ANNOTATIONS },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: 1,
      template: {
        metadata: { labels: LABELS, annotations: ANNOTATIONS },
        spec: {
          restartPolicy: "Never",
          terminationGracePeriodSeconds: 5,
          automountServiceAccountToken: false,
          ...podSpec,
        },
      },
    },
  };
}

function containerWith(who: string[], securityContext: object): object {
  return {
    name: "mirrord-agent",
    image: "example/agent:1",
    imagePullPolicy: "IfNotPresent",
    args: [...who, "--listen", "34567", "--communication-timeout", "30"],
    env: [{ name: "MIRRORD_AGENT_SECRET_SHA256", value: "ab".repeat(32) }],
    terminationMessagePolicy: "FallbackToLogsOnError",
    resources: { requests: { cpu: "10m", memory: "64Mi" }, limits: { cpu: "2", memory: "512Mi" } },
    securityContext: {
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
      ...securityContext,
    },
  };
}

Deno.test("agentJobManifest() without a target asks for no rights at all", () => {
  assert.deepEqual(
    agentJobManifest({ ...JOB, target: undefined }),
    manifestAround({
      enableServiceLinks: true,
      containers: [
        containerWith(["--targetless"], {
          runAsNonRoot: true,
          runAsUser: 65532,
          runAsGroup: 65532,
          capabilities: { drop: ["ALL"] },
        }),
      ],
    }),
  );
});

Deno.test("agentJobManifest() with a target asks for the node's processes and five capabilities", () => {
  assert.deepEqual(
    agentJobManifest({ ...JOB, target: { node: "node-7", containerId: "cafe" } }),
    manifestAround({
      nodeName: "node-7",
      hostPID: true,
      tolerations: [{ operator: "Exists" }],
      enableServiceLinks: false,
      containers: [
        containerWith(["--container-id", "cafe"], {
          runAsUser: 0,
          capabilities: {
            drop: ["ALL"],
            add: ["SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SETUID", "SETGID"],
          },
        }),
      ],
    }),
  );
});

Deno.test("agentJobManifest() never mounts anything and never is privileged", () => {
  for (const target of [undefined, { node: "n", containerId: "c" }]) {
    const text = JSON.stringify(agentJobManifest({ ...JOB, target }));
    assert.doesNotMatch(text, /volume|hostPath|hostNetwork|hostIPC|"privileged":true/);
  }
});
