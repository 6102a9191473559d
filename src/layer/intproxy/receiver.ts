/**
 * Ports of the target whose connections come to this process rather than to a program's listener: `mirrord port-forward -R`
 * and `mirrord dump`. It subscribes; what becomes of a connection is the caller's.
 *
 * There is no unsubscribing: the agent gives the ports back when its client goes.
 */
import { connect } from "node:net";
import { UserError } from "../../base/errors.ts";
import { SocketEnd, type StreamEnd } from "../../base/socket_end.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { endpointOf } from "./addresses.ts";
import type { AgentClient } from "./agent_client.ts";
import type { IncomingWishes } from "./incoming.ts";
import { LateEnd } from "./late_end.ts";
import { MirrorListenerEnd } from "./mirror_listener_end.ts";

export interface Arrival {
  /** The target's. */
  readonly port: number;
  readonly isMirror: boolean;
  /** As address:port, the address in brackets where it is IPv6. */
  readonly peer: string;
  readonly own: string;
}

/** Resolves with the end that is to get the connection's bytes; undefined: nobody takes it, and its peer sees a reset. */
export type Receive = (arrival: Arrival) => Promise<StreamEnd | undefined>;
export type ReceiverWishes = Pick<IncomingWishes, "mode" | "who" | "filter" | "filterPorts" | "isFlush">;

export class Receiver {
  readonly #agent: AgentClient;
  readonly #receive: Receive;
  readonly #tasks = new Set<Promise<void>>();
  #isClosed = false;

  private constructor(agent: AgentClient, receive: Receive) {
    this.#agent = agent;
    this.#receive = receive;
    agent.onNewConnection = (message) => this.#take(message);
  }

  /** Subscribes the ports, each once. Throws `UserError` for the first that the agent cannot give. */
  static async open(
    agent: AgentClient,
    ports: readonly number[],
    wishes: ReceiverWishes,
    receive: Receive,
  ): Promise<Receiver> {
    const receiver = new Receiver(agent, receive);
    const { mode, who, filterPorts } = wishes;
    const isSteal = mode === "steal";
    for (const port of ports) {
      const filter = !filterPorts || filterPorts.includes(port) ? wishes.filter : "";
      const wish = { type: "Subscribe", port, isSteal, isFlush: isSteal && wishes.isFlush, who, filter } as const;
      const error = await agent.ask(wish, (it) => it ? it.errno === 0 ? "" : it.error : "the agent was lost");
      if (error === "") continue;
      receiver.close();
      throw new UserError("PORT_NOT_TAKEN", `Cannot ${isSteal ? "steal" : "mirror"} port ${port}: ${error}`, {
        hint: isSteal ? "without --steal its traffic is copied" : "docs/security.md says what the agent needs for it",
      });
    }
    return receiver;
  }

  /** Takes no more connections; those there are end with the agent's client. */
  close(): void {
    this.#isClosed = true;
  }

  /** Resolves when nothing runs any more; to be called once the client is closed. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  #take(message: MessageNamed<typeof AGENT, "NewConnection">): void {
    const { stream, port, isMirror } = message;
    const { streams } = this.#agent;
    const end = new LateEnd(() => {});
    streams.add(stream, end);
    if (this.#isClosed) return streams.reset(stream);
    const peer = endpointOf(message.peerAddress, message.peerPort);
    const own = endpointOf(message.ownAddress, message.ownPort);
    const task = this.#receive({ port, isMirror, peer, own }).then((it) => {
      if (it) end.arrive(isMirror ? new MirrorListenerEnd(it) : it);
      else streams.reset(stream);
    }).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }
}

/** A connection to a port of this machine's loopback, whichever family listens there; or why there is none. */
export async function connectHere(port: number): Promise<StreamEnd | string> {
  const first = await connectTo("127.0.0.1", port);
  if (first !== "ECONNREFUSED") return first;
  const second = await connectTo("::1", port);
  return typeof second === "string" ? first : second;
}

function connectTo(host: string, port: number): Promise<StreamEnd | string> {
  const { promise, resolve } = Promise.withResolvers<StreamEnd | string>();
  const socket = connect({ host, port, noDelay: true, allowHalfOpen: true, autoSelectFamily: false });
  socket.once("connect", () => resolve(new SocketEnd(socket)));
  socket.on("error", (error: Error & { code?: string }) => resolve(error.code ?? error.message));
  return promise;
}
