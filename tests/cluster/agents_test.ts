import assert from "node:assert/strict";
import { endOf } from "../support/mirrord.ts";
import { clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

const SERVER = `mkdir -p /srv/www; echo "served by $(hostname)" > /srv/www/index.html; echo private > /srv/private
chmod 600 /srv/private; exec httpd -f -p 127.0.0.1:8080 -h /srv/www`;

/** How the ephemeral containers of a pod are, in the order in which they were made. */
async function ephemeralStates(namespace: Namespace, name: string) {
  const { status } = JSON.parse(await namespace.kubectl("get", "pod", name, "--output", "json"));
  return (status.ephemeralContainerStatuses ?? []) as { name: string; state: { terminated?: { exitCode: number } } }[];
}

// Row E11
clusterTest("an agent can be an ephemeral container of the target's pod", async (namespace, test) => {
  await namespace.apply(
    pod({ name: "web", script: SERVER, env: { GREETING: "hello" }, others: ["beside"] }),
    pod({ name: "user", script: "exec sleep 100000", securityContext: { runAsUser: 1000, runAsNonRoot: true } }),
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/user", "--timeout", "300s");
  const exec = (...command: string[]) => namespace.exec(["-e", "--target", "pod/web", "--", ...command]);

  await test.step("environment, files, host name and loopback are the target's", async () => {
    const script = 'echo "$GREETING"; cat /srv/private; hostname; curl --silent http://127.0.0.1:8080/';
    const { code, stdout, stderr } = await exec("sh", "-c", script);
    assert.equal(stdout, "hello\nprivate\nweb\nserved by web\n", stderr);
    assert.equal(code, 0);
  });
  await test.step("no Job was made, and the agent has ended with exit code 0", async () => {
    assert.equal(await namespace.kubectl("get", "jobs", "--output", "name"), "");
    await eventually(async () => {
      const [state] = await ephemeralStates(namespace, "web");
      return state!.state.terminated?.exitCode === 0 && /^mirrord-agent-[a-z0-9]{10}$/.test(state!.name);
    });
  });
  await test.step("it comes from the configuration file, and again into the same pod", async () => {
    const file = `${namespace.folder}/mirrord.json`;
    await Deno.writeTextFile(file, JSON.stringify({ target: "pod/web/container/beside", agent: { ephemeral: true } }));
    const { stdout, stderr } = await namespace.exec(["-f", file, "--", "sh", "-c", 'echo "[$GREETING]"; ls /srv']);
    assert.match(stdout, /^\[\]\n/, stderr);
    assert.equal((await ephemeralStates(namespace, "web")).length, 2);
  });
  await test.step("a pod whose user is not root", async () => {
    const { stdout, stderr } = await namespace.exec([
      "-e",
      "-t",
      "pod/user",
      "--",
      "sh",
      "-c",
      "hostname; cat /etc/passwd",
    ]);
    assert.match(stdout, /^user\n/, stderr);
  });
  await test.step("the program is killed: the agent leaves all the same", async () => {
    const run = namespace.spawn(["-e", "--target", "pod/web", "--", "sh", "-c", "echo begun; cat"]);
    const reader = run.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    run.kill("SIGKILL");
    await run.stdin.close().catch(() => {});
    await endOf(run);
    await eventually(async () => {
      const states = await ephemeralStates(namespace, "web");
      return states.length === 3 && states.every((it) => it.state.terminated?.exitCode === 0);
    });
  });
});

// Row E16
clusterTest("what agent.* says reaches the agent's pod", async (namespace, test) => {
  const priority = `${namespace.name}-low`;
  await namespace.kubectlOn({
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name: priority },
    value: 7,
  }, "create");
  await namespace.apply(
    pod({ name: "web", script: "exec sleep 100000" }),
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "agents" } },
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const file = `${namespace.folder}/mirrord.json`;
  const agent = {
    labels: { team: "green" },
    annotations: { "example.com/why": "a test" },
    priority_class: priority,
    service_account: "agents",
    image_pull_secrets: [{ name: "none" }],
    resources: { requests: { cpu: "20m" }, limits: { memory: "600Mi" } },
    ttl: 3,
    json_log: true,
    log_level: "info",
    check_out_of_pods: true,
    dns: { timeout: 1 },
    metrics: "0.0.0.0:9000",
    nftables: true,
  };
  for (const target of ["targetless", "pod/web"]) {
    await test.step(target, async () => {
      await Deno.writeTextFile(file, JSON.stringify({ target, agent }));
      const run = namespace.spawn(["-f", file, "--", "sh", "-c", "echo begun; cat"]);
      const reader = run.stdout.getReader();
      await reader.read();
      reader.releaseLock();
      const { items } = JSON.parse(
        await namespace.kubectl("get", "pods", "-l", "team=green,app=mirrord", "-o", "json"),
      );
      assert.equal(items.length, 1);
      const { metadata, spec } = items[0];
      assert.equal(metadata.annotations["example.com/why"], "a test");
      assert.deepEqual([spec.priorityClassName, spec.priority, spec.serviceAccountName], [priority, 7, "agents"]);
      assert.deepEqual(spec.imagePullSecrets, [{ name: "none" }]);
      assert.equal(spec.containers[0].resources.limits.memory, "600Mi");
      // We knock before the kubelet has reported the container.
      await eventually(async () => {
        const [first] = (await namespace.kubectl("logs", metadata.name)).split("\n");
        return JSON.parse(first!).message.startsWith("Ready on 127.0.0.1:");
      });
      await run.stdin.close();
      assert.equal((await endOf(run)).code, 0);
      await namespace.noAgents();
    });
  }
  await namespace.kubectl("delete", "priorityclass", priority);
});

