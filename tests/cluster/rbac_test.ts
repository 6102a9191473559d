/** The Roles that docs/rbac.md prints are enough, and each right in them is needed. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { freePort } from "../support/free_port.ts";
import { clusterTest } from "./namespace.ts";
import { deployment, pod, service, workload } from "./objects.ts";

interface Role {
  readonly metadata: { readonly name: string };
}

const DOC = new URL("../../docs/rbac.md", import.meta.url);
const ROLES: readonly Role[] = [...Deno.readTextFileSync(DOC).matchAll(/^```yaml\n(.*?)^```/gms)]
  .map(([, text]) => parse(text!) as Role);
const IDLE = "exec sleep 100000";

/** Fails with what it said when it ends before; its streams are read to their ends behind our back. */
async function untilSays({ stdout, stderr }: Deno.ChildProcess, words: RegExp): Promise<void> {
  let said = "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const follow = async (stream: ReadableStream<Uint8Array>) => {
    for await (const bytes of stream) {
      said += new TextDecoder().decode(bytes);
      if (words.test(said)) resolve();
    }
  };
  Promise.all([follow(stdout), follow(stderr)]).finally(() => reject(new Error(`It ended: ${said}`)));
  await promise;
}

clusterTest("the Roles of docs/rbac.md are enough for what they are for", async (namespace, test) => {
  assert.deepEqual(ROLES.map((it) => it.metadata.name), ["mirrord-agents", "mirrord-targets", "mirrord-ephemeral"]);
  await namespace.apply(
    ...ROLES,
    deployment({ name: "web", script: IDLE }),
    service("web", 80, 8080),
    workload("StatefulSet", { name: "db", script: IDLE }, { serviceName: "db" }),
    pod({ name: "one", script: IDLE }),
  );
  for (const name of ["deployment/web", "statefulset/db"]) {
    await namespace.kubectl("rollout", "status", name, "--timeout", "300s");
  }
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout", "300s");
  const as = async (user: string, ...args: string[]) =>
    await namespace.exec([...args, "--", "hostname"], { env: { KUBECONFIG: `${namespace.folder}/${user}` } });
  const works = async (user: string, host: RegExp, ...args: string[]) => {
    const { code, stdout, stderr } = await as(user, ...args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, host);
  };

  await test.step("to run without a target", async () => {
    await namespace.user("runner");
    await namespace.grant("runner", "mirrord-agents");
    await works("runner", /^mirrord-agent-/);
  });
  await test.step("and not to have one: everything that is missing is said at once", async () => {
    const { code, stderr } = await as("runner", "-t", "deploy/web");
    assert.equal(code, 125);
    assert.match(stderr, /^error: Cannot get deployments "web" .*cannot get resource "deployments"/);
    assert.match(stderr, /hint: missing in namespace "mirrord-test-\w+": get deployments\.apps\. docs\/rbac\.md/);
  });
  await test.step("to have targets of all kinds, with a Job for the agent", async () => {
    await namespace.grant("runner", "mirrord-targets");
    for (const target of ["deploy/web", "svc/web", "sts/db", "pod/one", "label/app=db"]) {
      await works("runner", /^(web|db|one)/, "-t", target);
    }
  });
  await test.step("to list targets", async () => {
    const env = { KUBECONFIG: `${namespace.folder}/runner` };
    const { code, stdout, stderr } = await namespace.mirrord(["ls", "-o", "json"], { env });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.deepEqual(JSON.parse(stdout).filter((it: string) => !it.startsWith("pod/")), [
      "deployment/web",
      "statefulset/db",
      "service/web",
    ]);
  });
  await test.step("to keep an agent, and to use it again", async () => {
    const env = { KUBECONFIG: `${namespace.folder}/runner`, XDG_STATE_HOME: `${namespace.folder}/state` };
    for (const words of [/agent pod mirrord-agent-\S+ is running/, /was kept and is used again/]) {
      const args = ["exec", "--agent-keep-alive", "5", "-t", "pod/one", "--", "hostname"];
      const { code, stdout, stderr } = await namespace.mirrord(args, { env });
      assert.deepEqual([code, stdout], [0, "one\n"], stderr);
      assert.match(stderr, words);
    }
  });
  await test.step("to forward ports, of both ends", async () => {
    const env = { KUBECONFIG: `${namespace.folder}/runner`, MIRRORD_PROGRESS_MODE: "dumb" };
    for (const [forward, words] of [["-L", /127\.0\.0\.1:\d+/], ["-R", /port 7000/]] as const) {
      const port = forward === "-L" ? "127.0.0.1:1" : "7000:7001";
      const free = forward === "-L" ? `${freePort()}:${port}` : port;
      const run = namespace.spawnMirrord(["port-forward", "-t", "pod/one", forward, free], env);
      await untilSays(run, words);
      run.kill("SIGINT");
      await Promise.all([run.status, run.stdin.close().catch(() => {})]);
    }
  });
  await test.step("to diagnose", async () => {
    const env = { KUBECONFIG: `${namespace.folder}/runner` };
    const { code, stdout, stderr } = await namespace.mirrord(["diagnose", "-t", "pod/one", "-o", "json"], { env });
    assert.equal(code, 0, stdout + stderr);
  });
  await test.step("to put the agent into the target's pod", async () => {
    await namespace.user("guest");
    await namespace.grant("guest", "mirrord-ephemeral");
    await works("guest", /^one$/m, "-e", "-t", "pod/one");
    const { stderr } = await as("guest", "-t", "pod/one");
    assert.match(stderr, /cannot create resource "jobs"/);
    assert.match(stderr, /missing in namespace "\S+": create jobs\.batch, delete jobs\.batch\. /);
  });
  await test.step("to have the agent in a namespace of its own", async () => {
    const agents = `${namespace.name}-agents`;
    await namespace.kubectl("create", "namespace", agents);
    const [role] = ROLES;
    await namespace.kubectlOn({ ...role, metadata: { name: "mirrord-agents", namespace: agents } }, "create");
    await namespace.user("split");
    await namespace.grant("split", "mirrord-targets");
    await namespace.kubectlOn({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: "split", namespace: agents },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "mirrord-agents" },
      subjects: [{ kind: "ServiceAccount", name: "split", namespace: namespace.name }],
    }, "create");
    await works("split", /^web-/, "-t", "deploy/web", "-a", agents);
    await namespace.kubectl("delete", "namespace", agents, "--wait=false");
  });
  await namespace.noAgents();
});
