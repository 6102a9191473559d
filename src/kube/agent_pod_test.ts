import assert from "node:assert/strict";
import { toHex } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import { PortForwardPeer, refuse, ScriptedCluster } from "../../tests/support/api_server.ts";
import { AGENT_SPEC } from "../../tests/support/agent_spec.ts";
import { type AgentOptions, type ClusterAgent, createAgent } from "./agent_pod.ts";
import { KubeClient } from "./client.ts";

async function create(cluster: ScriptedCluster, options: Partial<AgentOptions> = {}): Promise<ClusterAgent> {
  using client = new KubeClient(cluster.server);
  return await createAgent({
    client,
    namespace: "shop",
    target: undefined,
    spec: AGENT_SPEC,
    startupTimeoutMs: 60_000,
    ...options,
  });
}

const RUNNING = { containerStatuses: [{ name: "mirrord-agent", ready: true, state: { running: {} } }] };

async function assertRefused(promise: Promise<unknown>, code: string, message: RegExp, hint = /(?:)/): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    return true;
  });
}

Deno.test("createAgent() makes a Job and resolves with the address of its pod", async () => {
  await using cluster = new ScriptedCluster();
  cluster.onJob = (name) => {
    cluster.putPod(name, { phase: "Pending" });
    cluster.putPod(name, { phase: "Running", ...RUNNING });
  };
  const steps: string[] = [];
  const agent = await create(cluster, { onStep: (text) => steps.push(text) });
  assert.match(agent.jobName!, /^mirrord-agent-[a-z0-9]{10}$/);
  const { address } = agent;
  assert.deepEqual(
    { ...address, port: 0 },
    { server: cluster.server, namespace: "shop", pod: `${agent.jobName}-pod`, port: 0 },
  );
  assert.deepEqual(JSON.parse(JSON.stringify(address)), address);
  const text = JSON.stringify(cluster.jobs[0]);
  const digest = await crypto.subtle.digest("SHA-256", agent.secret);
  assert.ok(text.includes(toHex(new Uint8Array(digest))));
  assert.ok(!text.includes(toHex(agent.secret)));
  assert.ok(text.includes(`"--listen","${address.port}"`));
  assert.deepEqual(steps, [`agent job ${agent.jobName} created`, `agent pod ${agent.jobName}-pod is running`]);
  assert.deepEqual(cluster.deletedJobs, []);
});

Deno.test("createAgent() does not wait for the kubelet's word when the port already listens", async () => {
  await using cluster = new ScriptedCluster();
  let knocks = 0;
  cluster.onPortForward = (socket) => {
    const peer = new PortForwardPeer(socket, 0);
    if (knocks++ === 0) socket.addEventListener("open", () => peer.fail("connect: connection refused"));
  };
  cluster.onJob = (name) => cluster.putPod(name, { phase: "Pending", nodeName: "node-1" });
  const agent = await create(cluster);
  assert.equal(agent.address.pod, `${agent.jobName}-pod`);
  assert.equal(knocks, 2);
});

Deno.test("createAgent() needs no right to read events", async () => {
  await using cluster = new ScriptedCluster();
  const isEvents = (path: string) => path.endsWith("/events");
  cluster.override = ({ path }) =>
    isEvents(path) ? refuse(403, "no events for you") : new Response(null, { headers: { "x-not": "overridden" } });
  cluster.onJob = (name) => cluster.putPod(name, { phase: "Running", ...RUNNING });
  await create(cluster);
});

interface Trouble {
  name: string;
  make: (cluster: ScriptedCluster, job: string) => void;
  code: string;
  message: RegExp;
  hint?: RegExp;
}

const waiting = (reason: string, message?: string) => ({
  phase: "Pending",
  containerStatuses: [{
    name: "mirrord-agent",
    ready: false,
    state: { waiting: { reason, ...(message ? { message } : {}) } },
  }],
});

