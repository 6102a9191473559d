/**
 * Connections from the target for one session, TCP and to Unix sockets, and their streams.
 *
 * How a connect ends is the kernel's word, its errno included; it takes as long as the kernel lets it (about two minutes
 * for a host that does not answer), unless the client gives it up with Reset.
 */
import { connect, type Socket } from "node:net";
import { ERRNO, WireError } from "../base/errors.ts";
import { SocketEnd } from "../base/socket_end.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import type { AgentLink } from "../proto/agent_link.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { type StreamMessage, Streams } from "../proto/streams.ts";
import { reachUnix, type UnixPlace } from "./unix_sockets.ts";
import { formatAddress, mapped6, parseAddress, unmapped4 } from "../base/addresses.ts";

type Connect = MessageNamed<typeof AGENT, "Connect">;
type ConnectUnix = MessageNamed<typeof AGENT, "ConnectUnix">;
type Send = (message: AgentMessage) => void;

export class Outgoing {
  readonly #streams: Streams;
  readonly #place: UnixPlace;
  readonly #maxStreams: number;
  /** Ends an attempt that is under way, by its stream. */
  readonly #attempts = new Map<number, () => void>();
  #isClosed = false;

  /** `maxStreams` is the wire's limit except in tests. */
  constructor(link: AgentLink, place: UnixPlace, maxStreams: number = AGENT_LIMITS.openStreams) {
    this.#streams = new Streams(link);
    this.#place = place;
    this.#maxStreams = maxStreams;
  }

  /**
   * Answers by `send` when the attempt has ended; the stream exists from then on. Throws `WireError` at once when its
   * number is in use.
   */
  connect({ stream, address, port }: Connect, send: Send): Promise<void> {
    this.#checkNumber(stream);
    if (address.length !== 4 && address.length !== 16) {
      send(connectFailed(ERRNO.EAFNOSUPPORT));
      return Promise.resolve();
    }
    if (this.#isFull) {
      send(connectFailed(ERRNO.EMFILE));
      return Promise.resolve();
    }
    return this.#attempt(stream, address.slice(), port, send);
  }

  /** As `connect`, to a Unix socket. */
  async connectUnix({ stream, name, isPackets, isBlocking }: ConnectUnix, send: Send): Promise<void> {
    this.#checkNumber(stream);
    const ending = new AbortController();
    const options = { isPackets, isBlocking, place: this.#place, signal: ending.signal };
    const reaching = this.#isFull ? ERRNO.EMFILE : reachUnix(name.slice(), options);
    this.#attempts.set(stream, () => ending.abort());
    const made = await reaching;
    this.#attempts.delete(stream);
    if (typeof made === "number" || ending.signal.aborted || this.#isClosed) {
      if (typeof made !== "number") made.socket.destroy();
      const errno = typeof made === "number" ? made : ERRNO.ECONNABORTED;
      return send({ type: "ConnectUnixReply", errno, name: new Uint8Array(0), pid: 0, uid: 0, gid: 0 });
    }
    send({ type: "ConnectUnixReply", errno: 0, ...made.peer });
    this.#streams.add(stream, new SocketEnd(made.socket));
  }

  get #isFull(): boolean {
    return this.#attempts.size + this.#streams.size >= this.#maxStreams;
  }

  #checkNumber(stream: number): void {
    if (stream === 0 || this.#attempts.has(stream) || this.#streams.has(stream)) {
      throw new WireError(`Stream ${stream} cannot be opened: it is in use, or 0`);
    }
  }

  async #attempt(stream: number, address: Uint8Array, port: number, send: Send): Promise<void> {
    // Dialled as IPv4, or a target without IPv6 could not reach it; answered in the family that was asked for.
    const mappedFrom = unmapped4(address);
    const socket = connect({
      host: formatAddress(mappedFrom ?? address),
      port,
      noDelay: true,
      allowHalfOpen: true,
      autoSelectFamily: false,
    });
    const errno = await this.#outcome(stream, socket);
    if (errno !== 0 || this.#isClosed) {
      socket.destroy();
      return send(connectFailed(errno || ERRNO.ECONNABORTED));
    }
    const own = parseAddress(socket.localAddress ?? "") ?? new Uint8Array(address.length);
    const localAddress = mappedFrom ? mapped6(own) : own;
    send({ type: "ConnectReply", errno: 0, localAddress, localPort: socket.localPort ?? 0 });
    this.#streams.add(stream, new SocketEnd(socket));
  }

  /** 0, or why there is no connection. */
  async #outcome(stream: number, socket: Socket): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const onError = (error: Error) => resolve(errnoOfNode(error));
    socket.once("connect", () => resolve(0));
    socket.once("error", onError);
    this.#attempts.set(stream, () => resolve(ERRNO.ECONNABORTED));
    const errno = await promise;
    this.#attempts.delete(stream);
    // What is destroyed now may still complain, and an error nobody listens to would end the process.
    if (errno === 0) socket.off("error", onError);
    else socket.on("error", () => {});
    return errno;
  }

  /** Throws `WireError` when the client ignores the window of a stream. */
  onMessage(message: StreamMessage): void {
    if (message.type === "Reset") this.#attempts.get(message.stream)?.();
    this.#streams.onMessage(message);
  }

  /** Breaks off everything; resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const giveUp of this.#attempts.values()) giveUp();
    this.#streams.resetAll();
    await this.#streams.settled();
  }
}

function connectFailed(errno: number): AgentMessage {
  return { type: "ConnectReply", errno, localAddress: new Uint8Array(0), localPort: 0 };
}

/** Node has the errno negative. */
function errnoOfNode(error: Error & { errno?: number }): number {
  return typeof error.errno === "number" ? -error.errno : ERRNO.EIO;
}
