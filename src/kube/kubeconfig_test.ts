import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { loadKubeconfig } from "./kubeconfig.ts";

interface Folder extends AsyncDisposable {
  readonly path: string;
  write(name: string, text: string): Promise<string>;
}

async function makeFolder(): Promise<Folder> {
  const path = await Deno.makeTempDir({ prefix: "mirrord-kubeconfig-" });
  return {
    path,
    async write(name, text) {
      await Deno.writeTextFile(`${path}/${name}`, text);
      return `${path}/${name}`;
    },
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** A kubeconfig with one cluster, one user and one context, all named `name`. */
function kubeconfig(name: string, user = "{token: s3cret}", cluster = "", context = ""): string {
  return `apiVersion: v1
kind: Config
current-context: ${name}
clusters:
- name: ${name}
  cluster: {server: "https://${name}.example:6443"${cluster}}
users:
- name: ${name}
  user: ${user}
contexts:
- name: ${name}
  context: {cluster: ${name}, user: ${name}${context}}
`;
}

const NO_ENV = () => undefined;

async function assertRefused(promise: Promise<unknown>, code: string, message: RegExp, hint = /(?:)/): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    return true;
  });
}

Deno.test("loadKubeconfig() reads server, namespace and what authenticates us", async (test) => {
  await using folder = await makeFolder();
  const load = async (text: string) => await loadKubeconfig({ path: await folder.write("config", text), env: NO_ENV });
  await test.step("token", async () => {
    assert.deepEqual(await load(kubeconfig("a")), {
      server: { url: "https://a.example:6443", context: "a", headers: { Authorization: "Bearer s3cret" } },
      namespace: "default",
    });
  });
  await test.step("namespace of the context", async () => {
    assert.equal((await load(kubeconfig("a", "{token: t}", "", ", namespace: shop"))).namespace, "shop");
  });
  await test.step("certificates, as data and as files beside the kubeconfig", async () => {
    await folder.write("key.pem", "KEY");
    const user = `{client-certificate-data: ${btoa("CERT")}, client-key: key.pem}`;
    const { server } = await load(kubeconfig("a", user, `, certificate-authority-data: ${btoa("CA")}`));
    assert.deepEqual([server.ca, server.cert, server.key], ["CA", "CERT", "KEY"]);
  });
  await test.step("user and password, and impersonation", async () => {
    const { server } = await load(kubeconfig("a", "{username: u, password: p, as: boss}"));
    assert.deepEqual(server.headers, { Authorization: `Basic ${btoa("u:p")}`, "Impersonate-User": "boss" });
  });
  await test.step("a token in a file, as the group and by the number of somebody", async () => {
    await folder.write("token", "from a file\n");
    const { server } = await load(kubeconfig("a", "{token: no, tokenFile: token, as: u, as-groups: [g], as-uid: '7'}"));
    const headers = { "Impersonate-User": "u", "Impersonate-Group": "g", "Impersonate-Uid": "7" };
    assert.deepEqual(server.headers, { Authorization: "Bearer from a file", ...headers });
  });
  await test.step("a provider from before there were plugins", async () => {
    const part = (it: object) => btoa(JSON.stringify(it)).replaceAll("=", "");
    const token = `${part({ alg: "none" })}.${part({ exp: 4e9 })}.x`;
    const config = `{id-token: ${token}, client-id: c, idp-issuer-url: "https://i"}`;
    const { server } = await load(kubeconfig("a", `{auth-provider: {name: oidc, config: ${config}}}`));
    assert.deepEqual(server.headers, { Authorization: `Bearer ${token}` });
  });
  await test.step("no verification, and another name", async () => {
    const cluster = ", insecure-skip-tls-verify: true, tls-server-name: api.other";
    const { server } = await load(kubeconfig("a", "{token: t}", cluster));
    assert.equal(server.isInsecure, true);
    assert.equal(server.serverName, "api.other");
  });
  await test.step("plain HTTP, as kubectl proxy speaks it", async () => {
    const { server } = await load(kubeconfig("a").replace("https:", "http:"));
    assert.equal(server.url, "http://a.example:6443");
  });
  await test.step("the result of an exec plugin", async () => {
    const credential =
      '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"fresh"}}';
    const plugin = await folder.write("plugin", `#!/bin/sh\necho '${credential}'\n`);
    await Deno.chmod(plugin, 0o755);
    const exec = `{exec: {apiVersion: client.authentication.k8s.io/v1, command: ${plugin}}}`;
    assert.deepEqual((await load(kubeconfig("a", exec))).server.headers, { Authorization: "Bearer fresh" });
  });
});

Deno.test("loadKubeconfig() lets the option overrule how certificates are verified", async () => {
  await using folder = await makeFolder();
  const path = await folder.write("config", kubeconfig("a"));
  assert.equal((await loadKubeconfig({ path, env: NO_ENV, isInsecure: true })).server.isInsecure, true);
  assert.equal((await loadKubeconfig({ path, env: NO_ENV })).server.isInsecure, undefined);
});

