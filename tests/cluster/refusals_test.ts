import assert from "node:assert/strict";
import type { Ended } from "../support/mirrord.ts";
import { clusterTest, eventually } from "./namespace.ts";
import { endingPod, pod } from "./objects.ts";

/** One error, with its code, and no program was started. */
function assertRefused({ code, stdout, stderr }: Ended, errorCode: string, ...words: RegExp[]): void {
  assert.equal(code, 125, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^error: Cannot /m);
  assert.ok(stderr.includes(`(code ${errorCode})`), stderr);
  for (const word of words) assert.match(stderr, word);
}

const PROGRAM = ["--", "echo", "started after all"];

clusterTest("mirrord exec says what is wrong with a target, and what there is", async (namespace, test) => {
  await namespace.apply(
    pod({ name: "web", script: "exec sleep 100000" }),
    endingPod("ended", 0),
    pod({
      name: "unplaced",
      script: "true",
      volumes: [{ name: "v", path: "/v", source: { configMap: { name: "none" } } }],
    }),
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  await namespace.phase("ended", "Succeeded"); // the kubelet says so some seconds after the fact
  const target = async (text: string) => await namespace.exec(["--target", text, ...PROGRAM]);
  await test.step("no such pod", async () =>
    assertRefused(await target("pod/wep"), "TARGET_NOT_FOUND", /no such pod in namespace "mirrord-test-/, /pod\/web/));
  await test.step("no such deployment", async () =>
    assertRefused(await target("deployment/web"), "TARGET_NOT_FOUND", /no such deployment/));
  await test.step("no such container", async () =>
    assertRefused(await target("pod/web/container/c"), "TARGET_CONTAINER_NOT_FOUND", /its containers: app/));
  await test.step("a pod whose container has ended", async () =>
    assertRefused(await target("pod/ended"), "TARGET_NOT_RUNNING", /"pod\/ended": it is/));
  await test.step("a pod that does not come up", async () =>
    assertRefused(await target("pod/unplaced"), "TARGET_NOT_RUNNING", /"pod\/unplaced": it is/));
  await test.step("no such namespace", async () =>
    assertRefused(
      await namespace.exec(["--target-namespace", "no-such-namespace", ...PROGRAM]),
      "KUBE_NOT_FOUND",
      /namespace "no-such-namespace"/,
    ));
  await namespace.noAgents();
});

clusterTest("mirrord exec tells in the cluster's words why the agent does not start", async (namespace, test) => {
  const withImage = async (image: string) => await namespace.exec(["--agent-image", image, ...PROGRAM]);
  await test.step("an image that cannot be pulled", async () => {
    const image = "registry.invalid/agent:1";
    assertRefused(
      await withImage(image),
      "AGENT_IMAGE_UNAVAILABLE",
      /Failed to pull image "registry\.invalid\/agent:1": /,
    );
  });
  await test.step("an image that has no name", async () =>
    assertRefused(await withImage("Not::An::Image"), "AGENT_IMAGE_UNAVAILABLE", /reference/));
  await test.step("an image that is not the agent's", async () =>
    assertRefused(await withImage("docker.io/local/busybox:1"), "AGENT_NOT_STARTED"));
  await test.step("a quota that is used up", async () => {
    const quota = {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "none" },
      spec: { hard: { pods: "0" } },
    };
    await namespace.apply(quota);
    await eventually(async () =>
      (await namespace.kubectl("get", "quota", "none", "-o", "jsonpath={.status.hard.pods}")) === "0"
    );
    assertRefused(await namespace.exec(PROGRAM), "AGENT_REFUSED", /exceeded quota: none/, /ResourceQuota of namespace/);
    await namespace.kubectl("delete", "quota", "none");
  });
  await test.step("a limit that admission keeps", async () => {
    const limits = [{ type: "Container", max: { cpu: "1" } }];
    await namespace.apply({ apiVersion: "v1", kind: "LimitRange", metadata: { name: "small" }, spec: { limits } });
    assertRefused(
      await namespace.exec(PROGRAM),
      "AGENT_REFUSED",
      /maximum cpu usage per Container is 1, but limit is 2/,
    );
    await namespace.kubectl("delete", "limitrange", "small");
  });
  await test.step("no node that fits", async () => {
    const file = `${namespace.folder}/mirrord.json`;
    await Deno.writeTextFile(file, JSON.stringify({ agent: { node_selector: { disk: "of-gold" } } }));
    assertRefused(await namespace.exec(["-f", file, ...PROGRAM]), "AGENT_UNSCHEDULABLE", /0\/1 nodes are available/);
  });
  await test.step("a request that the node cannot keep", async () => {
    const file = `${namespace.folder}/mirrord.json`;
    const agent = { resources: { requests: { memory: "9999Gi" }, limits: { memory: "9999Gi" } } };
    await namespace.apply(pod({ name: "web", script: "exec sleep 100000" }));
    await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
    await Deno.writeTextFile(file, JSON.stringify({ target: "pod/web", agent }));
    const ended = await namespace.exec(["-f", file, ...PROGRAM]);
    assertRefused(ended, "AGENT_UNSCHEDULABLE", /OutOfmemory/, /--ephemeral-container needs none/);
  });
  await namespace.noAgents();
});

clusterTest("mirrord exec says which right is missing", async (namespace, test) => {
  const name = "nobody";
  const kubeconfig = await namespace.user(name);
  const config = (...args: string[]) => namespace.kubectl("config", "--kubeconfig", kubeconfig, ...args);
  const exec = (...args: string[]) => namespace.exec(args, { env: { KUBECONFIG: kubeconfig } });

  await test.step("to create the Job", async () =>
    assertRefused(
      await exec(...PROGRAM),
      "KUBE_FORBIDDEN",
      /nobody" cannot (create|list|watch)/,
      /missing in namespace "\S+": create jobs\.batch, delete jobs\.batch, list pods, watch pods, create pods\/portforward\./,
    ));
  await test.step("to see the target", async () =>
    assertRefused(
      await exec("--target", "pod/web", ...PROGRAM),
      "KUBE_FORBIDDEN",
      /Cannot get pods "web" in namespace "mirrord-test-/,
    ));
  await test.step("credentials that are no longer good", async () => {
    await config("set-credentials", name, "--token", "worthless");
    assertRefused(await exec(...PROGRAM), "KUBE_UNAUTHORIZED", /credentials/);
  });
  await namespace.noAgents();
});

clusterTest(
  "mirrord exec says what is wrong with the kubeconfig or the way to the cluster",
  async (namespace, test) => {
    const exec = (kubeconfig: string, ...args: string[]) =>
      namespace.exec([...args, ...PROGRAM], { env: { KUBECONFIG: kubeconfig } });
    const changed = async (...args: string[]) => {
      const path = `${namespace.folder}/changed`;
      await Deno.copyFile(namespace.kubeconfig, path);
      const cluster = (await namespace.kubectl("config", "view", "--output", "jsonpath={.clusters[0].name}")).trim();
      await namespace.kubectl("config", "--kubeconfig", path, "set-cluster", cluster, ...args);
      return path;
    };
    await test.step("no file", async () =>
      assertRefused(await exec(`${namespace.folder}/none`), "KUBECONFIG_MISSING", /there is no such file/));
    await test.step("a directory", async () => assertRefused(await exec(namespace.folder), "KUBECONFIG_UNREADABLE"));
    await test.step("nonsense", async () => {
      await Deno.writeTextFile(`${namespace.folder}/nonsense`, "{: :");
      assertRefused(await exec(`${namespace.folder}/nonsense`), "KUBECONFIG_INVALID");
    });
    await test.step("no such context", async () =>
      assertRefused(
        await exec(namespace.kubeconfig, "--context", "other"),
        "KUBE_CONTEXT_UNKNOWN",
        /contexts there: /,
      ));
    await test.step("an API server that is not there", async () => {
      const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      free.close();
      const path = await changed("--server", `https://127.0.0.1:${free.addr.port}`);
      assertRefused(await exec(path), "KUBE_UNREACHABLE", /127\.0\.0\.1:\d+ \(context ".*"\): connection refused/);
    });
    await test.step("an API server that does not answer", async () => {
      const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const conns: Deno.Conn[] = [];
      const accepting = (async () => {
        for await (const conn of silent) conns.push(conn);
      })();
      const path = await changed("--server", `https://127.0.0.1:${silent.addr.port}`);
      assertRefused(await exec(path), "KUBE_UNREACHABLE", /no answer within/);
      silent.close();
      await accepting;
      conns.forEach((conn) => conn.close());
    });
    await test.step("an API server whose certificate nobody knows, and doing without", async () => {
      const path = `${namespace.folder}/untrusting`;
      await Deno.writeTextFile(
        path,
        (await Deno.readTextFile(namespace.kubeconfig)).replace(/^\s*certificate-authority-data:.*\n/m, ""),
      );
      assertRefused(await exec(path), "KUBE_CERTIFICATE", /unknown authority/, /--accept-invalid-certificates/);
      const { code, stdout, stderr } = await exec(path, "--accept-invalid-certificates");
      assert.deepEqual([code, stdout], [0, "started after all\n"], stderr);
    });
    await namespace.noAgents();
  },
);
