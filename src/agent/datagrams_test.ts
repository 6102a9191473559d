import assert from "node:assert/strict";
import { duplexPair } from "../base/duplex_pair.ts";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO, WireError } from "../base/errors.ts";
import type { AgentFrame, AgentMessage } from "../proto/agent.ts";
import { AgentLink } from "../proto/agent_link.ts";
import type { MessageNamed } from "../proto/schema.ts";
import type { AGENT } from "../proto/agent.ts";
import { Datagrams } from "./datagrams.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const NOBODY = new Uint8Array(0);
type Opened = MessageNamed<typeof AGENT, "DatagramsOpened">;

/** The agent's flows, the client's end of the wire, and a UDP server that answers in capitals. */
class Scene implements AsyncDisposable {
  readonly #near: AgentLink;
  readonly #far: AgentLink;
  readonly #messages: AsyncGenerator<AgentFrame>;
  readonly datagrams: Datagrams;
  readonly server = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;

  constructor() {
    const [near, far] = duplexPair();
    this.#near = new AgentLink(near);
    this.#far = new AgentLink(far);
    this.#messages = this.#far.messages(() => 1 << 20);
    this.datagrams = new Datagrams(this.#near);
    this.#serving = this.#serve();
  }

  get port(): number {
    return (this.server.addr as Deno.NetAddr).port;
  }

  async #serve(): Promise<void> {
    for await (const [data, from] of this.server) await this.server.send(utf8(fromUtf8(data).toUpperCase()), from);
  }

  open(flow: number, address: Uint8Array, port: number): Opened {
    return this.datagrams.open({ type: "OpenDatagrams", flow, family: 4, address, port }) as AgentMessage & Opened;
  }

  send(flow: number, text: string, port = this.port): void {
    this.datagrams.onDatagram({ type: "Datagram", flow, address: LOOPBACK, port, data: utf8(text) });
  }

  async next(): Promise<AgentFrame> {
    return (await this.#messages.next()).value as AgentFrame;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.datagrams.close();
    this.server.close();
    await this.#serving;
    this.#near.close();
    this.#far.close();
    await this.#messages.return?.(undefined);
  }
}

for (const kind of ["connected", "free"] as const) {
  Deno.test(`a ${kind} flow sends and hears whole datagrams`, async () => {
    await using scene = new Scene();
    const opened = scene.open(7, kind === "connected" ? LOOPBACK : NOBODY, scene.port);
    assert.equal(opened.errno, 0);
    assert.equal(opened.localAddress.join("."), kind === "connected" ? "127.0.0.1" : "0.0.0.0");
    assert.ok(opened.localPort > 0);
    scene.send(7, "hello");
    const heard = await scene.next();
    assert.ok(heard.type === "Datagram");
    assert.deepEqual([heard.flow, fromUtf8(heard.data), heard.port], [7, "HELLO", scene.port]);
    assert.equal(heard.address.join("."), "127.0.0.1");
  });
}

Deno.test("a connected flow does not hear strangers, a free one does", async () => {
  await using scene = new Scene();
  const stranger = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const connected = scene.open(1, LOOPBACK, scene.port);
  const free = scene.open(2, NOBODY, 0);
  const to = (port: number) => ({ transport: "udp" as const, hostname: "127.0.0.1", port });
  await stranger.send(utf8("psst"), to(connected.localPort));
  await stranger.send(utf8("hey"), to(free.localPort));
  const heard = await scene.next();
  stranger.close();
  assert.ok(heard.type === "Datagram");
  assert.deepEqual([heard.flow, fromUtf8(heard.data)], [2, "hey"]);
});

Deno.test("that nobody listens there is told of a connected flow", async () => {
  await using scene = new Scene();
  const gone = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr as Deno.NetAddr;
  gone.close();
  assert.equal(scene.open(3, LOOPBACK, port).errno, 0);
  scene.send(3, "anybody?", port);
  assert.deepEqual({ ...await scene.next() }, { type: "DatagramFailed", id: 0, flow: 3, errno: ERRNO.ECONNREFUSED });
});

Deno.test("an address of another family than IPv4 and IPv6 is refused", async () => {
  await using scene = new Scene();
  assert.equal(scene.open(4, Uint8Array.of(1, 2, 3), 9).errno, ERRNO.EAFNOSUPPORT);
});

Deno.test("a flow's number is taken once, and free again when it is closed", async () => {
  await using scene = new Scene();
  scene.open(5, NOBODY, 0);
  assert.throws(() => scene.open(5, NOBODY, 0), WireError);
  assert.throws(() => scene.open(0, NOBODY, 0), WireError);
  scene.datagrams.closeFlow(5);
  assert.equal(scene.open(5, NOBODY, 0).errno, 0);
});
