import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { listOf, refuse, startApiServer, watchOf } from "../../tests/support/api_server.ts";
import { OTHER_NAME_CERT, SERVER_CERT, SERVER_KEY, TEST_CA } from "../../tests/support/certificates.ts";
import type { ApiServer } from "./api_server.ts";
import { KINDS, KubeClient } from "./client.ts";
import type { Pod } from "./objects.ts";

function podOf(name: string, resourceVersion = ""): Pod {
  return { metadata: { name, resourceVersion }, spec: { containers: [] } };
}

async function assertRefused(promise: Promise<unknown>, code: string, message: RegExp, hint = /(?:)/): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    return true;
  });
}

Deno.test("KubeClient says refusals with verb, resource and namespace", async (test) => {
  const forbidden = 'pods is forbidden: User "dev" cannot list resource "pods" in API group "" in the namespace "shop"';
  const cases: [number, string, string, RegExp, RegExp][] = [
    [
      401,
      "Unauthorized",
      "KUBE_UNAUTHORIZED",
      /Cannot list pods in namespace "shop": .*credentials/,
      /log in to it again; `kubectl get pods --namespace shop`/,
    ],
    [403, forbidden, "KUBE_FORBIDDEN", /^Cannot list pods in namespace "shop": pods is forbidden: User "dev"/, /can-i/],
    [404, "not found", "KUBE_NOT_FOUND", /not found/, /(?:)/],
    [409, "exists", "KUBE_CONFLICT", /exists/, /try again/],
    [410, "too old", "KUBE_EXPIRED", /too old/, /try again/],
    [422, "bad", "KUBE_REFUSED", /bad/, /(?:)/],
  ];
  for (const [status, text, code, message, hint] of cases) {
    await test.step(String(status), async () => {
      await using api = startApiServer(() => refuse(status, text));
      using client = new KubeClient(api.server);
      await assertRefused(client.list(KINDS.pods, "shop"), code, message, hint);
      assert.equal(api.requests.length, 1);
    });
  }
});

Deno.test("KubeClient says refusals that are no Status of Kubernetes", async () => {
  await using api = startApiServer(() => new Response("<html>blocked by a proxy</html>", { status: 407 }));
  using client = new KubeClient(api.server);
  await assertRefused(client.get(KINDS.pods, "shop", "a"), "KUBE_REFUSED", /get pods "a" in .*answered 407/);
});

Deno.test("KubeClient asks again when the server is busy, and when reading failed", async () => {
  for (const status of [429, 503]) {
    const answers = [refuse(status, "later"), refuse(status, "later"), listOf([podOf("a")])];
    await using api = startApiServer(() => answers.shift()!);
    using client = new KubeClient(api.server);
    assert.equal((await client.list(KINDS.pods, "shop")).items.length, 1);
    assert.equal(api.requests.length, 3);
  }
});

Deno.test("KubeClient leaves a busy server alone for as long as it says", async () => {
  const answers = [refuse(429, "later", "", { "retry-after": "1" }), listOf([])];
  await using api = startApiServer(() => answers.shift()!);
  using client = new KubeClient(api.server);
  const began = performance.now();
  await client.list(KINDS.pods, "shop");
  assert.ok(performance.now() - began > 900);
});

Deno.test("KubeClient says at once when a busy server wants to be left alone for long", async () => {
  for (const wish of ["3600", new Date(Date.now() + 3_600_000).toUTCString()]) {
    await using api = startApiServer(() => refuse(429, "later", "", { "retry-after": wish }));
    using client = new KubeClient(api.server);
    await assertRefused(
      client.list(KINDS.pods, "shop"),
      "KUBE_BUSY",
      /later \(it wants to be left alone for 3[56]\d\d s\)/,
    );
    assert.equal(api.requests.length, 1);
  }
});

Deno.test("KubeClient says when something else answers in the server's place", async (test) => {
  const bodies = [
    ...[
      "<html>Please log in</html>",
      "",
      "null",
      '"text"',
      "{",
      "\u0000\u0001",
      "[]",
      "{}",
      '{"metadata":{},"items":"x"}',
    ],
    ...[
      '{"metadata":{},"items":[null]}',
      '{"metadata":{},"items":[{"metadata":{"name":"a"},"spec":{"containers":5}}]}',
    ],
  ];
  for (const body of bodies) {
    await test.step(JSON.stringify(body), async () => {
      await using api = startApiServer(() => new Response(body));
      using client = new KubeClient(api.server);
      const words =
        /Cannot list pods in namespace "shop": the API server http\S+ \(context "scripted"\) does not answer as/;
      await assertRefused(client.list(KINDS.pods, "shop"), "KUBE_GARBLED", words, /proxy or a login page/);
    });
  }
  for (const line of ["nonsense", "{}", '{"type":"ADDED","object":{}}']) {
    await test.step(`in a watch: ${line}`, async () => {
      await using api = startApiServer(({ query }) => query.has("watch") ? new Response(`${line}\n`) : listOf([]));
      using client = new KubeClient(api.server);
      const stop = new AbortController();
      await assertRefused(
        client.observe(KINDS.pods, "shop", {}, stop.signal).next(),
        "KUBE_GARBLED",
        /Cannot watch pods in namespace "shop"/,
      );
    });
  }
  await test.step("and is not read for ever", async () => {
    const body = new ReadableStream({ pull: (it) => it.enqueue(new Uint8Array(8 << 20).fill(32)) });
    await using api = startApiServer(() => new Response(body));
    using client = new KubeClient(api.server);
    await assertRefused(client.list(KINDS.pods, "shop"), "KUBE_GARBLED", /does not answer as an API server/);
  });
});

