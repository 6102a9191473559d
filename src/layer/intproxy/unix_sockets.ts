/**
 * Unix sockets of the target: the app's own socket is connected to a relay of ours in the session's directory, which is joined to a
 * stream of the agent.
 *
 * The agent connects first; the app's shim gets a token, connects its socket and says the token before anything else, so
 * that we know which stream it is for. Nothing is known of the socket but its inode, which dup, fork and exec do not change.
 * A second relay is for sockets that keep the bounds of messages; what comes there is a stream as soon as it is accepted.
 */
import { createServer, type Server, type Socket } from "node:net";
import { utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { SocketEnd } from "../../base/socket_end.ts";
import type { LAYER, LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { listenForPackets, type PacketListener } from "../../sys/unix.ts";
import { unnamedPlace } from "../session_directory.ts";
import type { AgentClient } from "./agent_client.ts";
import { LateEnd } from "./late_end.ts";
import type { ShimConnection } from "./shim_connection.ts";
import { UnixDatagrams } from "./unix_datagrams.ts";

export type UnixRequest = Extract<LayerMessage, { type: "ConnectUnix" | "UnixPeer" | "RelayUnixDatagrams" }>;
type ConnectUnix = MessageNamed<typeof LAYER, "ConnectUnix">;

interface Connection {
  readonly stream: number;
  /** By which who serves there listens. */
  readonly name: Uint8Array;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly inode: bigint;
}

const TOKEN_BYTES = 8;
/** The shim connects as soon as it has the answer; its process may be stopped, though. */
const ACCEPT_MS = 10_000;
/** Of so many ended connections the names are remembered: who still has the socket may ask. */
const MOST_PAST = 1024;
const MODE = 0o666;
const NOTHING = new Uint8Array(0);

export class UnixSockets {
  readonly #agent: AgentClient;
  #server: Server | undefined;
  #packets: PacketListener | undefined;
  #relays = { streamRelay: NOTHING, packetRelay: NOTHING };
  readonly #awaited = new Map<bigint, { end: LateEnd; timer: ReturnType<typeof setTimeout> }>();
  readonly #byInode = new Map<bigint, Connection>();
  readonly #past: Connection[] = [];
  readonly #tasks = new Set<Promise<void>>();
  #isClosed = false;

  readonly #datagrams: UnixDatagrams;

  private constructor(agent: AgentClient, directory: string) {
    this.#agent = agent;
    this.#datagrams = new UnixDatagrams(agent, directory);
  }

  /** `isWanted` false: no socket of the target is the program's, and there is nothing to open. */
  static async open(agent: AgentClient, directory: string, isWanted: boolean): Promise<UnixSockets> {
    const sockets = new UnixSockets(agent, directory);
    if (isWanted) await sockets.#listen(directory);
    return sockets;
  }

  /** For Settings: what getpeername(2) says of sockets that are connected to them. */
  get relays(): { streamRelay: Uint8Array; packetRelay: Uint8Array } {
    return this.#relays;
  }

  onRequest(message: UnixRequest, id: number, shim: ShimConnection): void {
    if (message.type === "ConnectUnix") return this.#connect(message, id, shim);
    if (message.type === "RelayUnixDatagrams") return this.#own(this.#datagrams.onRequest(message, id, shim));
    const known = this.#byInode.get(message.inode);
    const { name, pid, uid, gid } = known ?? { name: NOTHING, pid: 0, uid: 0, gid: 0 };
    shim.send({ type: "UnixPeerReply", isKnown: known !== undefined, name, pid, uid, gid }, id);
  }

  /** No program is left: what they have sent goes on. */
  finish(): void {
    this.#datagrams.finish();
  }

  /** Nobody comes any more; streams are the agent client's to end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#datagrams.close();
    for (const { timer } of this.#awaited.values()) clearTimeout(timer);
    this.#server?.close();
    await Promise.all(this.#tasks);
    this.#packets?.[Symbol.dispose]();
  }

  async #listen(directory: string): Promise<void> {
    using place = unnamedPlace(directory);
    const [streams, packets] = [`${place.path}/streams`, `${place.path}/packets`];
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (it) => this.#own(this.#welcome(it)));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ path: streams }, () => resolve());
    await promise;
    this.#server = server;
    const listener = listenForPackets(packets);
    if (typeof listener === "number") throw new Error(`Cannot listen for packets: error ${-listener}`);
    this.#packets = listener;
    for (const name of ["streams", "packets"]) Deno.chmodSync(`${directory}/${name}`, MODE);
    this.#relays = { streamRelay: utf8(streams), packetRelay: utf8(packets) };
  }

  #connect({ inode, name, isPackets, isBlocking }: ConnectUnix, id: number, shim: ShimConnection): void {
    const stream = this.#agent.newStream();
    let isWanted = true;
    const notLate = shim.onClosed(() => {
      isWanted = false;
      this.#agent.tell({ type: "Reset", stream });
    });
    this.#agent.request({ type: "ConnectUnix", stream, name, isPackets, isBlocking }, (answer) => {
      notLate();
      const errno = answer ? answer.errno : ERRNO.ECONNREFUSED;
      if (errno !== 0 || !answer || !isWanted || this.#isClosed) {
        if (answer?.errno === 0) this.#agent.tell({ type: "Reset", stream });
        return shim.send({ type: "ConnectUnixReply", errno: errno || ERRNO.ECONNABORTED, token: 0n }, id);
      }
      const { pid, uid, gid } = answer;
      const token = this.#await({ stream, name: answer.name.slice(), pid, uid, gid, inode });
      if (isPackets) this.#own(this.#acceptPackets());
      shim.send({ type: "ConnectUnixReply", errno: 0, token }, id);
    });
  }

  #await(connection: Connection): bigint {
    const token = crypto.getRandomValues(new BigUint64Array(1))[0]!;
    const end = new LateEnd(() => this.#retire(connection));
    this.#agent.streams.add(connection.stream, end);
    const timer = setTimeout(() => {
      this.#awaited.delete(token);
      this.#agent.streams.reset(connection.stream);
    }, ACCEPT_MS);
    this.#awaited.set(token, { end, timer });
    this.#byInode.set(connection.inode, connection);
    return token;
  }

  async #acceptPackets(): Promise<void> {
    const socket = await this.#packets!.accept(ACCEPT_MS);
    if (!socket) return;
    const end = new SocketEnd(socket);
    // The token is a message as all are: its length goes before it.
    if (await readWord(end, 4) !== BigInt(TOKEN_BYTES)) return end.close();
    await this.#join(end);
  }

  async #welcome(socket: Socket): Promise<void> {
    await this.#join(new SocketEnd(socket));
  }

  /** Whoever does not know a token is turned away. */
  async #join(end: SocketEnd): Promise<void> {
    const token = await readWord(end, TOKEN_BYTES);
    const awaited = token === undefined ? undefined : this.#awaited.get(token);
    if (!awaited) return end.close();
    clearTimeout(awaited.timer);
    this.#awaited.delete(token!);
    awaited.end.arrive(end);
  }

  #retire(connection: Connection): void {
    this.#past.push(connection);
    if (this.#past.length <= MOST_PAST) return;
    const oldest = this.#past.shift()!;
    if (this.#byInode.get(oldest.inode) === oldest) this.#byInode.delete(oldest.inode);
  }

  #own(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

/** A little-endian number of so many bytes; undefined when the other end goes before. Never rejects. */
async function readWord(end: SocketEnd, bytes: number): Promise<bigint | undefined> {
  const word = new Uint8Array(8);
  for (let at = 0; at < bytes;) {
    const count = await end.read(word.subarray(at, bytes)).catch(() => null);
    if (count === null) return undefined;
    at += count;
  }
  return new DataView(word.buffer).getBigUint64(0, true);
}