const TROUBLES: Trouble[] = [
  {
    name: "the image cannot be pulled, says the pod",
    make: (cluster, job) => cluster.putPod(job, waiting("ErrImagePull", "registry said 404")),
    code: "AGENT_IMAGE_UNAVAILABLE",
    message: /Cannot use the agent's image "example\/agent:1": registry said 404/,
    hint: /--agent-image/,
  },
  {
    name: "the image cannot be pulled, says an event",
    make: (cluster, job) => {
      cluster.putPod(job, waiting("ContainerCreating"));
      cluster.putEvent("Pod", `${job}-pod`, "Failed", 'Failed to pull image "example/agent:1": no route to host');
    },
    code: "AGENT_IMAGE_UNAVAILABLE",
    message: /no route to host/,
  },
  {
    name: "the pull was tried before: the event of then has the cause",
    make: (cluster, job) => {
      cluster.putPod(job, waiting("ImagePullBackOff", 'Back-off pulling image "example/agent:1"'));
      cluster.putEvent("Pod", `${job}-pod`, "Failed", 'Failed to pull image "example/agent:1": unauthorized');
    },
    code: "AGENT_IMAGE_UNAVAILABLE",
    message: /unauthorized/,
  },
  {
    name: "the pull was tried before, and no event tells",
    make: (cluster, job) => cluster.putPod(job, waiting("ImagePullBackOff", "Back-off pulling image")),
    code: "AGENT_IMAGE_UNAVAILABLE",
    message: /Back-off pulling image/,
  },
  {
    name: "the image's name is none",
    make: (cluster, job) => cluster.putPod(job, waiting("InvalidImageName", "invalid reference format")),
    code: "AGENT_IMAGE_UNAVAILABLE",
    message: /invalid reference format/,
  },
  {
    name: "the container cannot be made",
    make: (cluster, job) => cluster.putPod(job, waiting("CreateContainerError", "seccomp is not there")),
    code: "AGENT_NOT_STARTED",
    message: /CreateContainerError: seccomp is not there/,
  },
  {
    name: "the image has no such program",
    make: (cluster, job) =>
      cluster.putPod(job, {
        phase: "Failed",
        containerStatuses: [{
          name: "mirrord-agent",
          ready: false,
          state: { terminated: { exitCode: 128, reason: "StartError", message: "executable file not found" } },
        }],
      }),
    code: "AGENT_NOT_STARTED",
    message: /Cannot start the agent's container: executable file not found/,
  },
  {
    name: "no node has room",
    make: (cluster, job) =>
      cluster.putPod(job, {
        phase: "Pending",
        conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes: cpu" }],
      }),
    code: "AGENT_UNSCHEDULABLE",
    message: /0\/3 nodes: cpu/,
  },
  {
    name: "the node does not admit it",
    make: (cluster, job) => cluster.putPod(job, { phase: "Failed", reason: "OutOfpods", message: "node is full" }),
    code: "AGENT_UNSCHEDULABLE",
    message: /OutOfpods: node is full/,
  },
  {
    name: "a quota is used up",
    make: (cluster, job) => {
      cluster.putEvent("Job", job, "FailedCreate", 'Error creating: pods "x" is forbidden: exceeded quota: small');
    },
    code: "AGENT_REFUSED",
    message: /Cannot create the agent's pod: pods "x" is forbidden: exceeded quota: small/,
    hint: /ResourceQuota of namespace "shop"/,
  },
  {
    name: "Pod Security refuses it",
    make: (cluster, job) => {
      const words = 'Error creating: pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces';
      cluster.putEvent("Job", job, "FailedCreate", words);
    },
    code: "AGENT_REFUSED",
    message: /violates PodSecurity "baseline:latest": host namespaces/,
    hint: /--agent-namespace/,
  },
  {
    name: "the agent ends",
    make: (cluster, job) =>
      cluster.putPod(job, {
        phase: "Failed",
        containerStatuses: [{
          name: "mirrord-agent",
          ready: false,
          state: { terminated: { exitCode: 2, reason: "Error", message: "error: Cannot start the agent: bad\n" } },
        }],
      }),
    code: "AGENT_CRASHED",
    message: /it ended with exit code 2: error: Cannot start the agent: bad$/,
    hint: /example\/agent:1/,
  },
  {
    name: "the agent ends, and said why",
    make: (cluster, job) => {
      const words = '2026-01-01 x\nerror: Cannot find container "cafe": none is visible\n hint: has it moved?   ' +
        "(code CONTAINER_NOT_FOUND)\n";
      cluster.putPod(job, {
        phase: "Failed",
        containerStatuses: [{
          name: "mirrord-agent",
          ready: false,
          state: { terminated: { exitCode: 125, reason: "Error", message: words } },
        }],
      });
    },
    code: "CONTAINER_NOT_FOUND",
    message: /^Cannot find container "cafe": none is visible$/,
    hint: /^has it moved\? \(said by the agent\)$/,
  },
  {
    name: "somebody deletes the pod",
    make: (cluster, job) => cluster.putPod(job, { phase: "Running", deletionTimestamp: "2026-01-01T00:00:00Z" }),
    code: "AGENT_POD_DELETED",
    message: /somebody deletes its pod in namespace "shop"/,
  },
];

Deno.test("createAgent() tells at once what is wrong, and removes the Job, when", async (test) => {
  for (const { name, make, code, message, hint } of TROUBLES) {
    await test.step(name, async () => {
      await using cluster = new ScriptedCluster();
      let job = "";
      cluster.onJob = (made) => {
        job = made;
        make(cluster, job);
      };
      // Well before this timeout: else it would be the timeout's error.
      await assertRefused(create(cluster), code, message, hint);
      assert.deepEqual(cluster.deletedJobs, [job]);
    });
  }
});

