/**
 * UDP from the target's network for one session: each flow of the client's is a socket of ours there.
 *
 * As UDP has it, datagrams may be lost: those that find more than MOST_UNSENT_BYTES under way to the client are. What the
 * kernel learns of the peer of a connected flow (nobody listens there) is told, since a program is told as well.
 */
import { equalBytes } from "../base/bytes.ts";
import { ERRNO, WireError } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import type { AgentLink } from "../proto/agent_link.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { openDatagramTo, sourceOrErrno } from "../sys/datagrams.ts";
import { formatAddress, parseAddress, unmapped4 } from "../base/addresses.ts";

type OpenDatagrams = MessageNamed<typeof AGENT, "OpenDatagrams">;
type Datagram = MessageNamed<typeof AGENT, "Datagram">;

interface Flow {
  readonly number: number;
  readonly socket: Deno.DatagramConn;
  /** Of a connected flow: whether its peer is known to be gone since the last time it was asked. */
  readonly isPeerGone: (() => boolean) | undefined;
  /** The one whom a connected flow hears. */
  readonly peer: { address: Uint8Array; port: number } | undefined;
  watch: ReturnType<typeof setTimeout> | undefined;
  isClosed: boolean;
  receiving: Promise<void>;
}

/** When the kernel is asked whether a datagram was refused; a refusal on the same network takes a millisecond. */
const WATCH_MS = [1, 4, 20, 100, 500, 2000];
const MOST_UNSENT_BYTES = 1 << 20;

export class Datagrams {
  readonly #link: AgentLink;
  readonly #flows = new Map<number, Flow>();
  #unsentBytes = 0;

  constructor(link: AgentLink) {
    this.#link = link;
  }

  /** The answer. Throws `WireError` when the number of the flow is in use. */
  open(message: OpenDatagrams): AgentMessage {
    const { flow: number, port } = message;
    if (number === 0 || this.#flows.has(number)) {
      throw new WireError(`Flow ${number} cannot be opened: it is in use, or 0`);
    }
    if (this.#flows.size >= AGENT_LIMITS.openFlows) return failed(ERRNO.EMFILE);
    const peer = message.address.slice();
    try {
      return peer.length === 0 ? this.#openFree(number, message.family) : this.#openConnected(number, peer, port);
    } catch (error) {
      return failed(errnoOf(error));
    }
  }

  /** A datagram of the client's goes out. */
  onDatagram(message: Datagram): void {
    const flow = this.#flows.get(message.flow);
    const { address } = message;
    if (!flow || (address.length !== 4 && address.length !== 16)) return;
    const to = { transport: "udp" as const, hostname: formatAddress(address), port: message.port };
    flow.socket.send(message.data.slice(), to).catch((error) => this.#refused(flow, errnoOf(error)));
    if (flow.isPeerGone) this.#watch(flow, 0);
  }

  closeFlow(number: number): void {
    const flow = this.#flows.get(number);
    if (!flow) return;
    this.#flows.delete(number);
    flow.isClosed = true;
    clearTimeout(flow.watch);
    flow.socket.close();
  }

  /** Resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    const flows = [...this.#flows.values()];
    for (const { number } of flows) this.closeFlow(number);
    await Promise.all(flows.map(({ receiving }) => receiving));
  }

  #openFree(number: number, family: number): AgentMessage {
    const hostname = family === 4 ? "0.0.0.0" : "::";
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.#add(number, socket);
    const localAddress = new Uint8Array(family === 4 ? 4 : 16);
    return { type: "DatagramsOpened", errno: 0, localAddress, localPort: portOf(socket) };
  }

  #openConnected(number: number, address: Uint8Array, port: number): AgentMessage {
    if (address.length !== 4 && address.length !== 16) return failed(ERRNO.EAFNOSUPPORT);
    const own = sourceOrErrno(address);
    if (typeof own === "number") return failed(-own);
    const connected = openDatagramTo(address, port);
    this.#add(number, connected.socket, { address, port }, () => connected.isPeerGone());
    return { type: "DatagramsOpened", errno: 0, localAddress: own, localPort: portOf(connected.socket) };
  }

  #add(number: number, socket: Deno.DatagramConn, peer?: Flow["peer"], isPeerGone?: Flow["isPeerGone"]): void {
    const flow: Flow = {
      number,
      socket,
      isPeerGone,
      peer,
      watch: undefined,
      isClosed: false,
      receiving: Promise.resolve(),
    };
    this.#flows.set(number, flow);
    flow.receiving = this.#receive(flow);
  }

  /** Never rejects. */
  async #receive(flow: Flow): Promise<void> {
    const buffer = new Uint8Array(AGENT_LIMITS.datagramBytes);
    while (!flow.isClosed) {
      try {
        const [data, from] = await flow.socket.receive(buffer);
        this.#pass(flow, data, from as Deno.NetAddr);
      } catch (error) {
        if (!flow.isClosed) this.#refused(flow, errnoOf(error));
        if (!(error instanceof Deno.errors.ConnectionRefused)) return;
      }
    }
  }

  #pass(flow: Flow, data: Uint8Array, from: Deno.NetAddr): void {
    const told = parseAddress(from.hostname);
    const address = told && (unmapped4(told) ?? told);
    if (!address || this.#unsentBytes + data.length > MOST_UNSENT_BYTES) return;
    const { peer } = flow;
    if (peer && (peer.port !== from.port || !equalBytes(peer.address, address))) return;
    this.#unsentBytes += data.length;
    this.#link.sent({ type: "Datagram", id: 0, flow: flow.number, address, port: from.port, data: data.slice() })
      .then(() => this.#unsentBytes -= data.length);
  }

  #watch(flow: Flow, round: number): void {
    clearTimeout(flow.watch);
    flow.watch = setTimeout(() => {
      if (flow.isPeerGone?.()) this.#refused(flow, ERRNO.ECONNREFUSED);
      else if (round + 1 < WATCH_MS.length) this.#watch(flow, round + 1);
    }, WATCH_MS[round]);
  }

  #refused(flow: Flow, errno: number): void {
    if (flow.isPeerGone && !flow.isClosed) {
      this.#link.send({ type: "DatagramFailed", id: 0, flow: flow.number, errno });
    }
  }
}

function failed(errno: number): AgentMessage {
  return { type: "DatagramsOpened", errno, localAddress: new Uint8Array(0), localPort: 0 };
}

function portOf(socket: Deno.DatagramConn): number {
  return (socket.addr as Deno.NetAddr).port;
}

/** What UDP sockets fail with; anything else is EIO. */
function errnoOf(error: unknown): number {
  if (error instanceof Deno.errors.ConnectionRefused) return ERRNO.ECONNREFUSED;
  const code = /\(os error (\d+)\)/.exec(error instanceof Error ? error.message : "")?.[1];
  return code ? Number(code) : ERRNO.EIO;
}
