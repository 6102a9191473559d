/**
 * Connections from the target for one session, TCP and to Unix sockets, ends of its FIFOs, and their streams.
 *
 * How a connect ends is the kernel's word, its errno included; it takes as long as the kernel lets it (about two minutes
 * for a host that does not answer), unless the client gives it up with Reset.
 */
import { ERRNO, WireError } from "../base/errors.ts";
import { SocketEnd } from "../base/socket_end.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import type { AgentLink } from "../proto/agent_link.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { type StreamMessage, Streams } from "../proto/streams.ts";
import { reachFifo } from "./fifos.ts";
import { reachUnix, type UnixPlace } from "./unix_sockets.ts";
import { mapped6, unmapped4 } from "../base/addresses.ts";
import { sourceOrErrno } from "../sys/datagrams.ts";
import { dial, type Dialled, outcomeOf } from "../sys/dial.ts";
import { closeFifo, FifoEnd } from "../sys/fifo.ts";
import { RelayedEnd } from "../sys/relayed_end.ts";
import { closeDescriptor } from "../sys/redirected.ts";
import { ownEndOf, Sockets } from "../sys/sockets.ts";

type Connect = MessageNamed<typeof AGENT, "Connect" | "ConnectFrom">;
type ConnectUnix = MessageNamed<typeof AGENT, "ConnectUnix" | "ConnectUnixDatagrams">;
type OpenFifo = MessageNamed<typeof AGENT, "OpenFifo">;
/** Where a socket was bound before; an empty address and port 0 are any. */
interface Own {
  readonly address: Uint8Array<ArrayBuffer>;
  readonly port: number;
}
const NOWHERE: Own = { address: new Uint8Array(0), port: 0 };
type Send = (message: AgentMessage) => void;
interface Attempt {
  readonly stream: number;
  readonly peer: Own;
  readonly sockets: Sockets;
  readonly fd: number;
  readonly send: Send;
}