Deno.test("KubeClient gives up on an answer that begins and never ends", async () => {
  await using api = startApiServer(() => {
    const begun = new TextEncoder().encode('{"items":');
    return new Response(new ReadableStream<Uint8Array<ArrayBuffer>>({ start: (it) => it.enqueue(begun) }));
  });
  using client = new KubeClient(api.server, { answerMs: 300 });
  await assertRefused(client.list(KINDS.pods, "shop"), "KUBE_UNREACHABLE", /no answer within 0\.3 s/);
});

Deno.test("KubeClient does not create twice when the server failed", async () => {
  await using api = startApiServer(() => refuse(500, "etcd is gone"));
  using client = new KubeClient(api.server);
  await assertRefused(client.create(KINDS.jobs, "shop", {}), "KUBE_SERVER_ERROR", /create jobs .*etcd is gone/);
  assert.equal(api.requests.length, 1);
});

Deno.test("KubeClient lists page by page", async () => {
  await using api = startApiServer(({ query }) =>
    query.get("continue") === "next" ? listOf([podOf("b")]) : listOf([podOf("a")], { continue: "next" })
  );
  using client = new KubeClient(api.server);
  const { items } = await client.list(KINDS.pods, "shop", { labelSelector: "app=web" });
  assert.deepEqual(items.map((it) => it.metadata.name), ["a", "b"]);
  assert.ok(api.requests.every((it) => it.query.get("labelSelector") === "app=web"));
});

Deno.test("KubeClient goes on with a list that has become too old meanwhile", async () => {
  const expired = { code: 410, message: "too old", metadata: { continue: "again" } };
  const pages: Record<string, () => Response> = {
    "": () => listOf([podOf("a")], { continue: "next" }),
    next: () => Response.json(expired, { status: 410 }),
    again: () => listOf([podOf("b")]),
  };
  await using api = startApiServer(({ query }) => pages[query.get("continue") ?? ""]!());
  using client = new KubeClient(api.server);
  assert.deepEqual((await client.list(KINDS.pods, "shop")).items.map((it) => it.metadata.name), ["a", "b"]);
});

Deno.test("KubeClient does not mind that what it deletes is gone", async () => {
  await using api = startApiServer(() => refuse(404, "gone"));
  using client = new KubeClient(api.server);
  await client.delete(KINDS.jobs, "shop", "a");
  assert.equal((api.requests[0]!.body as { propagationPolicy: string }).propagationPolicy, "Background");
});

Deno.test("observe() goes on after a watch has ended, and begins anew when it is too old", async () => {
  const pod = podOf;
  const watches = [
    watchOf([{ type: "ADDED", object: pod("b", "2") }]),
    watchOf([{ type: "MODIFIED", object: pod("b", "3") }, { type: "ERROR", object: { code: 410 } }]),
    refuse(410, "too old"),
    watchOf([{ type: "DELETED", object: pod("a", "9") }], true),
  ];
  await using api = startApiServer(({ query }) =>
    query.get("watch") === "true" ? watches.shift()! : listOf([pod("a", "1")])
  );
  using client = new KubeClient(api.server);
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const { type, object } of client.observe<Pod>(KINDS.pods, "shop", {}, stop.signal)) {
    seen.push(`${type} ${object.metadata.name}`);
    if (type === "DELETED") break;
  }
  assert.deepEqual(seen, ["ADDED a", "ADDED b", "MODIFIED b", "ADDED a", "ADDED a", "DELETED a"]);
  const froms = api.requests.filter((it) => it.query.has("watch")).map((it) => it.query.get("resourceVersion"));
  assert.deepEqual(froms, ["1", "2", "1", "1"]);
});

