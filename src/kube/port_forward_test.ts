import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import { PortForwardPeer, refuse, startApiServer } from "../../tests/support/api_server.ts";
import { SERVER_CERT, SERVER_KEY, TEST_CA } from "../../tests/support/certificates.ts";
import type { ApiServer } from "./api_server.ts";
import { type AgentAddress, openPortForward } from "./port_forward.ts";

const PORT = 34567;
const REFUSED = `error forwarding port: dial tcp4 127.0.0.1:${PORT}: connect: connection refused`;

/** A server of port-forwards; `meet` is called with each, in turn. */
function startPeers(meet: (peer: PortForwardPeer, turn: number) => void, tls?: { cert: string; key: string }) {
  let turn = 0;
  return startApiServer(({ raw, path, query }) => {
    assert.equal(path, "/api/v1/namespaces/shop/pods/agent-1/portforward");
    // A server that does not know SPDY: all that these tests say holds of the WebSocket too.
    if (raw.method === "POST") return refuse(400, "unable to upgrade: SPDY is not spoken here");
    assert.equal(query.get("ports"), String(PORT));
    const { socket, response } = Deno.upgradeWebSocket(raw, { protocol: "v4.channel.k8s.io" });
    socket.binaryType = "arraybuffer";
    meet(new PortForwardPeer(socket, PORT), turn++);
    return response;
  }, tls);
}

function addressOf(server: ApiServer): AgentAddress {
  return { server, namespace: "shop", pod: "agent-1", port: PORT };
}