export class Outgoing {
  readonly #streams: Streams;
  readonly #place: UnixPlace;
  readonly #maxStreams: number;
  /** Ends an attempt that is under way, by its stream. */
  readonly #attempts = new Map<number, () => void>();
  /** Ends of FIFOs that were given up, until they are closed: who asks for another must not meet them. */
  readonly #endingFifos = new Set<Promise<unknown>>();
  /** Of connections by TCP; since the first one. */
  #sockets: Sockets | number | undefined;
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
  connect(message: Connect, send: Send): Promise<void> | void {
    const { stream, address, port } = message;
    this.#checkNumber(stream);
    if (address.length !== 4 && address.length !== 16) return send(connectFailed(ERRNO.EAFNOSUPPORT));
    if (this.#isFull) return send(connectFailed(ERRNO.EMFILE));
    const own = message.type === "Connect" ? NOWHERE : { address: message.ownAddress.slice(), port: message.ownPort };
    const peer = { address: address.slice(), port };
    const sockets = this.#sockets ??= Sockets.open();
    if (typeof sockets === "number") return send(connectFailed(-sockets, peer.address));
    // Dialled as IPv4, or a target without IPv6 could not reach it.
    const dialled = dialFrom({ ...peer, address: unmapped4(peer.address) ?? peer.address }, own);
    if (dialled.fd < 0) return send(connectFailed(-dialled.fd, peer.address));
    const attempt = { stream, peer, sockets, fd: dialled.fd, send };
    // At once: a Reset may follow right behind.
    return dialled.own ? this.#join(attempt, dialled.own) : this.#wait(attempt);
  }

  /** As `connect`, to a Unix socket. */
  async connectUnix(message: ConnectUnix, send: Send): Promise<void> {
    const { stream, name } = message;
    this.#checkNumber(stream);
    const isDatagrams = message.type === "ConnectUnixDatagrams";
    const kind = isDatagrams ? "datagrams" : message.isPackets ? "packets" : "stream";
    const isBlocking = !isDatagrams && message.isBlocking;
    const ending = new AbortController();
    const options: Parameters<typeof reachUnix>[1] = { kind, isBlocking, place: this.#place, signal: ending.signal };
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

  /** Answers when the FIFO has another end; the stream exists from then on. */
  async openFifo(message: OpenFifo, send: Send): Promise<void> {
    const { stream, isWriting } = message;
    this.#checkNumber(stream);
    const ending = new AbortController();
    const sockets = this.#sockets ??= Sockets.open();
    const reaching = typeof sockets === "number"
      ? Promise.resolve(sockets)
      : this.#isFull
      ? Promise.resolve(-ERRNO.EMFILE)
      : this.#reachFifo({ ...message, path: message.path.slice() }, sockets, ending.signal);
    this.#attempts.set(stream, () => {
      ending.abort();
      this.#endingFifos.add(reaching);
      reaching.finally(() => this.#endingFifos.delete(reaching));
    });
    const fd = await reaching;
    this.#attempts.delete(stream);
    if (fd < 0 || typeof sockets === "number") return send({ type: "Done", errno: -fd });
    if (ending.signal.aborted || this.#isClosed) return closeFifo(fd);
    send({ type: "Done", errno: 0 });
    this.#streams.add(stream, new FifoEnd(sockets, fd, isWriting));
  }

  async #reachFifo(message: OpenFifo, sockets: Sockets, signal: AbortSignal): Promise<number> {
    await Promise.all(this.#endingFifos);
    const fd = await reachFifo(message, this.#place, sockets, signal);
    if (fd < 0 || !(signal.aborted || this.#isClosed)) return fd;
    closeFifo(fd);
    return -ERRNO.ECONNABORTED;
  }

  get #isFull(): boolean {
    return this.#attempts.size + this.#streams.size >= this.#maxStreams;
  }

  #checkNumber(stream: number): void {
    if (stream === 0 || this.#attempts.has(stream) || this.#streams.has(stream)) {
      throw new WireError(`Stream ${stream} cannot be opened: it is in use, or 0`);
    }
  }

  /** It is never unknown to `onMessage` from the first look until it has failed. */
  async #wait(attempt: Attempt): Promise<void> {
    const { stream, fd, sockets } = attempt;
    let isGivenUp = false;
    await sockets.connected(fd, (end) =>
      this.#attempts.set(stream, () => {
        isGivenUp = true;
        end();
      }));
    this.#attempts.delete(stream);
    const error = isGivenUp ? -ERRNO.ECONNABORTED : outcomeOf(fd) ?? -ERRNO.ETIMEDOUT;
    if (error === 0) return this.#join(attempt, ownEndOf(fd));
    closeDescriptor(fd);
    attempt.send(connectFailed(-error, attempt.peer.address));
  }

  #join({ stream, peer, sockets, fd, send }: Attempt, { address, port }: Own): void {
    // Answered in the family that was asked for.
    const localAddress = unmapped4(peer.address) ? mapped6(address) : address;
    send({ type: "ConnectReply", errno: 0, localAddress, localPort: port });
    this.#streams.add(stream, new RelayedEnd(sockets, fd, peer.port));
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
    if (this.#sockets instanceof Sockets) await this.#sockets.close();
  }
}

/** What was asked of the own end is granted as far as it can be: a port may be taken here that was free there. */
function dialFrom(peer: Own, own: Own): Dialled {
  const asked = own.address.length === 0 || own.address.length === peer.address.length ? own : NOWHERE;
  for (const from of [asked, { ...asked, port: 0 }]) {
    if (from.address.length === 0 && from.port === 0) break;
    const dialled = dial(peer, from);
    if (!dialled.isUnbound) return dialled;
  }
  return dial(peer, undefined);
}

/** Who has tried to reach `peer` has an own address all the same. */
function connectFailed(errno: number, peer?: Uint8Array): AgentMessage {
  const own = peer && sourceOrErrno(peer);
  return { type: "ConnectReply", errno, localAddress: own instanceof Uint8Array ? own : NOWHERE.address, localPort: 0 };
}
