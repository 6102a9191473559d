/** API servers that refuse, fail, talk nonsense or hang up: each is one sentence, a hint and exit code 125, within seconds. */
import assert from "node:assert/strict";
import { listOf, refuse, startApiServer } from "../support/api_server.ts";
import { SERVER_CERT, SERVER_KEY, TEST_CA } from "../support/certificates.ts";
import { exec, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { startProxy } from "../support/proxy.ts";

const REASON = whyNotBuilt();
/** Runs of it that go on at the same time. */
const COMMANDS = [["exec", "-t", "pod/web", "--", "true"], ["exec", "--", "true"], ["ls"]] as const;

/** A kubeconfig for a server, in a folder of its own. */
async function withKubeconfig(server: string, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const config = {
      clusters: [{ name: "c", cluster: { server } }],
      users: [{ name: "u", user: { token: "t" } }],
      contexts: [{ name: "dev", context: { cluster: "c", user: "u" } }],
      "current-context": "dev",
    };
    await Deno.writeTextFile(`${folder}/config`, JSON.stringify(config));
    await use(`${folder}/config`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Every command says one error with a hint, and nothing else. */
async function assertAllRefused(server: string, code: string, says: RegExp): Promise<void> {
  await withKubeconfig(server, async (KUBECONFIG) => {
    const env = { KUBECONFIG, MIRRORD_PROGRESS_MODE: "off" };
    const all = await Promise.all(COMMANDS.map((args) => mirrord(args, { env })));
    for (const { code: exitCode, stdout, stderr } of all) {
      assert.deepEqual([exitCode, stdout], [125, ""], stderr);
      assert.match(stderr, /^error: Cannot [^\n]*\n hint: [^\n]* {3}\(code [A-Z_]+\)\n$/);
      assert.ok(stderr.includes(`(code ${code})`), stderr);
      assert.match(stderr, says);
    }
  });
}

const ANSWERS: readonly (readonly [string, string, RegExp, () => Response])[] = [
  ["401", "KUBE_UNAUTHORIZED", /does not accept the kubeconfig's credentials/, () => refuse(401, "Unauthorized")],
  ["403", "KUBE_FORBIDDEN", /pods is forbidden.*hint: .*can-i/s, () => refuse(403, "pods is forbidden")],
  ["409", "KUBE_CONFLICT", /was changed.*try again/s, () => refuse(409, "was changed")],
  ["410", "KUBE_EXPIRED", /too old.*try again/s, () => refuse(410, "too old")],
  ["418", "KUBE_REFUSED", /short and stout/, () => refuse(418, "short and stout")],
  ["429, with a long wish", "KUBE_BUSY", /for 999 s/, () => refuse(429, "busy", "", { "retry-after": "999" })],
  ["302", "KUBE_REFUSED", /answered 302/, () => new Response(null, { status: 302, headers: { location: "/login" } })],
  ["a login page", "KUBE_GARBLED", /does not answer as an API server/, () => new Response("<html>Log in</html>")],
  ["nothing", "KUBE_GARBLED", /does not answer as an API server/, () => new Response(null, { status: 204 })],
  ["half an object", "KUBE_GARBLED", /does not answer as an API server/, () => new Response('{"items":[{"meta')],
  ["another object", "KUBE_GARBLED", /does not answer as an API server/, () => Response.json({ hello: "world" })],
  ["a list of anything", "KUBE_GARBLED", /API server/, () => Response.json({ metadata: {}, items: [1, null, {}] })],
  ["bytes", "KUBE_GARBLED", /API server/, () => new Response(crypto.getRandomValues(new Uint8Array(5000)))],
];

for (const [what, code, says, answer] of ANSWERS) {
  testUnless(REASON, `an API server that answers with ${what} is told of`, async () => {
    await using api = startApiServer(answer);
    await assertAllRefused(api.server.url, code, says);
  });
}

testUnless(
  REASON,
  "a kind that the API server does not know, and a namespace that is not there, are told of",
  async () => {
    await using api = startApiServer(() => refuse(404, "the server could not find the requested resource"));
    await withKubeconfig(api.server.url, async (KUBECONFIG) => {
      const missing = await exec(["-t", "rollout/web", "--", "true"], { env: { KUBECONFIG } });
      assert.match(
        missing.stderr,
        /^error: Cannot use target "rollout\/web": this cluster knows no rollouts at all\n hint: /,
      );
      const making = await exec(["true"], { env: { KUBECONFIG } });
      assert.match(making.stderr, /^error: Cannot create jobs in .*\n hint: .*\(code KUBE_NOT_FOUND\)\n$/);
    });
  },
);

testUnless(REASON, "reading is tried again where the API server fails or hangs up, making a Job is not", async () => {
  let asked = 0;
  await using api = startApiServer(({ method, path }) => {
    if (method === "POST") return refuse(500, "etcdserver: request timed out");
    if (!path.endsWith("/pods/web")) return refuse(404, "not found");
    return ++asked === 1 ? refuse(503, "starting") : refuse(404, 'pods "web" not found');
  });
  await withKubeconfig(api.server.url, async (KUBECONFIG) => {
    const reading = await exec(["-t", "pod/web", "--", "true"], { env: { KUBECONFIG } });
    assert.match(reading.stderr, /\(code TARGET_NOT_FOUND\)/);
    assert.equal(asked, 2);
    const making = await exec(["true"], { env: { KUBECONFIG } });
    assert.match(making.stderr, /^error: Cannot create jobs in namespace "default": etcdserver: .*KUBE_SERVER_ERROR/s);
    assert.equal(api.requests.filter((it) => it.method === "POST").length, 1);
  });
});

type Manners = (conn: Deno.Conn) => Promise<unknown>;
const say = (conn: Deno.Conn, text: string) => conn.write(new TextEncoder().encode(text));
const hear = (conn: Deno.Conn) => conn.read(new Uint8Array(9999));

const MANNERS: readonly (readonly [string, "http" | "https", RegExp, Manners])[] = [
  ["hangs up", "https", /closed the connection where TLS begins/, () => Promise.resolve()],
  [
    "speaks no TLS",
    "https",
    /it does not speak TLS/,
    async (conn) => await say(conn, "SSH-2.0-Open\r\n") && hear(conn),
  ],
  [
    "speaks no HTTP",
    "http",
    /it does not speak HTTP/,
    async (conn) => await say(conn, "SSH-2.0-Open\r\n") && hear(conn),
  ],
];

for (const [what, scheme, says, manners] of MANNERS) {
  testUnless(REASON, `a server by ${scheme} that ${what} is told of`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for await (const conn of listener) {
        await manners(conn).catch(() => {});
        conn.close();
      }
    })();
    await assertAllRefused(`${scheme}://127.0.0.1:${listener.addr.port}`, "KUBE_UNREACHABLE", says);
    listener.close();
    await serving;
  });
}

testUnless(REASON, "a connection that breaks in the middle of an answer is told of", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      await hear(conn).then(() => say(conn, 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"ite')).catch(() => {});
      conn.close();
    }
  })();
  await assertAllRefused(
    `http://127.0.0.1:${listener.addr.port}`,
    "KUBE_UNREACHABLE",
    /it closed the connection in the middle of its answer/,
  );
  listener.close();
  await serving;
});

testUnless(
  REASON,
  "a proxy that is reached by TLS leads to the API server, where its certificate is trusted",
  async () => {
    const tls = { cert: SERVER_CERT, key: SERVER_KEY };
    await using api = startApiServer(() => listOf([]), tls);
    await using proxy = startProxy("https", undefined, tls);
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/ca.pem`, TEST_CA);
      const cluster = { server: api.server.url, "certificate-authority": "ca.pem", "proxy-url": proxy.url };
      const config = {
        clusters: [{ name: "c", cluster }],
        contexts: [{ name: "c", context: { cluster: "c" } }],
        "current-context": "c",
      };
      await Deno.writeTextFile(`${folder}/config`, JSON.stringify(config));
      const env = { KUBECONFIG: `${folder}/config` };
      const trusted = await mirrord(["ls", "-o", "json"], { env: { ...env, DENO_CERT: `${folder}/ca.pem` } });
      assert.deepEqual([trusted.code, trusted.stdout], [0, "[]\n"], trusted.stderr);
      assert.ok(proxy.asked.length > 0);
      const { code, stderr } = await mirrord(["ls"], { env });
      assert.equal(code, 125);
      assert.match(stderr, /through the proxy https:\S+: its certificate is signed by an unknown authority\n hint: /);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