Deno.test("loadKubeconfig() looks at the option, then KUBECONFIG, then the home directory", async () => {
  await using folder = await makeFolder();
  const [a, b] = [await folder.write("a", kubeconfig("a")), await folder.write("b", kubeconfig("b"))];
  await Deno.mkdir(`${folder.path}/.kube`);
  await folder.write(".kube/config", kubeconfig("home"));
  const env = (list?: string) => (name: string) => ({ HOME: folder.path, KUBECONFIG: list })[name];
  assert.equal((await loadKubeconfig({ path: a, env: env(b) })).server.context, "a");
  assert.equal((await loadKubeconfig({ path: "~/a", env: env(b) })).server.context, "a");
  assert.equal((await loadKubeconfig({ path: "${HOME}/none:$HOME/a", env: env(b) })).server.context, "a");
  assert.equal((await loadKubeconfig({ env: env(b) })).server.context, "b");
  assert.equal((await loadKubeconfig({ env: env() })).server.context, "home");
});

Deno.test("loadKubeconfig() joins the files of a list; some may be missing, the first word counts", async () => {
  await using folder = await makeFolder();
  const first = await folder.write("1", kubeconfig("one"));
  const same = await folder.write("2", kubeconfig("one", "{token: other}"));
  const second = await folder.write("3", kubeconfig("two"));
  const env = (name: string) => name === "KUBECONFIG" ? `${folder.path}/none:${first}:${same}:${second}` : undefined;
  const { server } = await loadKubeconfig({ env });
  assert.equal(server.context, "one");
  assert.equal(server.headers.Authorization, "Bearer s3cret");
  assert.equal((await loadKubeconfig({ env, context: "two" })).server.url, "https://two.example:6443");
});