async function readText(duplex: Duplex, length: number): Promise<string> {
  const into = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = await duplex.read(into.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return fromUtf8(into.subarray(0, filled));
}

async function assertRefused(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("openPortForward() carries bytes both ways, and knows the end", async (test) => {
  const cases: [string, { cert: string; key: string } | undefined, Partial<ApiServer>][] = [
    ["plain", undefined, {}],
    ["TLS", { cert: SERVER_CERT, key: SERVER_KEY }, { ca: TEST_CA }],
    ["TLS without verification", { cert: SERVER_CERT, key: SERVER_KEY }, { isInsecure: true }],
    ["TLS of another name", { cert: SERVER_CERT, key: SERVER_KEY }, { ca: TEST_CA, serverName: "api.test" }],
  ];
  for (const [name, tls, trust] of cases) {
    await test.step(name, async () => {
      await using api = startPeers((peer) => {
        peer.onData((bytes) => {
          peer.send(bytes);
          if (fromUtf8(bytes) === "last") peer.socket.close();
        });
      }, tls);
      using duplex = await openPortForward(addressOf({ ...api.server, ...trust }));
      await duplex.writeAll(utf8("hello"));
      assert.equal(await readText(duplex, 5), "hello");
      await duplex.writeAll(utf8("last"));
      assert.equal(await readText(duplex, 100), "last");
      assert.equal(await duplex.read(new Uint8Array(1)), null);
    });
  }
});

Deno.test("openPortForward() keeps megabytes in order", async () => {
  await using api = startPeers((peer) => peer.onData((bytes) => peer.send(bytes)));
  using duplex = await openPortForward(addressOf(api.server));
  const sent = new Uint8Array(3 << 20);
  for (let at = 0; at < sent.length; at++) sent[at] = at * 7 + (at >> 9);
  const received = new Uint8Array(sent.length);
  const reading = (async () => {
    for (let at = 0; at < received.length;) at += (await duplex.read(received.subarray(at)))!;
  })();
  for (let at = 0; at < sent.length; at += 500_000) await duplex.writeAll(sent.subarray(at, at + 500_000));
  await reading;
  assert.deepEqual(received, sent);
});

Deno.test("openPortForward() sends what authenticates us", async () => {
  await using api = startPeers(() => {});
  using _ = await openPortForward(addressOf({ ...api.server, headers: { Authorization: "Bearer t" } }));
  assert.equal(api.requests[0]!.headers.get("authorization"), "Bearer t");
});

Deno.test("a port-forward tries anew with the same bytes while nothing listens yet", async () => {
  let greeting = "";
  await using api = startPeers((peer, turn) => {
    if (turn < 2) peer.socket.addEventListener("open", () => peer.fail(REFUSED));
    else {
      peer.onData((bytes) => {
        greeting += fromUtf8(bytes);
        if (greeting === "who's there?") peer.send(utf8("me"));
      });
    }
  });
  using duplex = await openPortForward(addressOf(api.server));
  await duplex.writeAll(utf8("who's "));
  await duplex.writeAll(utf8("there?"));
  assert.equal(await readText(duplex, 2), "me");
  assert.equal(api.requests.filter((it) => it.method === "GET").length, 3);
});

Deno.test("a port-forward has no other try once the agent has spoken", async () => {
  await using api = startPeers((peer) => {
    peer.onData(() => {
      peer.send(utf8("x"));
      peer.fail(REFUSED);
    });
  });
  using duplex = await openPortForward(addressOf(api.server));
  await duplex.writeAll(utf8("hi"));
  assert.equal(await readText(duplex, 1), "x");
  await assertRefused(duplex.read(new Uint8Array(1)), "AGENT_UNREACHABLE", /nothing listens on it/);
  assert.equal(api.requests.filter((it) => it.method === "GET").length, 1);
});

Deno.test("a port-forward gives up when its patience is over", async () => {
  await using api = startPeers((peer) => peer.socket.addEventListener("open", () => peer.fail(REFUSED)));
  using duplex = await openPortForward(addressOf(api.server), { patienceMs: 1000 });
  await duplex.writeAll(utf8("hi"));
  await assertRefused(
    duplex.read(new Uint8Array(1)),
    "AGENT_UNREACHABLE",
    /Cannot reach port 34567 of pod "agent-1" in namespace "shop": nothing listens on it/,
  );
});

Deno.test("a port-forward tells other failures in the kubelet's words, at once", async () => {
  await using api = startPeers((peer) => peer.socket.addEventListener("open", () => peer.fail("no such container\n")));
  using duplex = await openPortForward(addressOf(api.server));
  await assertRefused(duplex.read(new Uint8Array(1)), "AGENT_UNREACHABLE", /: no such container$/);
});

Deno.test("openPortForward() says refusals with verb and resource", async (test) => {
  const cases: [number, string, string][] = [
    [401, "Unauthorized", "KUBE_UNAUTHORIZED"],
    [403, 'User "dev" cannot create resource "pods/portforward"', "KUBE_FORBIDDEN"],
    [404, 'pods "agent-1" not found', "KUBE_NOT_FOUND"],
    [500, "kubelet is gone", "KUBE_SERVER_ERROR"],
  ];
  for (const [status, text, code] of cases) {
    await test.step(String(status), async () => {
      await using api = startApiServer(() => refuse(status, text));
      const words = /Cannot create pods\/portforward "agent-1" in namespace "shop": /;
      await assertRefused(openPortForward(addressOf(api.server)), code, words);
    });
  }
});

Deno.test("openPortForward() does not say that a right is missing which only the second try needs", async () => {
  await using api = startApiServer(({ method }) =>
    method === "POST" ? refuse(500, "the pod is not there yet") : refuse(403, 'cannot get resource "pods/portforward"')
  );
  await assertRefused(openPortForward(addressOf(api.server)), "KUBE_SERVER_ERROR", /the pod is not there yet/);
});

Deno.test("openPortForward() says when the API server is not there", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  free.close();
  const server = { url: `https://127.0.0.1:${free.addr.port}`, context: "far", headers: {} };
  await assertRefused(openPortForward(addressOf(server)), "KUBE_UNREACHABLE", /\(context "far"\): connection refused/);
});

Deno.test("openPortForward() ends with the signal, and leaves no connection behind", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = silent.accept();
  const stop = new AbortController();
  const server = { url: `http://127.0.0.1:${silent.addr.port}`, context: "far", headers: {} };
  const opening = openPortForward(addressOf(server), { signal: stop.signal });
  using conn = await accepted;
  stop.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  conn.close();
  silent.close();
});

Deno.test("a port-forward that is closed while it waits for another try stays closed", async () => {
  await using api = startPeers((peer) => peer.socket.addEventListener("open", () => peer.fail(REFUSED)));
  const duplex = await openPortForward(addressOf(api.server));
  const reading = duplex.read(new Uint8Array(1));
  while (api.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  duplex.close();
  await assert.rejects(reading);
});
