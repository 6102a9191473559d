import assert from "node:assert/strict";
import { clusterTest, eventually } from "./namespace.ts";
import { cronJob, deployment, job, pod, rollout, ROLLOUT_DEFINITION, service, workload } from "./objects.ts";

const CONFIG = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "settings" },
  data: { "app.conf": "from the ConfigMap\n" },
};
const SECRET = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "credentials" },
  stringData: { password: "from the Secret" },
};
const VOLUMES = [
  { name: "settings", path: "/etc/app", source: { configMap: { name: "settings" } } },
  {
    name: "credentials",
    path: "/etc/credentials",
    source: { secret: { secretName: "credentials", defaultMode: 0o400 } },
  },
];
/** Serves on the pod's own loopback; /tmp is this machine's business, so the pod's files lie elsewhere. */
const SERVER = `mkdir -p $DIR/www; echo "served by $(hostname)" > $DIR/www/index.html; echo 'not for all' > $DIR/private
chmod 600 $DIR/private; exec httpd -f -p 127.0.0.1:8080 -h $DIR/www`;

clusterTest("mirrord exec --target pod/NAME runs a program as if in the pod", async (namespace, test) => {
  await namespace.apply(
    CONFIG,
    SECRET,
    pod({
      name: "web",
      script: SERVER,
      env: { DIR: "/srv", GREETING: "hello from the pod", PATH: "/bin:/only/in/the/pod" },
      volumes: VOLUMES,
      others: ["beside"],
    }),
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const exec = (...command: string[]) => namespace.exec(["--target", "pod/web", "--", ...command]);

  await test.step("its environment, but for what stays the user's", async () => {
    const { stdout, stderr } = await exec("sh", "-c", 'echo "$GREETING"; echo "$PATH"; echo "$HOME"');
    const [greeting, path, home] = stdout.split("\n");
    assert.equal(greeting, "hello from the pod", stderr);
    assert.doesNotMatch(path!, /only\/in\/the\/pod/);
    assert.equal(home, Deno.env.get("HOME"));
  });
  await test.step("its host name", async () => {
    assert.equal((await exec("hostname")).stdout, "web\n");
    assert.equal((await exec("cat", "/etc/hostname")).stdout, "web\n");
  });
  await test.step("its ConfigMap, its Secret and its own files", async () => {
    const files = ["/etc/app/app.conf", "/etc/credentials/password", "/srv/private"];
    const { code, stdout, stderr } = await exec("cat", ...files);
    assert.equal(stdout, "from the ConfigMap\nfrom the Secretnot for all\n", stderr);
    assert.equal(code, 0);
  });
  await test.step("a directory of it, and what is not there", async () => {
    assert.equal((await exec("ls", "/srv")).stdout, "private\nwww\n");
    const { code, stderr } = await exec("cat", "/srv/nothing");
    assert.equal(code, 1);
    assert.match(stderr, /No such file/);
  });
  await test.step("the server on its own loopback", async () => {
    assert.equal((await exec("curl", "--silent", "http://127.0.0.1:8080/")).stdout, "served by web\n");
  });
  await test.step("its DNS", async () => {
    const { stdout, stderr } = await exec("getent", "hosts", "kubernetes.default");
    assert.match(stdout, /kubernetes\.default/, stderr);
  });
  await test.step("another of its containers, by name", async () => {
    const { stdout, stderr } = await namespace.exec([
      ...["--target", "pod/web/container/beside", "--"],
      ...["sh", "-c", 'echo "[$GREETING]"; hostname; ls /srv'],
    ]);
    assert.match(stdout, /^\[\]\nweb\n/, stderr);
  });
  await test.step("the exit code is the program's", async () => {
    assert.equal((await exec("sh", "-c", "exit 7")).code, 7);
  });
  await test.step("no agent stays behind", () => namespace.noAgents());
});

clusterTest("mirrord exec reads a pod's files with the rights of its user", async (namespace) => {
  await namespace.apply(
    SECRET,
    pod({
      name: "web",
      script: "mkdir /tmp/dir; DIR=/tmp/dir; " + SERVER,
      securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000 },
      volumes: VOLUMES.slice(1),
    }),
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const script = "cat /etc/credentials/password; cat /etc/shadow; cat /root/anything";
  const { stdout, stderr } = await namespace.exec(["--target", "pod/web", "--", "sh", "-c", script]);
  assert.equal(stdout.slice(0, 15), "from the Secret", stderr);
  await namespace.noAgents();
});

clusterTest("mirrord exec --target deployment/NAME takes one of its pods", async (namespace, test) => {
  await namespace.apply(deployment({ name: "web", script: SERVER, env: { DIR: "/srv" } }, 2));
  await namespace.kubectl("rollout", "status", "deployment/web", "--timeout", "300s");
  await test.step("whose name is said", async () => {
    const { code, stdout, stderr } = await namespace.mirrord(["exec", "--target", "deployment/web", "hostname"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^web-[a-z0-9-]+\n$/);
    assert.ok(stderr.includes(stdout.trim()), stderr);
    assert.match(stderr, /the oldest of 2 ready pods/);
  });
  await test.step("with its loopback", async () => {
    const { stdout } = await namespace.exec([
      "--target",
      "deploy/web/container/app",
      "--",
      "curl",
      "--silent",
      "127.0.0.1:8080",
    ]);
    assert.match(stdout, /^served by web-/);
  });
  await test.step("no agent stays behind", () => namespace.noAgents());
});

const IDLE = "exec sleep 100000";

// Rows E12, E14
clusterTest("every kind of target is listed and can be stood in for", async (namespace, test) => {
  await namespace.kubectlOn(ROLLOUT_DEFINITION, "apply");
  await namespace.kubectl("wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout", "300s");
  await namespace.apply(
    cronJob({ name: "tick", script: IDLE }),
    deployment({ name: "web", script: IDLE }),
    workload("StatefulSet", { name: "db", script: IDLE }, { serviceName: "db", replicas: 2 }),
    workload("DaemonSet", { name: "node", script: IDLE }),
    workload("ReplicaSet", { name: "old", script: IDLE }, { replicas: 1 }),
    job({ name: "once", script: IDLE }),
    service("web", 80, 8080),
    rollout("canary", { selector: { matchLabels: { app: "old" } } }),
    rollout("referring", { workloadRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" } }),
  );
  for (const name of ["deployment/web", "statefulset/db", "daemonset/node"]) {
    await namespace.kubectl("rollout", "status", name, "--timeout", "300s");
  }
  await eventually(async () => {
    const pods = await namespace.kubectl("get", "pods", "--output", "jsonpath={.items[*].status.phase}");
    return pods.split(" ").filter((it) => it === "Running").length === 7;
  });
  const { stdout, stderr } = await namespace.mirrord(["ls", "-o", "json"]);
  const listed: string[] = JSON.parse(stdout);

  await test.step("all of them, once each", () => {
    assert.deepEqual(listed.filter((it) => !it.startsWith("pod/")), [
      "deployment/web",
      "rollout/canary",
      "rollout/referring",
      "statefulset/db",
      "daemonset/node",
      "cronjob/tick",
      "job/once",
      "service/web",
      "replicaset/old",
    ], stderr);
    assert.equal(listed.filter((it) => it.startsWith("pod/")).length, 7);
  });
  const hosts: Record<string, RegExp> = {
    "deployment/web": /^web-/,
    "rollout/canary": /^old-/,
    "ro/referring": /^web-/,
    "sts/db": /^db-0$/,
    "ds/node/container/app": /^node-/,
    "cj/tick": /^tick-/,
    "job/once": /^once-/,
    "svc/web": /^web-/,
    "rs/old": /^old-/,
    "label/app=db": /^db-0$/,
    "label/app=db,statefulset.kubernetes.io/pod-name=db-1": /^db-1$/,
  };
  for (const [target, host] of Object.entries(hosts)) {
    await test.step(target, async () => {
      const ended = await namespace.exec(["--target", target, "--", "hostname"]);
      assert.match(ended.stdout.trim(), host, ended.stderr);
    });
  }
  await test.step("of other kinds and with their namespace", async () => {
    const all = await namespace.mirrord(["ls", "-A", "-t", "sts", "--type", "svc", "-o", "json"]);
    const ours = JSON.parse(all.stdout).filter((it: { namespace: string }) => it.namespace === namespace.name);
    assert.deepEqual(ours.map((it: { path: string }) => it.path), ["statefulset/db", "service/web"]);
  });
  await test.step("as an IDE plugin asks for them", async () => {
    const env = { MIRRORD_LS_RICH_OUTPUT: "true", MIRRORD_LS_TARGET_TYPES: '["statefulset","targetless"]' };
    const { stdout } = await namespace.mirrord(["ls", "-o", "json"], { env });
    const { targets, current_namespace, namespaces } = JSON.parse(stdout);
    assert.deepEqual(targets, [{ path: "statefulset/db", available: true }]);
    assert.equal(current_namespace, namespace.name);
    assert.ok(namespaces.includes("kube-system"));
  });
  await namespace.kubectl("delete", "crd/rollouts.argoproj.io");
  await test.step("a cluster without Argo Rollouts says so", async () => {
    const { stderr } = await namespace.exec(["--target", "rollout/canary", "--", "hostname"]);
    assert.match(stderr, /this cluster knows no rollouts at all/);
  });
  await test.step("no agent stays behind", () => namespace.noAgents());
});