Deno.test("loadKubeconfig() says which file is wrong and how", async (test) => {
  await using folder = await makeFolder();
  const file = await folder.write("a", kubeconfig("a"));
  const cases: [string, string | undefined, string, RegExp, RegExp?][] = [
    ["missing", `${folder.path}/none`, "KUBECONFIG_MISSING", /none": there is no such file/, /--kubeconfig/],
    ["none anywhere", undefined, "KUBECONFIG_MISSING", /Cannot find a kubeconfig/, /process\/PID needs none/],
    ["a directory", folder.path, "KUBECONFIG_UNREADABLE", /it is a directory/],
    ["not YAML", await folder.write("b", "{: :"), "KUBECONFIG_INVALID", /\/b: /],
    ["something else", await folder.write("c", "just words"), "KUBECONFIG_INVALID", /\/c: it names no clusters/],
    ["empty", await folder.write("d", ""), "KUBECONFIG_INVALID", /\/d: it names no clusters/],
    [
      "no current context",
      await folder.write("e", kubeconfig("a").replace("current-context: a\n", "")),
      "KUBE_CONTEXT_UNKNOWN",
      /no current one/,
      /contexts there: a$/,
    ],
    [
      "cluster missing",
      await folder.write("f", kubeconfig("a").replace("cluster: a,", "cluster: z,")),
      "KUBECONFIG_INVALID",
      /names cluster "z"/,
    ],
    [
      "user missing",
      await folder.write("g", kubeconfig("a").replace("user: a", "user: z")),
      "KUBECONFIG_INVALID",
      /names user "z"/,
    ],
    [
      "certificate missing",
      await folder.write("h", kubeconfig("a", "{client-certificate: none.pem, client-key: none.pem}")),
      "KUBECONFIG_INVALID",
      /a file that it names is missing \(.*none\.pem/,
    ],
    ["address", await folder.write("i", kubeconfig("a").replace("https://", "")), "KUBECONFIG_INVALID", /no address/],
    [
      "a number for a token",
      await folder.write("l", kubeconfig("a", "{token: 12345}")),
      "KUBECONFIG_INVALID",
      /users\[0\]\.user\.token is a number, not a string/,
    ],
    [
      "no base64",
      await folder.write("m", kubeconfig("a", "{client-key-data: ???}")),
      "KUBECONFIG_INVALID",
      /users\[0\]\.user\.client-key-data is not in base64/,
    ],
    [
      "no list",
      await folder.write("n", "clusters: {a: b}\n"),
      "KUBECONFIG_INVALID",
      /clusters is no list/,
    ],
    [
      "several groups",
      await folder.write("o", kubeconfig("a", "{as: u, as-groups: [g, h]}")),
      "KUBECONFIG_INVALID",
      /as-groups/,
    ],
    [
      "plugin missing",
      await folder.write("j", kubeconfig("a", "{exec: {command: no-such-plugin, apiVersion: v1}}")),
      "KUBE_AUTH_PLUGIN_MISSING",
      /plugin "no-such-plugin" is not in PATH/,
    ],
    [
      "plugin failing",
      await folder.write("k", kubeconfig("a", '{exec: {command: sh, args: ["-c", "echo log in first >&2; exit 1"]}}')),
      "KUBE_AUTH_FAILED",
      /plugin "sh" failed: log in first/,
    ],
  ];
  for (const [name, path, code, message, hint] of cases) {
    await test.step(name, () => assertRefused(loadKubeconfig({ path, env: NO_ENV }), code, message, hint));
  }
  await test.step("context", () =>
    assertRefused(
      loadKubeconfig({ path: file, context: "b", env: NO_ENV }),
      "KUBE_CONTEXT_UNKNOWN",
      /Cannot use context "b"/,
      /contexts there: a$/,
    ));
  await test.step("all of a list missing", () =>
    assertRefused(
      loadKubeconfig({ env: (name) => name === "KUBECONFIG" ? "/none/1:/none/2" : undefined }),
      "KUBECONFIG_MISSING",
      /"\/none\/1"/,
    ));
});

/** A user whose plugin runs this script. */
function pluginUser(script: string, more = ""): string {
  const api = "client.authentication.k8s.io/v1";
  return `{exec: {apiVersion: ${api}, command: sh, args: ["-c", ${JSON.stringify(script)}]${more}}}`;
}

Deno.test("loadKubeconfig() tells an exec plugin what it may and where, and takes token or certificate", async (test) => {
  await using folder = await makeFolder();
  const load = async (user: string, isTerminal = false) =>
    await loadKubeconfig({ path: await folder.write("config", kubeconfig("a", user)), env: NO_ENV, isTerminal });
  const answer = (status: string) => `echo '{"kind":"ExecCredential","status":${status}}'`;
  await test.step("a token, and the plugin's own variables", async () => {
    const env = ', env: [{name: WHO, value: "me"}]';
    const { server } = await load(pluginUser(`echo '{"status":{"token":"'$WHO'"}}'`, env));
    assert.deepEqual(server.headers, { Authorization: "Bearer me" });
  });
  await test.step("a certificate", async () => {
    const { server } = await load(pluginUser(answer('{"clientCertificateData":"CERT","clientKeyData":"KEY"}')));
    assert.deepEqual([server.cert, server.key], ["CERT", "KEY"]);
  });
  await test.step("the cluster, when it wants to know", async () => {
    const script = `printf %s "$KUBERNETES_EXEC_INFO" > ${folder.path}/info; ${answer('{"token":"t"}')}`;
    await load(pluginUser(script, ", provideClusterInfo: true, interactiveMode: Never"), true);
    const info = JSON.parse(await Deno.readTextFile(`${folder.path}/info`));
    assert.equal(info.apiVersion, "client.authentication.k8s.io/v1");
    assert.deepEqual(info.spec, {
      interactive: false,
      cluster: { server: "https://a.example:6443", "insecure-skip-tls-verify": false },
    });
  });
  await test.step("a command beside the kubeconfig", async () => {
    await Deno.writeTextFile(`${folder.path}/login`, `#!/bin/sh\n${answer('{"token":"beside"}')}\n`, { mode: 0o755 });
    const { server } = await load("{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login}}");
    assert.deepEqual(server.headers, { Authorization: "Bearer beside" });
  });
  await test.step("no terminal for one that needs it", async () => {
    await assertRefused(
      load(pluginUser(answer("{}"), ", interactiveMode: Always")),
      "KUBE_AUTH_FAILED",
      /plugin "sh" wants to ask something, and there is no terminal/,
      /log in with kubectl/,
    );
  });
  await test.step("nonsense for an answer", async () => {
    for (const text of ["echo hello", "echo '{}'", answer("{}"), answer('{"token":5}')]) {
      await assertRefused(load(pluginUser(text)), "KUBE_AUTH_FAILED", /plugin "sh" gave no ExecCredential/);
    }
  });
});

Deno.test("loadKubeconfig() finds the proxy that leads to the server", async () => {
  await using folder = await makeFolder();
  const env = (name: string) => name === "HTTPS_PROXY" ? "http://e:3128" : undefined;
  const load = async (cluster: string) =>
    (await loadKubeconfig({ path: await folder.write("config", kubeconfig("a", undefined, cluster)), env })).server
      .proxy;
  assert.equal(await load(""), "http://e:3128");
  assert.equal(await load(', proxy-url: "socks5://k:1080"'), "socks5://k:1080");
});

Deno.test("loadKubeconfig() takes a pod's service account where there is no kubeconfig", async () => {
  await using folder = await makeFolder();
  await folder.write("token", "t0ken");
  await folder.write("ca.crt", "CA");
  await folder.write("namespace", "shop\n");
  const load = async (host: string) => {
    const env = (name: string) =>
      ({ HOME: folder.path, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: "6443" })[name];
    return await loadKubeconfig({ env, serviceAccount: folder.path });
  };
  assert.deepEqual(await load("10.0.0.1"), {
    server: {
      url: "https://10.0.0.1:6443",
      context: "in-cluster",
      headers: { Authorization: "Bearer t0ken" },
      ca: "CA",
    },
    namespace: "shop",
  });
  assert.equal((await load("fd00::1")).server.url, "https://[fd00::1]:6443");
});