Deno.test("observe() goes on where the server failed, or hung up in the middle, and gives up in the end", async () => {
  const broken = () => {
    const line = `${JSON.stringify({ type: "ADDED", object: podOf("b", "2") })}\n`;
    let hasBegun = false;
    const pull = (it: ReadableStreamDefaultController<Uint8Array>) => {
      if (hasBegun) it.error(new Error("gone"));
      else it.enqueue(new TextEncoder().encode(line));
      hasBegun = true;
    };
    return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
  };
  const watches = [() => refuse(503, "later"), broken];
  await using api = startApiServer(({ query }) => {
    if (query.get("watch") !== "true") return listOf([podOf("a", "1")]);
    return watches.shift()?.() ?? refuse(500, "for good");
  });
  using client = new KubeClient(api.server);
  const stop = new AbortController();
  const seen: string[] = [];
  await assertRefused(
    (async () => {
      for await (const { object } of client.observe(KINDS.pods, "shop", {}, stop.signal)) {
        seen.push(object.metadata.name);
      }
    })(),
    "KUBE_SERVER_ERROR",
    /watch pods .*for good/,
  );
  assert.deepEqual(seen, ["a", "b"]);
  const froms = api.requests.filter((it) => it.query.has("watch")).map((it) => it.query.get("resourceVersion"));
  assert.deepEqual(froms.slice(0, 3), ["1", "1", "2"]);
});

Deno.test("KubeClient deletes again when the server has failed", async () => {
  const answers = [refuse(500, "etcd"), Response.json({})];
  await using api = startApiServer(() => answers.shift()!);
  using client = new KubeClient(api.server);
  await client.delete(KINDS.jobs, "shop", "a");
  assert.equal(api.requests.length, 2);
});

Deno.test("observe() ends with the signal's reason", async () => {
  await using api = startApiServer(({ query }) => query.has("watch") ? watchOf([], true) : listOf([]));
  using client = new KubeClient(api.server);
  const stop = new AbortController();
  const waiting = client.observe(KINDS.pods, "shop", {}, stop.signal).next();
  while (api.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});

Deno.test("KubeClient gives up on a server that does not answer, and names it", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const conn of silent) conns.push(conn);
  })();
  const url = `http://127.0.0.1:${silent.addr.port}`;
  {
    using client = new KubeClient({ url, context: "far", headers: {} }, { answerMs: 100 });
    await assertRefused(
      client.list(KINDS.pods, "shop"),
      "KUBE_UNREACHABLE",
      /Cannot reach the API server http:\/\/127\.0\.0\.1:\d+ \(context "far"\): there was no answer within 0\.1 s/,
      /VPN/,
    );
  }
  silent.close();
  await accepting;
  conns.forEach((conn) => conn.close());
});

Deno.test("KubeClient says why a server cannot be reached", async (test) => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  free.close();
  const cases: [string, string, RegExp][] = [
    ["refused", `http://127.0.0.1:${free.addr.port}`, /connection refused/],
    ["refused with TLS", `https://127.0.0.1:${free.addr.port}`, /connection refused/],
    ["no such name", "https://no-such-host.invalid", /no-such-host\.invalid/],
  ];
  for (const [name, url, message] of cases) {
    await test.step(name, async () => {
      using client = new KubeClient({ url, context: "far", headers: {} });
      await assertRefused(client.list(KINDS.pods, "shop"), "KUBE_UNREACHABLE", message);
    });
  }
});

Deno.test("KubeClient verifies the server's certificate unless told not to", async (test) => {
  const good = { cert: SERVER_CERT, key: SERVER_KEY };
  const other = { cert: OTHER_NAME_CERT, key: SERVER_KEY };
  const cases: [string, typeof good, { host?: string } & Partial<ApiServer>, RegExp | undefined][] = [
    ["signed by the authority of the kubeconfig", good, { ca: TEST_CA }, undefined],
    ["unknown authority", good, {}, /unknown authority/],
    ["another name", other, { ca: TEST_CA }, /another name/],
    ["another name that was announced", other, { ca: TEST_CA, serverName: "other.test" }, undefined],
    ["an address that was announced", good, { ca: TEST_CA, serverName: "127.0.0.1", host: "localhost" }, undefined],
    ["an address that it has not", good, { ca: TEST_CA, serverName: "127.0.0.9" }, /127\.0\.0\.9 is not in/],
    ["not verified", other, { isInsecure: true }, undefined],
  ];
  for (const [name, certificate, { host, ...trust }, message] of cases) {
    await test.step(name, async () => {
      await using api = startApiServer(() => listOf([]), certificate);
      const url = host ? api.server.url.replace("127.0.0.1", host) : api.server.url;
      using client = new KubeClient({ ...api.server, url, ...trust });
      if (!message) await client.list(KINDS.pods, "shop");
      else await assertRefused(client.list(KINDS.pods, "shop"), "KUBE_CERTIFICATE", message, /certificate-authority/);
    });
  }
});
