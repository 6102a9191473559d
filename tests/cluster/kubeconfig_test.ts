/** The ways to an API server and into it: proxies, plugins that ask, several files, the pod's own service account. */
import assert from "node:assert/strict";
import { endOf, MIRRORD } from "../support/mirrord.ts";
import { startProxy } from "../support/proxy.ts";
import { clusterTest } from "./namespace.ts";
import { pod } from "./objects.ts";

clusterTest("mirrord exec reaches the cluster through a proxy", async (namespace, test) => {
  for (const kind of ["http", "socks5"] as const) {
    await test.step(kind, async () => {
      await using proxy = startProxy(kind);
      const { code, stdout, stderr } = await namespace.exec(["--", "hostname"], { env: { HTTPS_PROXY: proxy.url } });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^mirrord-agent-/);
      assert.ok(proxy.asked.length >= 2, "requests and the port-forward");
    });
  }
  await test.step("and past it, where it is not wanted", async () => {
    const env = { HTTPS_PROXY: "http://127.0.0.1:1", MIRRORD_PROXY: "false" };
    const { code, stderr } = await namespace.exec(["--", "true"], { env });
    assert.equal(code, 0, stderr);
  });
  await test.step("the program has its proxy all the same", async () => {
    const env = { HTTPS_PROXY: "http://127.0.0.1:1", NO_PROXY: "10.0.0.0/8" };
    const { stdout, stderr } = await namespace.exec(["--", "sh", "-c", 'echo "$HTTPS_PROXY $NO_PROXY"'], { env });
    assert.equal(stdout, "http://127.0.0.1:1 10.0.0.0/8\n", stderr);
  });
  await namespace.noAgents();
});

/** Logs in with the token of the user, when it is given the password. */
function plugin(token: string): string {
  return `#!/bin/sh
printf 'Password: ' >&2
read -r password
[ "$password" = sesame ] || { echo 'wrong password' >&2; exit 1; }
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"${token}"}}'
`;
}

clusterTest("a kubeconfig's plugin may ask the user for a password", async (namespace, test) => {
  await namespace.apply(pod({ name: "web", script: "exec sleep 100000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  const kubeconfig = await namespace.user("dev");
  await namespace.kubectl("create", "role", "all", "--verb=*", "--resource=*.*", "--resource=pods/portforward");
  await namespace.grant("dev", "all");
  const token = await namespace.kubectl("get", "secret", "dev", "--output", "jsonpath={.data.token}");
  await Deno.writeTextFile(`${namespace.folder}/ask`, plugin(atob(token)), { mode: 0o755 });
  const config = (...args: string[]) => namespace.kubectl("config", "--kubeconfig", kubeconfig, ...args);
  const api = "client.authentication.k8s.io/v1";
  await config("unset", "users.dev");
  await config("set-credentials", "dev", "--exec-command", "./ask", "--exec-api-version", `${api}beta1`);
  // kubectl writes it without the "./", which then would be looked for in PATH.
  await Deno.writeTextFile(kubeconfig, (await Deno.readTextFile(kubeconfig)).replace("command: ask", "command: ./ask"));
  /** In a terminal of its own: script(1) makes one, and types what it reads. */
  const inTerminal = async (typed: string) => {
    const command = `${MIRRORD} exec -t pod/web -- hostname`;
    const child = new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      env: { ...namespace.environment, KUBECONFIG: kubeconfig },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(typed));
    const ended = await endOf(child);
    await writer.close().catch(() => {});
    return ended;
  };
  await test.step("who types it is in", async () => {
    const { code, stdout } = await inTerminal("sesame\n");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /Password: (?![^\r\n]*mirrord exec)/, "nothing moves while somebody types");
    assert.match(stdout, /^web\r?$/m);
  });
  await test.step("who types another is not, and reads why", async () => {
    const { code, stdout } = await inTerminal("open\n");
    assert.equal(code, 125, stdout);
    assert.match(stdout, /wrong password/);
    assert.match(stdout, /Cannot authenticate as user "dev": the kubeconfig's plugin ".*ask" failed/);
  });
  await namespace.noAgents();
});

clusterTest("a kubeconfig may be several files, of any context, and may verify nothing", async (namespace, test) => {
  const { clusters, users, contexts } = JSON.parse(
    await namespace.kubectl("config", "view", "--raw", "--output", "json"),
  );
  const write = async (name: string, content: object) => {
    await Deno.writeTextFile(`${namespace.folder}/${name}`, JSON.stringify(content));
    return `${namespace.folder}/${name}`;
  };
  const { "certificate-authority-data": _, ...bare } = clusters[0].cluster;
  const trusting = { name: "trusting", cluster: { ...bare, "insecure-skip-tls-verify": true } };
  const context = (name: string, cluster: string) => ({ name, context: { ...contexts[0].context, cluster } });
  const list = [
    `${namespace.folder}/not-there`,
    await write("clusters", { clusters: [...clusters, trusting] }),
    await write("users.yaml", { users }),
    await write("contexts", {
      contexts: [context("plain", clusters[0].name), context("trusting", "trusting"), context("broken", "none")],
      "current-context": "plain",
    }),
  ].join(":");
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await namespace.exec([...args, "--", "hostname"], { env: { KUBECONFIG: list } });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^mirrord-agent-/);
  };
  await test.step("the current context of a list", () => run());
  await test.step("another, whose server is not verified", () => run("--context", "trusting"));
  await test.step("the flag instead of the variable, and the configuration file", async () => {
    const file = await write("mirrord.json", { kubeconfig: list, kube_context: "trusting" });
    const ended = await namespace.exec(["-f", file, "--", "hostname"], { env: { KUBECONFIG: "/none" } });
    assert.equal(ended.code, 0, ended.stderr);
  });
  await test.step("one whose cluster is missing", async () => {
    const { code, stderr } = await namespace.exec(["--context", "broken", "--", "true"], { env: { KUBECONFIG: list } });
    assert.equal(code, 125);
    assert.match(stderr, /context "broken" names cluster "none", not there/);
  });
  await namespace.noAgents();
});