Deno.test("createAgent() waits on when no node has room for a moment", async () => {
  await using cluster = new ScriptedCluster();
  cluster.onJob = (job) => {
    const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "not yet" }];
    cluster.putPod(job, { phase: "Pending", conditions });
    cluster.putPod(job, { phase: "Running", ...RUNNING });
  };
  await create(cluster);
});

Deno.test("createAgent() tells after the timeout what it saw last", async () => {
  await using cluster = new ScriptedCluster();
  cluster.onJob = (job) => cluster.putPod(job, waiting("ContainerCreating"));
  await assertRefused(
    create(cluster, { startupTimeoutMs: 1000 }),
    "AGENT_START_TIMEOUT",
    /not ready after 1 s: its pod is Pending \(ContainerCreating\)/,
    /--agent-startup-timeout/,
  );
  assert.equal(cluster.deletedJobs.length, 1);
});

Deno.test("createAgent() tells after the timeout which warning came last", async () => {
  await using cluster = new ScriptedCluster();
  cluster.onJob = (job) => {
    cluster.putPod(job, waiting("ContainerCreating"));
    cluster.putEvent("Pod", `${job}-pod`, "FailedMount", "no such volume");
  };
  await assertRefused(
    create(cluster, { startupTimeoutMs: 1000 }),
    "AGENT_START_TIMEOUT",
    /FailedMount: no such volume/,
  );
});

Deno.test("createAgent() removes the Job when it is called off", async () => {
  await using cluster = new ScriptedCluster();
  const stop = new AbortController();
  cluster.onJob = (job) => {
    cluster.putPod(job, waiting("ContainerCreating"));
    stop.abort(new Error("Ctrl-C"));
  };
  await assert.rejects(create(cluster, { signal: stop.signal }), /Ctrl-C/);
  assert.equal(cluster.deletedJobs.length, 1);
});

Deno.test("createAgent() lets a silent API server not hold up its being called off", async () => {
  await using cluster = new ScriptedCluster();
  const stop = new AbortController();
  const never = Promise.withResolvers<Response>();
  cluster.override = ({ method, path }) => {
    if (method === "POST" && path.endsWith("/jobs")) {
      stop.abort(new Error("Ctrl-C"));
      return never.promise;
    }
    return new Response(null, { headers: { "x-not": "overridden" } });
  };
  await assert.rejects(create(cluster, { signal: stop.signal }), /Ctrl-C/);
  assert.equal(cluster.deletedJobs.length, 1, "it may have been made all the same");
  never.resolve(Response.json({}));
});

Deno.test("createAgent() says which right is missing", async (test) => {
  await test.step("to create jobs", async () => {
    await using cluster = new ScriptedCluster();
    cluster.onJob = () => refuse(403, 'jobs.batch is forbidden: User "dev" cannot create resource "jobs"', "Forbidden");
    await assertRefused(
      create(cluster),
      "KUBE_FORBIDDEN",
      /Cannot create jobs in namespace "shop": /,
      /can-i create jobs/,
    );
  });
  await test.step("to watch pods", async () => {
    await using cluster = new ScriptedCluster();
    const not = { headers: { "x-not": "overridden" } };
    cluster.override = ({ path }) => path.endsWith("/pods") ? refuse(403, "forbidden") : new Response(null, not);
    await assertRefused(create(cluster), "KUBE_FORBIDDEN", /Cannot list pods in namespace "shop"/);
    assert.equal(cluster.deletedJobs.length, 1);
  });
  await test.step("to forward ports", async () => {
    await using cluster = new ScriptedCluster();
    const not = { headers: { "x-not": "overridden" } };
    cluster.override = ({ path }) => path.endsWith("/portforward") ? refuse(403, "no") : new Response(null, not);
    cluster.onJob = (job) => cluster.putPod(job, { phase: "Pending", nodeName: "node-1" });
    await assertRefused(create(cluster), "KUBE_FORBIDDEN", /create pods\/portforward/);
    assert.equal(cluster.deletedJobs.length, 1);
  });
});

const CRASHED = {
  phase: "Failed",
  containerStatuses: [{
    name: "mirrord-agent",
    ready: false,
    state: { terminated: { exitCode: 137, reason: "OOMKilled" } },
  }],
};

Deno.test("explained() hands on what comes of the work", async () => {
  await using cluster = new ScriptedCluster();
  cluster.onJob = (name) => cluster.putPod(name, { phase: "Running", ...RUNNING });
  using client = new KubeClient(cluster.server);
  const agent = await create(cluster, { client });
  assert.equal(await agent.explained(Promise.resolve(7)), 7);
});