clusterTest("the agent's own words are told first when it cannot do its work", async (namespace, test) => {
  await namespace.apply(pod({ name: "web", script: "exec sleep 100000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const file = `${namespace.folder}/mirrord.json`;
  for (const ephemeral of [false, true]) {
    await test.step(ephemeral ? "in an ephemeral container" : "in a Job", async () => {
      const agent = { ephemeral, disabled_capabilities: ["SYS_PTRACE"] };
      await Deno.writeTextFile(file, JSON.stringify({ target: "pod/web", agent }));
      const { code, stderr } = await namespace.exec(["-f", file, "--", "true"]);
      assert.equal(code, 125);
      assert.match(stderr, /^error: Cannot enter its (files|network) of process \d+: not permitted\n/);
      assert.match(stderr, /hint: the agent must be root, .* \(said by the agent\) {3}\(code TARGET_NOT_ENTERED\)/);
    });
  }
  await namespace.noAgents();
});

clusterTest(
  "an agent that is kept alive serves the next run of the same target, and no other",
  async (namespace, test) => {
    await namespace.apply(
      pod({ name: "web", script: "exec sleep 100000", others: ["beside"] }),
      pod({ name: "other", script: "exec sleep 100000" }),
    );
    await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/other", "--timeout", "300s");
    const env = { XDG_STATE_HOME: `${namespace.folder}/state` };
    const run = async (...args: string[]) => {
      const ended = await namespace.mirrord(["exec", "--agent-keep-alive", "15", ...args, "--", "hostname"], { env });
      assert.equal(ended.code, 0, ended.stderr);
      return ended;
    };
    await run("-t", "pod/web");
    const first = await namespace.agentPods();
    assert.equal(first.length, 1);
    await test.step("a second run starts no pod, and says whose it uses", async () => {
      const { stdout, stderr } = await run("-t", "pod/web");
      assert.equal(stdout, "web\n");
      assert.match(stderr, /agent pod mirrord-agent-\S+ was kept and is used again/);
      assert.deepEqual(await namespace.agentPods(), first);
    });
    await test.step("two at once share it", async () => {
      await Promise.all([run("-t", "pod/web"), run("-t", "pod/web")]);
      assert.deepEqual(await namespace.agentPods(), first);
    });
    await test.step("another container, another pod and other options have their own", async () => {
      await run("-t", "pod/web/container/beside");
      assert.equal((await run("-t", "pod/other")).stdout, "other\n");
      assert.equal((await namespace.agentPods()).length, 3);
    });
    await test.step("one that was deleted is made anew", async () => {
      await namespace.kubectl("delete", "jobs", "--selector", "app=mirrord", "--wait=true");
      await namespace.noAgents(); // their pods go a moment later
      const { stderr } = await run("-t", "pod/web");
      assert.match(stderr, /the agent that was kept is gone/);
      assert.match(stderr, /agent pod mirrord-agent-\S+ is running/);
    });
    await test.step("one that is going away just now is replaced, and the run begins", async () => {
      for (let round = 0; round < 3; round++) {
        const [name] = await namespace.agentPods();
        await namespace.kubectl("delete", name!, "--wait=false", ...round === 1 ? ["--grace-period=0", "--force"] : []);
        assert.equal((await run("-t", "pod/web")).stdout, "web\n");
        await namespace.kubectl("delete", "jobs", "--selector", "app=mirrord", "--wait=true");
        await namespace.noAgents();
        await run("-t", "pod/web");
      }
    });
    await test.step("an ephemeral container is kept too", async () => {
      await run("-e", "-t", "pod/other");
      await run("-e", "-t", "pod/other");
      assert.equal((await ephemeralStates(namespace, "other")).length, 1);
    });
    await test.step("they leave by themselves", () => namespace.noAgents());
  },
);
