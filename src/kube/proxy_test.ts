import assert from "node:assert/strict";
import { listOf, PortForwardPeer, startApiServer } from "../../tests/support/api_server.ts";
import { type Proxy, startProxy } from "../../tests/support/proxy.ts";
import { SERVER_CERT, SERVER_KEY, TEST_CA } from "../../tests/support/certificates.ts";
import type { ApiServer } from "./api_server.ts";
import { KINDS, KubeClient } from "./client.ts";
import { openPortForward } from "./port_forward.ts";
import { proxyFor } from "./proxy.ts";

const HTTPS = "https://api.example.com:6443";

for (
  const { server = HTTPS, url, env, proxy } of [
    { env: {}, proxy: undefined },
    { env: { HTTPS_PROXY: "http://p:3128" }, proxy: "http://p:3128" },
    { env: { https_proxy: "p:3128" }, proxy: "http://p:3128" },
    { env: { HTTP_PROXY: "http://p:3128" }, proxy: undefined },
    { env: { HTTP_PROXY: "http://p:3128" }, server: "http://api", proxy: "http://p:3128" },
    { env: { HTTPS_PROXY: "http://p:3128" }, url: "socks5://q", proxy: "socks5://q" },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "other, .example.com" }, proxy: undefined },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "example.com" }, proxy: undefined },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "*.example.com" }, proxy: undefined },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "ample.com" }, proxy: "http://p" },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "api.example.com:6443" }, proxy: undefined },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "api.example.com:443" }, proxy: "http://p" },
    { env: { HTTPS_PROXY: "p", no_proxy: "*" }, proxy: undefined },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "10.0.0.0/8" }, server: "https://10.1.2.3", proxy: undefined },
    { env: { HTTPS_PROXY: "p", NO_PROXY: "10.2.0.0/16" }, server: "https://10.1.2.3", proxy: "http://p" },
    { env: { HTTPS_PROXY: "p" }, server: "https://127.0.0.1:6443", proxy: undefined },
    { env: { HTTPS_PROXY: "p" }, server: "https://[::1]:6443", proxy: undefined },
  ] as { server?: string; url?: string; env: Record<string, string>; proxy: string | undefined }[]
) {
  Deno.test(`proxyFor() of ${server} with ${JSON.stringify(env)} and proxy-url ${url} is ${proxy}`, () => {
    assert.equal(proxyFor(server, url, (name) => env[name]), proxy);
  });
}

Deno.test("an API server is reached through a proxy: requests and port-forwards", async (test) => {
  const tls = { cert: SERVER_CERT, key: SERVER_KEY };
  for (const kind of ["http", "socks5"] as const) {
    for (const trust of [undefined, { ca: TEST_CA }, { isInsecure: true }]) {
      await test.step(`${kind}, ${trust ? Object.keys(trust)[0] : "no TLS"}`, async () => {
        await using api = startApiServer(({ path, raw }) => {
          if (!path.endsWith("/portforward")) return listOf([]);
          if (raw.headers.get("upgrade") !== "websocket") return new Response("", { status: 400 });
          const { socket, response } = Deno.upgradeWebSocket(raw, { protocol: "v4.channel.k8s.io" });
          socket.binaryType = "arraybuffer";
          const peer = new PortForwardPeer(socket, 7000);
          peer.onData((bytes) => peer.send(bytes.toReversed()));
          return response;
        }, trust && tls);
        await using proxy = startProxy(kind);
        const server: ApiServer = { ...api.server, ...trust, proxy: proxy.url };
        {
          using client = new KubeClient(server);
          assert.deepEqual((await client.list(KINDS.pods, "shop")).items, []);
          using forward = await openPortForward({ server, namespace: "shop", pod: "a", port: 7000 });
          await forward.writeAll(Uint8Array.of(1, 2, 3));
          const into = new Uint8Array(3);
          assert.equal(await forward.read(into), 3);
          assert.deepEqual([...into], [3, 2, 1]);
        }
        const own = new URL(api.server.url).host;
        assert.ok(proxy.asked.length >= 2 && proxy.asked.every((it) => it === own), proxy.asked.join());
      });
    }
  }
});

Deno.test("what a proxy says against it is told", async (test) => {
  const cases: [string, () => Proxy | { url: string }, RegExp][] = [
    [
      "HTTP",
      () => startProxy("http", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
      /answers "HTTP\/1\.1 407 Proxy/,
    ],
    ["no HTTP", () => startProxy("http", "SSH-2.0-x\r\n\r\n"), /does not answer in HTTP/],
    ["SOCKS", () => startProxy("socks5", "no"), /connection refused/],
    ["nobody", () => ({ url: "http://127.0.0.1:1" }), /connection refused/],
    ["another kind", () => ({ url: "ftp://proxy.example" }), /only http:\/\/, https:\/\/ and socks5:\/\/ can be used/],
    ["no address", () => ({ url: "http://[" }), /through the proxy "http:\/\/\[": this is no address/],
    [
      "TLS that nobody trusts",
      () => startProxy("https", undefined, { cert: SERVER_CERT, key: SERVER_KEY }),
      /its certificate is signed by an unknown authority/,
    ],
  ];
  for (const [name, make, words] of cases) {
    await test.step(name, async () => {
      const proxy = make();
      const server = { url: "https://far.example", context: "far", headers: {}, proxy: proxy.url };
      {
        using client = new KubeClient(server);
        await assert.rejects(client.list(KINDS.pods, "shop"), (error: { code?: string; message: string }) => {
          assert.equal(error.code, "KUBE_PROXY_FAILED", error.message);
          assert.match(error.message, words);
          return true;
        });
      }
      if (Symbol.asyncDispose in proxy) await proxy[Symbol.asyncDispose]();
    });
  }
});
