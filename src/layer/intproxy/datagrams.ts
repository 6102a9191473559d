/**
 * Outgoing UDP: the app's own socket sends to relays of ours on loopback, one for each peer, and hears the peer from there.
 *
 * A flow is what the app's socket (known by its port) is at the target: connected to one peer, with a relay of its own, or free,
 * with relays for all whom it sends to or hears from. It lives as long as that port is taken; a connect anew replaces it.
 *
 * All relays for IPv4 sockets are at one address of 127.0.0.0/8 that belongs to this run, so that the shim knows a relay
 * when it sees one. Datagrams from a port that has not asked for the relay are dropped.
 *
 * The kernel tells a connected socket that nobody listens when a datagram comes back. Ours cannot be sent back: its relay is closed for a
 * moment instead, and the app's socket made to send there once more; where that is not allowed, the app's next datagram is refused.
 */
import { ERRNO } from "../../base/errors.ts";
import { type AGENT, AGENT_LIMITS } from "../../proto/agent.ts";
import type { LAYER, LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { refuseFor } from "../../sys/relay.ts";
import { keyOf } from "./addresses.ts";
import type { AgentClient } from "./agent_client.ts";
import type { ShimConnection } from "./shim_connection.ts";

export type DatagramRequest = Extract<LayerMessage, { type: "RelayDatagrams" | "DatagramNames" }>;
export type DatagramNews = MessageNamed<typeof AGENT, "Datagram" | "DatagramFailed">;

interface End {
  readonly address: Uint8Array;
  readonly port: number;
}

interface Flow {
  readonly number: number;
  /** Port of the app's socket, and where its datagrams were seen to come from. */
  readonly port: number;
  host: string;
  readonly isIpv6Only: boolean;
  /** Of a connected flow. */
  readonly peer: End | undefined;
  /** Where the app's socket was last seen. */
  readonly place: { readonly pid: number; readonly fd: number; readonly inode: bigint };
  own: End;
  errno: number;
  readonly opened: Promise<void>;
  readonly relays: Map<string, Relay>;
  isUsed: boolean;
}

interface Relay {
  socket: Deno.DatagramConn;
  readonly port: number;
  readonly host: string;
  readonly peer: End;
  /** The flows that may send here, by the app's port. */
  readonly flows: Map<number, Flow>;
  /** Of one connected flow alone. */
  readonly isDedicated: boolean;
  isClosed: boolean;
  /** Resolves when the socket is closed in the kernel, too. */
  receiving: Promise<void>;
}

/** How often flows that were not used are looked after. */
const LOOK_MS = 30_000;
/** How long a refused app finds its relay closed. */
const REFUSED_MS = 1000;
const DONE = Promise.resolve();
const NOWHERE: End = { address: new Uint8Array(0), port: 0 };

export class Datagrams {
  /** The address of the relays for IPv4 sockets, as a number. */
  readonly relayAddress: number;
  readonly #agent: AgentClient;
  readonly #isLocal: (address: Uint8Array, port: number) => Promise<boolean>;
  readonly #relayHost: string;
  readonly #flows = new Map<number, Flow>();
  /** The app's socket by its port (and family, where it cannot use IPv4). */
  readonly #bySource = new Map<string, Flow>();
  /** For flows that are not connected: one relay for each peer. */
  readonly #shared = new Map<string, Relay>();
  readonly #byPort = new Map<string, Relay>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #refusals = new Set<ReturnType<typeof setTimeout>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastFlow = 0;
  #isClosed = false;

  /** `isLocal`: whether what is sent there leaves from this machine. */
  constructor(agent: AgentClient, isLocal: (address: Uint8Array, port: number) => Promise<boolean>) {
    this.#agent = agent;
    this.#isLocal = isLocal;
    const [third, fourth] = crypto.getRandomValues(new Uint8Array(2)).map((byte) => byte % 254 + 1);
    this.#relayHost = `127.109.${third}.${fourth}`;
    this.relayAddress = 127 * 2 ** 24 + 109 * 2 ** 16 + third! * 2 ** 8 + fourth!;
    agent.onDatagram = (news) => this.#onNews(news);
  }

  onRequest(message: DatagramRequest, id: number, shim: ShimConnection): void {
    if (message.type === "RelayDatagrams") this.#own(this.#relayFor(message, id, shim));
    else this.#own(this.#tellNames(message, id, shim));
  }

  /** Resolves when what apps have sent so far is on its way. */
  async settled(): Promise<void> {
    for (let seen = -1; seen !== this.#passed && !this.#isClosed;) {
      seen = this.#passed;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const timer of this.#refusals) clearTimeout(timer);
    for (const relay of this.#byPort.values()) closeRelay(relay);
    await Promise.all(this.#tasks);
  }

  #passed = 0;

  async #relayFor(message: MessageNamed<typeof LAYER, "RelayDatagrams">, id: number, shim: ShimConnection) {
    const reply = (errno: number, isLocal: boolean, relayPort: number) =>
      shim.send({ type: "RelayDatagramsReply", errno, isLocal, relayPort }, id);
    const peer = { address: message.address.slice(), port: message.port };
    if (await this.#isLocal(peer.address, peer.port)) return reply(0, true, 0);
    const { isConnect, localPort, isIpv6Only, fd, inode } = message;
    const known = this.#bySource.get(sourceKey(localPort, isIpv6Only));
    const flow = known && !isConnect && known.errno === 0 ? known : this.#openFlow(
      { port: localPort, isIpv6Only, peer: isConnect ? peer : undefined, place: { pid: shim.pid, fd, inode } },
      peer.address.length === 4 ? 4 : 6,
    );
    flow.isUsed = true;
    if (isConnect) await flow.opened;
    if (flow.errno !== 0 || this.#isClosed) return reply(flow.errno || ERRNO.ENETUNREACH, false, 0);
    try {
      reply(0, false, this.#relay(flow, peer).port);
    } catch {
      // No descriptor or no port is left.
      reply(ERRNO.EAGAIN, false, 0);
    }
  }

  #openFlow(wish: Pick<Flow, "port" | "isIpv6Only" | "peer" | "place">, family: number): Flow {
    const { port, isIpv6Only, peer } = wish;
    const key = sourceKey(port, isIpv6Only);
    const before = this.#bySource.get(key);
    if (before) this.#closeFlow(before);
    do this.#lastFlow = (this.#lastFlow % 0xffff_ffff) + 1; while (this.#flows.has(this.#lastFlow));
    const { promise, resolve } = Promise.withResolvers<void>();
    const flow: Flow = {
      ...wish,
      number: this.#lastFlow,
      host: isIpv6Only ? "::1" : "127.0.0.1",
      own: NOWHERE,
      errno: 0,
      opened: promise,
      relays: new Map(),
      isUsed: true,
    };
    this.#flows.set(flow.number, flow);
    this.#bySource.set(key, flow);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    const { address, port: peerPort } = peer ?? NOWHERE;
    this.#agent.request({ type: "OpenDatagrams", flow: flow.number, family, address, port: peerPort }, (answer) => {
      flow.errno = answer ? answer.errno : ERRNO.ENETUNREACH;
      if (answer && answer.errno === 0) flow.own = { address: answer.localAddress.slice(), port: answer.localPort };
      resolve();
    });
    return flow;
  }

  /** The relay from which this flow's app hears `peer`. Throws what listening throws. */
  #relay(flow: Flow, peer: End): Relay {
    const key = keyOf(peer.address, peer.port);
    const known = flow.relays.get(key);
    if (known) return known;
    const host = flow.isIpv6Only ? "::1" : this.#relayHost;
    const sharedKey = `${host} ${key}`;
    const relay = flow.peer ? undefined : this.#shared.get(sharedKey);
    const made = relay ?? this.#openRelay(host, peer, flow.peer !== undefined);
    if (!flow.peer) this.#shared.set(sharedKey, made);
    made.flows.set(flow.port, flow);
    flow.relays.set(key, made);
    return made;
  }

  #openRelay(host: string, peer: End, isDedicated: boolean): Relay {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: host, port: 0 });
    const { port } = socket.addr as Deno.NetAddr;
    const relay: Relay = { socket, port, host, peer, flows: new Map(), isDedicated, isClosed: false, receiving: DONE };
    this.#byPort.set(relayKey(host, port), relay);
    relay.receiving = this.#receive(relay);
    this.#own(relay.receiving);
    return relay;
  }

  /** From the app to the agent, until the relay is closed. */
  async #receive(relay: Relay): Promise<void> {
    const { socket } = relay;
    const buffer = new Uint8Array(AGENT_LIMITS.datagramBytes);
    while (!relay.isClosed && relay.socket === socket) {
      try {
        const [data, from] = await socket.receive(buffer);
        this.#pass(relay, data, from as Deno.NetAddr);
      } catch (error) {
        // An app that has gone is told as ConnectionRefused of the datagram sent to it.
        if (!(error instanceof Deno.errors.ConnectionRefused)) return;
      }
    }
  }

  #pass(relay: Relay, data: Uint8Array, from: Deno.NetAddr): void {
    const flow = relay.flows.get(from.port);
    if (!flow || flow.errno !== 0) return;
    flow.host = from.hostname;
    flow.isUsed = true;
    this.#passed++;
    const { address, port } = relay.peer;
    this.#agent.tell({ type: "Datagram", flow: flow.number, address, port, data: data.slice() });
  }

  #onNews(news: DatagramNews): void {
    const flow = this.#flows.get(news.flow);
    if (!flow || this.#isClosed) return;
    if (news.type === "DatagramFailed") return this.#own(this.#refuse(flow));
    flow.isUsed = true;
    let relay: Relay;
    try {
      relay = this.#relay(flow, { address: news.address.slice(), port: news.port });
    } catch {
      return; // Lost, as datagrams may be.
    }
    if (relay.isClosed) return;
    const to = { transport: "udp" as const, hostname: flow.host, port: flow.port };
    relay.socket.send(news.data.slice(), to).catch(() => {});
  }

  /** The app hears it now, or its next datagram finds nobody. */
  async #refuse(flow: Flow): Promise<void> {
    for (const relay of flow.relays.values()) {
      if (!relay.isDedicated || relay.isClosed) continue;
      closeRelay(relay);
      await relay.receiving;
      if (this.#isClosed || this.#flows.get(flow.number) !== flow) return;
      if (refuseFor(flow.place) === 0) {
        this.#reopen(relay);
        continue;
      }
      const timer = setTimeout(() => {
        this.#refusals.delete(timer);
        if (this.#flows.get(flow.number) === flow) this.#reopen(relay);
      }, REFUSED_MS);
      this.#refusals.add(timer);
    }
  }

  #reopen(relay: Relay): void {
    try {
      relay.socket = Deno.listenDatagram({ transport: "udp", hostname: relay.host, port: relay.port });
    } catch {
      return; // Somebody else has taken the port: the app goes on being refused, or unheard.
    }
    relay.isClosed = false;
    relay.receiving = this.#receive(relay);
    this.#own(relay.receiving);
  }

  async #tellNames(message: MessageNamed<typeof LAYER, "DatagramNames">, id: number, shim: ShimConnection) {
    const { relayPort, localPort, isIpv6Only } = message;
    const flow = this.#bySource.get(sourceKey(localPort, isIpv6Only));
    await flow?.opened;
    const relay = this.#byPort.get(relayKey(isIpv6Only ? "::1" : this.#relayHost, relayPort));
    const peer = relay?.peer ?? NOWHERE;
    const own = flow?.own ?? NOWHERE;
    shim.send({
      type: "SocketNamesReply",
      isKnown: relay !== undefined,
      peerAddress: peer.address,
      peerPort: peer.port,
      ownAddress: own.address,
      ownPort: own.port,
    }, id);
  }

  /** Flows whose socket is gone go. */
  #look(): void {
    for (const flow of [...this.#flows.values()]) {
      if (!flow.isUsed && !isTaken(flow.host, flow.port)) this.#closeFlow(flow);
      flow.isUsed = false;
    }
  }

  #closeFlow(flow: Flow): void {
    this.#flows.delete(flow.number);
    const key = sourceKey(flow.port, flow.isIpv6Only);
    if (this.#bySource.get(key) === flow) this.#bySource.delete(key);
    this.#agent.tell({ type: "CloseDatagrams", flow: flow.number });
    for (const relay of flow.relays.values()) {
      if (relay.flows.get(flow.port) === flow) relay.flows.delete(flow.port);
      if (relay.flows.size > 0) continue;
      closeRelay(relay);
      this.#byPort.delete(relayKey(relay.host, relay.port));
      if (!relay.isDedicated) this.#shared.delete(`${relay.host} ${keyOf(relay.peer.address, relay.peer.port)}`);
    }
  }

  #own(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

function closeRelay(relay: Relay): void {
  if (!relay.isClosed) relay.socket.close();
  relay.isClosed = true;
}

function sourceKey(port: number, isIpv6Only: boolean): string {
  return `${port} ${isIpv6Only ? 6 : 4}`;
}

function relayKey(host: string, port: number): string {
  return `${host} ${port}`;
}

/** Whether some UDP socket of this machine has the port at that address. */
function isTaken(hostname: string, port: number): boolean {
  try {
    Deno.listenDatagram({ transport: "udp", hostname, port }).close();
    return false;
  } catch {
    return true;
  }
}
