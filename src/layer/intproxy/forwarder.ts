/**
 * Ports of this machine whose connections go out from the target: `mirrord port-forward`.
 *
 * State      event                       action > next
 * -          accepted                    name: Resolve > RESOLVING; address > CONNECTING
 * RESOLVING  addresses                   > CONNECTING with the first
 * RESOLVING  no such name                reset the socket, tell > gone
 * CONNECTING agent: connected            a stream of the agent's > the stream's
 * CONNECTING agent: errno                the next address; none: reset the socket, tell > gone
 * any        closed                      reset the socket; a connection that comes late is reset at the agent > gone
 *
 * A name is asked for anew with each connection: what it leads to may change. Ports are open before there is an agent, so
 * that one which is taken is known at once; who connects early waits.
 */
import { createServer, isIP, type Server, type Socket } from "node:net";
import { parseAddress } from "../../base/addresses.ts";
import { ERRNO, UserError } from "../../base/errors.ts";
import { SocketEnd } from "../../base/socket_end.ts";
import { FIRST_INCOMING_STREAM } from "../../proto/agent.ts";
import { addressesIn } from "./addresses.ts";
import type { AgentClient } from "./agent_client.ts";

export interface ForwardedPort {
  readonly localPort: number;
  readonly host: string;
  readonly port: number;
}

const EAI_NONAME = -2;

export class Forwarder {
  readonly #servers: Server[] = [];
  /** Sockets that are no stream yet. */
  readonly #waiting = new Set<SocketEnd>();
  readonly #early: (() => void)[] = [];
  readonly #onFailure: (text: string) => void;
  #agent: AgentClient | undefined;
  #lastStream = 0;
  #isClosed = false;

  private constructor(onFailure: (text: string) => void) {
    this.#onFailure = onFailure;
  }

  /** Opens the ports, on 127.0.0.1. `onFailure` is told why a connection came to nothing. Throws `UserError`. */
  static async open(ports: readonly ForwardedPort[], onFailure: (text: string) => void): Promise<Forwarder> {
    const forwarder = new Forwarder(onFailure);
    try {
      for (const port of ports) {
        forwarder.#servers.push(await listen(port.localPort, (socket) => forwarder.#accept(socket, port)));
      }
    } catch (error) {
      forwarder.close();
      throw error;
    }
    return forwarder;
  }

  /** From now on connections are made, those that wait first. The agent stays the caller's to close, after this is closed. */
  begin(agent: AgentClient): void {
    this.#agent = agent;
    for (const act of this.#early.splice(0)) act();
  }

  /** Nobody connects any more, and who waits is turned away. */
  close(): void {
    this.#isClosed = true;
    for (const server of this.#servers) server.close();
    for (const end of this.#waiting) end.reset();
    this.#waiting.clear();
  }

  #accept(socket: Socket, to: ForwardedPort): void {
    const end = new SocketEnd(socket);
    if (this.#isClosed) return end.reset();
    this.#waiting.add(end);
    if (this.#agent) this.#resolve(this.#agent, end, to);
    else this.#early.push(() => this.#resolve(this.#agent!, end, to));
  }

  #resolve(agent: AgentClient, end: SocketEnd, to: ForwardedPort): void {
    if (isIP(to.host) !== 0) return this.#connect(agent, end, to, [parseAddress(to.host)!]);
    agent.request({ type: "Resolve", name: to.host, family: 0, flags: 0 }, (answer) => {
      const addresses = answer?.eai === 0 ? addressesIn(answer.addresses) : [];
      if (addresses.length > 0) return this.#connect(agent, end, to, addresses);
      const isUnknown = answer?.eai === EAI_NONAME || answer?.eai === 0;
      this.#fail(end, to, isUnknown ? "the target knows no such name" : "the name cannot be looked up now");
    });
  }

  #connect(agent: AgentClient, end: SocketEnd, to: ForwardedPort, addresses: readonly Uint8Array[]): void {
    const [address, ...more] = addresses;
    const stream = this.#newStream(agent);
    agent.request({ type: "Connect", stream, address: address!, port: to.port }, (answer) => {
      if (answer?.errno === 0 && this.#waiting.delete(end)) return agent.streams.add(stream, end);
      if (answer?.errno === 0) return agent.tell({ type: "Reset", stream });
      if (more.length > 0 && this.#waiting.has(end) && answer) return this.#connect(agent, end, to, more);
      this.#fail(end, to, reasonOf(answer?.errno));
    });
  }

  #fail(end: SocketEnd, { localPort, host, port }: ForwardedPort, because: string): void {
    if (!this.#waiting.delete(end)) return;
    end.reset();
    const destination = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    this.#onFailure(`port ${localPort}: ${destination} was not reached: ${because}`);
  }

  /** Connects that are under way have their numbers too: a number comes again after two thousand million. */
  #newStream(agent: AgentClient): number {
    do this.#lastStream = (this.#lastStream % (FIRST_INCOMING_STREAM - 1)) + 1; while (
      agent.streams.has(this.#lastStream)
    );
    return this.#lastStream;
  }
}

function listen(port: number, onAccept: (socket: Socket) => void): Promise<Server> {
  // Paused and half-open: no byte and no end of the peer's may pass unseen before the stream is joined.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onAccept);
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  server.once("error", (error: Error & { code?: string }) => reject(notOpened(port, error.code ?? error.message)));
  server.listen({ host: "127.0.0.1", port }, () => resolve(server));
  return promise;
}

function notOpened(port: number, reason: string): UserError {
  const because = reason === "EADDRINUSE"
    ? "somebody listens there"
    : reason === "EACCES"
    ? "permission denied"
    : reason;
  return new UserError("PORT_NOT_OPENED", `Cannot listen on port ${port} of this machine: ${because}`, {
    hint: "another one can stand before the destination: -L LOCAL:HOST:PORT",
  });
}

const REASONS: Readonly<Record<number, string>> = {
  [ERRNO.ECONNREFUSED]: "connection refused",
  [ERRNO.ETIMEDOUT]: "it does not answer",
  [ERRNO.EHOSTUNREACH]: "there is no way to it",
  [ERRNO.ENETUNREACH]: "there is no way to it",
};

function reasonOf(errno: number | undefined): string {
  return errno === undefined ? "the agent was lost" : REASONS[errno] ?? `error ${errno} at the target`;
}
