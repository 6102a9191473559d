import assert from "node:assert/strict";
import { AGENT_SPEC } from "../../tests/support/agent_spec.ts";
import { agentJobManifest, type AgentSpec, ephemeralPatch } from "./agent_manifest.ts";

const JOB = {
  name: "mirrord-agent-0123456789",
  namespace: "shop",
  port: 34567,
  secretSha256: "ab".repeat(32),
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
    agentJobManifest({ ...JOB, target: undefined }, AGENT_SPEC),
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
    agentJobManifest({ ...JOB, target: { node: "node-7", containerId: "cafe" } }, AGENT_SPEC),
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

for (
  const [what, spec, added] of [
    ["writes files", { isWriting: true }, ["DAC_OVERRIDE", "CHOWN", "FOWNER", "FSETID"]],
    ["takes incoming traffic", { takesIncoming: true }, ["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"]],
  ] as const
) {
  Deno.test(`agentJobManifest() asks for ${added.join(", ")} when the run ${what}`, () => {
    const add = (more: object) => {
      const manifest = agentJobManifest({ ...JOB, target: { node: "n", containerId: "c" } }, {
        ...AGENT_SPEC,
        ...more,
      });
      const found = /"add":(\[.*?\])/.exec(JSON.stringify(manifest));
      return JSON.parse(found![1]!) as string[];
    };
    assert.deepEqual(add(spec).filter((it) => !add({}).includes(it)), added);
  });
}

Deno.test("agentJobManifest() never mounts anything and is not privileged unless told to be", () => {
  for (const target of [undefined, { node: "n", containerId: "c" }]) {
    const text = JSON.stringify(agentJobManifest({ ...JOB, target }, AGENT_SPEC));
    assert.doesNotMatch(text, /volume|hostPath|hostNetwork|hostIPC|"privileged":true/);
  }
});

const TARGET = { node: "node-7", containerId: "cafe" };

/** Of the Job's manifest, where a row says it has to be. */
function at(path: string, spec: Partial<AgentSpec>, target: typeof TARGET | undefined): unknown {
  const manifest: unknown = agentJobManifest({ ...JOB, target }, { ...AGENT_SPEC, ...spec });
  return path.split(".").reduce(
    (value: unknown, name) => (value as Record<string, unknown> | undefined)?.[name],
    manifest,
  );
}

const POD = "spec.template.spec";
const CONTAINER = `${POD}.containers.0`;
const ROWS: { says: Partial<AgentSpec>; path: string; target?: typeof TARGET; expected: unknown }[] = [
  { says: { pullPolicy: "Never" }, path: `${CONTAINER}.imagePullPolicy`, expected: "Never" },
  { says: { pullSecrets: ["a", "b"] }, path: `${POD}.imagePullSecrets`, expected: [{ name: "a" }, { name: "b" }] },
  { says: { ttlSeconds: 60 }, path: "spec.ttlSecondsAfterFinished", expected: 60 },
  {
    says: { keepAliveSeconds: 90, communicationTimeoutSeconds: 5 },
    path: `${CONTAINER}.args`,
    expected: ["--targetless", "--listen", "34567", "--communication-timeout", "5", "--keep-alive", "90"],
  },
  {
    says: { isJsonLog: true, isQuiet: true },
    path: `${CONTAINER}.env`,
    expected: [
      { name: "MIRRORD_AGENT_SECRET_SHA256", value: JOB.secretSha256 },
      { name: "MIRRORD_AGENT_JSON_LOG", value: "true" },
      { name: "MIRRORD_AGENT_QUIET", value: "true" },
    ],
  },
  {
    says: { labels: { team: "a", app: "x" } },
    path: "spec.template.metadata.labels",
    expected: { ...LABELS, team: "a" },
  },
  {
    says: { annotations: { note: "n" } },
    path: "metadata.annotations",
    expected: { ...ANNOTATIONS, note: "n" },
  },
  { says: { isMeshInjectionDisabled: false }, path: "metadata.labels", expected: { app: "mirrord" } },
  { says: { isMeshInjectionDisabled: false }, path: "metadata.annotations", expected: {} },
  { says: { nodeSelector: { disk: "ssd" } }, path: `${POD}.nodeSelector`, expected: { disk: "ssd" } },
  { says: { nodeSelector: { disk: "ssd" } }, path: `${POD}.nodeSelector`, target: TARGET, expected: undefined },
  { says: { tolerations: [{ key: "k" }] }, path: `${POD}.tolerations`, target: TARGET, expected: [{ key: "k" }] },
  { says: { tolerations: [{ key: "k" }] }, path: `${POD}.tolerations`, expected: [{ key: "k" }] },
  { says: { resources: { limits: {} } }, path: `${CONTAINER}.resources`, expected: { limits: {} } },
  { says: { serviceAccount: "sa" }, path: `${POD}.serviceAccountName`, expected: "sa" },
  { says: { serviceAccount: "sa" }, path: `${POD}.automountServiceAccountToken`, expected: false },
  { says: { priorityClass: "low" }, path: `${POD}.priorityClassName`, expected: "low" },
  {
    says: { isPrivileged: true },
    path: `${CONTAINER}.securityContext`,
    target: TARGET,
    expected: {
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
      privileged: true,
      runAsUser: 0,
    },
  },
  {
    says: { disabledCapabilities: ["SYS_ADMIN", "NET_ADMIN"] },
    path: `${CONTAINER}.securityContext.capabilities.add`,
    target: TARGET,
    expected: ["SYS_PTRACE", "DAC_READ_SEARCH", "SETUID", "SETGID"],
  },
  {
    says: {
      securityContext: {
        seccomp_profile: { type: "Localhost", localhost_profile: "p.json" },
        app_armor_profile: { type: "Unconfined" },
      },
    },
    path: `${CONTAINER}.securityContext.seccompProfile`,
    expected: { type: "Localhost", localhostProfile: "p.json" },
  },
  {
    says: { securityContext: { app_armor_profile: { type: "Unconfined" } } },
    path: `${CONTAINER}.securityContext.appArmorProfile`,
    expected: { type: "Unconfined" },
  },
];

for (const { says, path, target, expected } of ROWS) {
  const where = path.replace(CONTAINER, "container").replace(POD, "pod");
  Deno.test(`agentJobManifest() with ${JSON.stringify(says)} says so in ${where}${target ? ", with a target" : ""}`, () => {
    assert.deepEqual(at(path, says, target), expected);
  });
}

Deno.test("ephemeralPatch() adds one container that shares the target's processes and needs no node", () => {
  const target = { container: "app", containerId: "cafe" };
  const patch = ephemeralPatch({ ...JOB, target }, AGENT_SPEC) as { spec: { ephemeralContainers: object[] } };
  assert.deepEqual(patch.spec.ephemeralContainers, [{
    name: JOB.name,
    image: "example/agent:1",
    imagePullPolicy: "IfNotPresent",
    targetContainerName: "app",
    args: ["--neighbour", "cafe", "--listen", "34567", "--communication-timeout", "30"],
    env: [{ name: "MIRRORD_AGENT_SECRET_SHA256", value: "ab".repeat(32) }],
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: {
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
      runAsUser: 0,
      runAsNonRoot: false,
      capabilities: {
        drop: ["ALL"],
        add: ["SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SETUID", "SETGID"],
      },
    },
  }]);
});
