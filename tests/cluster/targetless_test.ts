import assert from "node:assert/strict";
import { clusterTest } from "./namespace.ts";
import { echoServer } from "./objects.ts";

clusterTest("mirrord exec without a target runs a program as if in the namespace", async (namespace, test) => {
  await namespace.apply(...echoServer());
  await namespace.kubectl("rollout", "status", "deployment/echo-server", "--timeout", "300s");

  await test.step("curl reaches a Service by its name; stdout is curl's alone", async () => {
    const { code, stdout, stderr } = await namespace.mirrord(["exec", "curl", "--silent", "echo-server"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^\{"method":"GET","host":"echo-server","pod":"echo-server-[a-z0-9-]+"\}\n$/);
    assert.match(
      stderr,
      /Running binary ".*curl" with arguments: \["--silent","echo-server"\]|"--silent", "echo-server"/,
    );
    assert.match(stderr, /mirrord will run without a target/);
    assert.match(stderr, /agent pod mirrord-agent-[a-z0-9]{10}-\w+ is running/);
    assert.match(stderr, /ready to launch process/);
  });
  await test.step("the agent's Job is gone afterwards", () => namespace.noAgents());

  await test.step("nothing is said when nothing shall be said", async () => {
    const { code, stdout, stderr } = await namespace.exec(["--", "echo", "only this"]);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "only this\n", stderr: "" });
  });
  await test.step("the exit code is the program's", async () => {
    assert.equal((await namespace.exec(["--", "sh", "-c", "exit 42"])).code, 42);
    assert.equal((await namespace.exec(["--", "curl", "--silent", "http://no-such-service"])).code, 6);
    assert.equal((await namespace.exec(["--", "curl", "--silent", "http://echo-server:1"])).code, 7);
  });
  await test.step("children follow, pipes between them too", async () => {
    const { stdout, stderr } = await namespace.exec([
      "--",
      "sh",
      "-c",
      "curl --silent echo-server | grep -o GET; echo done",
    ]);
    assert.equal(stdout, "GET\ndone\n", stderr);
  });
  await test.step("a fully qualified name of another namespace resolves", async () => {
    const { code, stdout, stderr } = await namespace.exec([
      "--",
      "getent",
      "hosts",
      "kubernetes.default.svc.cluster.local",
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^[0-9.]+ +kubernetes\.default\.svc\.cluster\.local/);
  });
  await test.step("two runs at once do not mind each other", async () => {
    const runs = [1, 2].map(() => namespace.exec(["--", "curl", "--silent", "echo-server"]));
    for (const { code, stdout, stderr } of await Promise.all(runs)) {
      assert.equal(code, 0, stderr);
      assert.match(stdout, /"method":"GET"/);
    }
  });
  await test.step("no agent stays behind", () => namespace.noAgents());
});

clusterTest("the agent of a run without a target has no rights of its own", async (namespace) => {
  const run = namespace.spawn(["--", "sh", "-c", "echo started; cat"]);
  const reader = run.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "started\n");
  const { items } = JSON.parse(await namespace.kubectl("get", "pods", "--selector", "app=mirrord", "--output", "json"));
  const { spec } = items[0];
  assert.equal(spec.hostPID, undefined);
  assert.equal(spec.hostNetwork, undefined);
  assert.equal(spec.automountServiceAccountToken, false);
  assert.deepEqual(spec.volumes ?? [], []);
  assert.deepEqual(spec.containers[0].securityContext.capabilities, { drop: ["ALL"] });
  assert.equal(spec.containers[0].securityContext.runAsNonRoot, true);
  await run.stdin.close();
  await reader.cancel();
  await run.stderr.cancel();
  assert.equal((await run.status).code, 0);
  await namespace.noAgents();
});

// Row E15
clusterTest("without a target the cluster's own API service answers", async (namespace, test) => {
  const api = ["curl", "--silent", "--insecure", "https://kubernetes.default/api"];
  await test.step("from this machine it is not to be reached", async () => {
    assert.equal((await namespace.exec(["--no-outgoing", "--no-remote-dns", "--", ...api])).code, 6);
  });
  await test.step("in the cluster it answers as an API server does", async () => {
    const { code, stdout, stderr } = await namespace.exec(["--", ...api]);
    assert.equal(code, 0, stderr);
    assert.match(JSON.parse(stdout).kind, /^(Status|APIVersions)$/);
  });
  await namespace.noAgents();
});
