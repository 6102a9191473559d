import assert from "node:assert/strict";
import { clusterTest } from "./namespace.ts";
import { deployment, pod } from "./objects.ts";

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
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "60s");
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
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "60s");
  const script = "cat /etc/credentials/password; cat /etc/shadow; cat /root/anything";
  const { stdout, stderr } = await namespace.exec(["--target", "pod/web", "--", "sh", "-c", script]);
  assert.equal(stdout.slice(0, 15), "from the Secret", stderr);
  await namespace.noAgents();
});

clusterTest("mirrord exec --target deployment/NAME takes one of its pods", async (namespace, test) => {
  await namespace.apply(deployment({ name: "web", script: SERVER, env: { DIR: "/srv" } }, 2));
  await namespace.kubectl("rollout", "status", "deployment/web", "--timeout", "60s");
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