Deno.test("explained() ends with the cluster's word when the agent fails, though the work still waits", async () => {
  await using cluster = new ScriptedCluster();
  cluster.onJob = (name) => cluster.putPod(name, { phase: "Running", ...RUNNING });
  using client = new KubeClient(cluster.server);
  const agent = await create(cluster, { client });
  const waiting = agent.explained(new Promise(() => {}));
  cluster.putPod(agent.jobName!, CRASHED);
  await assertRefused(waiting, "AGENT_CRASHED", /exit code 137 \(OOMKilled\)/);
});

Deno.test("explained() waits a moment for the cluster's word when the work fails first", async (test) => {
  await test.step("which then is the error", async () => {
    await using cluster = new ScriptedCluster();
    cluster.onJob = (name) => cluster.putPod(name, { phase: "Running", ...RUNNING });
    using client = new KubeClient(cluster.server);
    const agent = await create(cluster, { client });
    const failing = agent.explained(Promise.reject(new Error("connection lost")));
    cluster.putPod(agent.jobName!, CRASHED);
    await assertRefused(failing, "AGENT_CRASHED", /OOMKilled/);
  });
  await test.step("and is content with the work's error when there is none", async () => {
    await using cluster = new ScriptedCluster();
    cluster.onJob = (name) => cluster.putPod(name, { phase: "Running", ...RUNNING });
    using client = new KubeClient(cluster.server);
    const agent = await create(cluster, { client });
    await assert.rejects(agent.explained(Promise.reject(new Error("connection lost"))), /connection lost/);
  });
});

const TARGET = {
  namespace: "shop",
  pod: "web",
  node: "node-1",
  container: "app",
  containerId: "cafe",
  podIPs: [],
  mounts: [],
  choice: "",
  ports: [],
  probes: [],
};

/** A cluster with pod "web" that answers patches of its ephemeral containers; the last made container is `made`. */
function podCluster(answer: (cluster: ScriptedCluster, name: string) => Response | void): ScriptedCluster {
  const cluster = new ScriptedCluster();
  cluster.putTarget("web", []);
  cluster.override = (request) => {
    if (request.path === "/version") return Response.json({ gitVersion: "v1.20.2" });
    if (request.method !== "PATCH") return new Response(null, { headers: { "x-not": "overridden" } });
    assert.equal(request.path, "/api/v1/namespaces/shop/pods/web/ephemeralcontainers");
    assert.equal(request.headers.get("content-type"), "application/strategic-merge-patch+json");
    const { spec } = request.body as { spec: { ephemeralContainers: { name: string }[] } };
    return answer(cluster, spec.ephemeralContainers[0]!.name) ?? Response.json({});
  };
  return cluster;
}

const EPHEMERAL = { isEphemeral: true, target: TARGET };

Deno.test("createAgent() puts an ephemeral container into the target's pod", async () => {
  await using cluster = podCluster((cluster, name) => {
    const state = (state: object) => ({ name, ready: false, state });
    cluster.putTarget("web", [state({ waiting: { reason: "ContainerCreating" } })]);
    cluster.putTarget("web", [state({ running: {} })]);
  });
  const agent = await create(cluster, EPHEMERAL);
  assert.deepEqual([agent.address.namespace, agent.address.pod, agent.jobName], ["shop", "web", undefined]);
  assert.deepEqual(cluster.jobs, []);
});

Deno.test("createAgent() takes another port when that of the ephemeral container is taken in the pod", async () => {
  const names: string[] = [];
  await using cluster = podCluster((cluster, name) => {
    names.push(name);
    const message = "error: Cannot listen on 127.0.0.1:31000: in use\n hint: choose another   (code PORT_NOT_FREE)\n";
    const state = names.length < 3 ? { terminated: { exitCode: 125, reason: "Error", message } } : { running: {} };
    cluster.putTarget("web", [{ name, ready: false, state }]);
  });
  await create(cluster, EPHEMERAL);
  assert.equal(new Set(names).size, 3);
});

Deno.test("createAgent() tells what is wrong with an ephemeral container, and not what is wrong beside it", async () => {
  await using cluster = podCluster((cluster, name) => {
    cluster.putEvent("Pod", "web", "Failed", "Failed to pull image of another container");
    cluster.putEvent("Pod", "web", "Failed", "Failed to pull image: denied", `spec.ephemeralContainers{${name}}`);
  });
  await assertRefused(create(cluster, EPHEMERAL), "AGENT_IMAGE_UNAVAILABLE", /Failed to pull image: denied/);
});

for (const status of [400, 404, 405, 415]) {
  Deno.test(`createAgent() says of a cluster that answers ${status} that it knows no ephemeral containers`, async () => {
    await using cluster = podCluster(() => refuse(status, "not as you think"));
    await assertRefused(
      create(cluster, EPHEMERAL),
      "EPHEMERAL_UNSUPPORTED",
      /^Cannot put the agent into pod "web": this cluster \(v1\.20\.2\) has no ephemeral containers as they are since/,
      /without --ephemeral-container/,
    );
  });
}
