/**
 * Incoming connections: which ports of the target the run's programs stand in for, and who is at the other end of each
 * connection that we make to a program's listener in place of the true peer.
 *
 * A subscription lives as long as one of its listening sockets does. The kernel says which those are (by the socket's inode),
 * however they are shared: dup, fork, exec, SCM_RIGHTS. It is asked at once when a shim has closed one or a process has
 * ended, and else every LOOK_MS.
 */
import { isLoopback } from "../../base/addresses.ts";
import { utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import type { IncomingConfig } from "../../config/incoming.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { LAYER, LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { dialMarked } from "../../sys/redirected.ts";
import { listenersOn, writeToStderrOf } from "../../sys/relay.ts";
import { ownEndOf, setLowWater, Sockets } from "../../sys/sockets.ts";
import { keyOf } from "./addresses.ts";
import type { AgentClient } from "./agent_client.ts";
import { LateEnd } from "./late_end.ts";
import { chosenFor, isConflict, isReachedAt } from "./listener_choice.ts";
import { listenersByProc } from "./listeners.ts";
import { MirrorListenerEnd } from "./mirror_listener_end.ts";
import { ServedEnd } from "./served_end.ts";
import type { OwnAddresses } from "./own_addresses.ts";
import type { ShimConnection } from "./shim_connection.ts";

/** What the user wants of incoming connections. */
export interface IncomingWishes extends Omit<IncomingConfig, "written" | "settings" | "jqPrograms"> {
  /** The run, for others to read: user@host. */
  readonly who: string;
}

export type IncomingRequest = Extract<
  LayerMessage,
  { type: "Bind" | "Listen" | "ListenerClosed" | "BoundName" | "AcceptedNames" }
>;

type Address = Uint8Array<ArrayBuffer>;

/** A socket that a program has bound to a port that is not 0. */
interface Bound {
  readonly inode: number;
  /** What the program asked for. */
  readonly address: Address;
  readonly port: number;
  readonly isV6Only: boolean;
}

/** Where a socket listens really. */
export interface Reachable {
  readonly realAddress: Address;
  readonly realPort: number;
}

interface Listener extends Bound, Reachable {}

export interface Named {
  readonly address: Address;
  readonly port: number;
}

interface Subscription {
  /** At the target. */
  readonly port: number;
  readonly listeners: Listener[];
  /** What Listen is answered: 0 or an errno. */
  readonly verdict: Promise<number>;
}

interface Names {
  /** Our own end; empty while we connect. */
  key: string;
  readonly peer: Named;
  readonly own: Named;
  /** In the clock of performance.now(); Infinity while the connection stands. */
  forgetAt: number;
}

const LOOK_MS = 50;
/** When a program ends, its connections may be seen to end so much sooner than its listening sockets. */
const LEAVING_MS = 256;
/** The program is on this machine, but its queue of connections may be full. */
const CONNECT_MS = 10_000;
const UNMARKED = 0;
/** What a mirror answers is thrown away, by so much at once. */
const MIRROR_ANSWER_BYTES = 32 << 10;
/** How long the names of an ended connection are remembered, and for how many. */
const RECORD_MS = 60_000;
const MOST_RECORDS = 4096;
/** Bound sockets whose end nobody tells; a program that binds again and again does not grow us. */
const MOST_BOUND = 4096;
const NO_NAME = { address: new Uint8Array(0), port: 0 };

export class Incoming {
  readonly #agent: AgentClient;
  readonly #wishes: IncomingWishes;
  readonly #ownAddresses: OwnAddresses;
  readonly #log: (line: string) => void;
  readonly #bound = new Map<number, Bound>();
  readonly #subscriptions = new Map<number, Subscription>();
  /** By our own end of the connection. */
  readonly #names = new Map<string, Names>();
  readonly #past: Names[] = [];
  /** Connects under way, by the program's port. */
  readonly #connecting = new Map<number, Set<Promise<void>>>();
  /** Subscriptions that the agent is just ending. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #tasks = new Set<Promise<void>>();
  /** Of connections to the program; since the first one. */
  #sockets: Sockets | number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isClosed = false;

  constructor(agent: AgentClient, wishes: IncomingWishes, own: OwnAddresses, log: (line: string) => void) {
    this.#agent = agent;
    this.#ownAddresses = own;
    this.#wishes = wishes;
    this.#log = log;
    agent.onNewConnection = (message) => this.#onNewConnection(message);
  }

  /** For Settings. */
  get isRemote(): boolean {
    return this.#wishes.mode !== "off";
  }

  onRequest(message: IncomingRequest, id: number, shim: ShimConnection): void {
    switch (message.type) {
      case "Bind":
        return shim.send(this.#bind(message), id);
      case "Listen":
        return this.#own(this.#listen(message, shim).then((errno) => shim.send({ type: "Done", errno }, id)));
      case "ListenerClosed":
        this.look();
        return this.#own(Promise.all(this.#leaving).then(() => shim.send({ type: "Done", errno: 0 }, id)));
      case "BoundName":
        return shim.send(namesReply(this.nameOf(Number(message.inode))), id);
      case "AcceptedNames":
        return this.#own(this.#tellNames(message, id, shim));
    }
  }

  /** What the program has bound a socket to. */
  nameOf(inode: number): { address: Address; port: number } | undefined {
    return this.#bound.get(inode) ?? this.#ownAddresses.nameOf(inode);
  }

  /** The socket of the run that would get a connection to there, if all of the port's connections come to the run. */
  listenerAt(address: Address, port: number): Reachable | undefined {
    if (this.#subscriptions.size === 0 || this.isFiltered(port)) return undefined;
    const all = [...this.#subscriptions.values()].flatMap(({ listeners }) => listeners);
    const fitting = all.filter((it) => it.port === port && isReachedAt(it, address) && isListening(it));
    return chosenFor(address, fitting);
  }

  /** Whether some connections to this port of the program are the run's and others the target's. */
  isFiltered(port: number): boolean {
    return this.#wishes.mode === "steal" && filterAt(this.#wishes, this.#targetPort(port)) !== "";
  }

  /** Connects to a server of the run, which will be told these names. A descriptor or -errno. */
  dialFor(server: Reachable, { peer, own }: { peer: Named; own: Named }): Promise<number> {
    const names: Names = { key: "", peer, own, forgetAt: Infinity };
    const dialling = this.#dial(server, names);
    this.#awaitedBy(server, dialling.then(() => this.#retire(names)));
    return dialling;
  }

  /** Ends the subscriptions that nobody listens for any more. */
  look(): void {
    for (const { port, listeners } of [...this.#subscriptions.values()]) {
      const living = listeners.filter(isListening);
      if (living.length === listeners.length) continue;
      for (const gone of listeners) if (!living.includes(gone)) this.#bound.delete(gone.inode);
      listeners.splice(0, Infinity, ...living);
      if (living.length === 0) this.#unsubscribe(port);
    }
  }

  /** No port is subscribed any more; resolves when the agent has nothing more under way to us. */
  async leave(): Promise<void> {
    for (const port of [...this.#subscriptions.keys()]) this.#unsubscribe(port);
    await Promise.all(this.#leaving);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#subscriptions.clear();
    await Promise.all(this.#tasks);
    if (this.#sockets instanceof Sockets) await this.#sockets.close();
  }

  #bind({ inode, address, port, isV6Only }: MessageNamed<typeof LAYER, "Bind">): LayerMessage {
    if (!isWished(this.#wishes, address, port)) {
      return { type: "BindReply", isIncoming: false, port, isFixed: false, takenPort: 0 };
    }
    const bound = { inode: Number(inode), address: address.slice(), port, isV6Only };
    const taken = [...this.#subscriptions.values()].flatMap(({ listeners }) => listeners)
      .find((it) => it.port === port && it.inode !== bound.inode && isConflict(it, bound) && isListening(it));
    if (this.#bound.size >= MOST_BOUND) this.#bound.delete(this.#bound.keys().next().value!);
    this.#bound.set(bound.inode, bound);
    const fixed = this.#wishes.listenPorts.find(([asked]) => asked === port)?.[1];
    return {
      type: "BindReply",
      isIncoming: true,
      port: fixed ?? port,
      isFixed: fixed !== undefined,
      takenPort: taken?.realPort ?? 0,
    };
  }

  #targetPort(port: number): number {
    return this.#wishes.portMapping.find(([own]) => own === port)?.[1] ?? port;
  }

  async #listen({ inode, address, port }: MessageNamed<typeof LAYER, "Listen">, shim: ShimConnection): Promise<number> {
    const bound = this.#bound.get(Number(inode));
    if (!bound) return 0;
    const listener = { ...bound, realAddress: address.slice(), realPort: port };
    const targetPort = this.#targetPort(bound.port);
    const known = this.#subscriptions.get(targetPort);
    if (known) {
      const verdict = await known.verdict;
      if (verdict === 0 && !known.listeners.some((it) => it.inode === listener.inode)) known.listeners.push(listener);
      return verdict;
    }
    const subscription: Subscription = {
      port: targetPort,
      listeners: [listener],
      verdict: this.#subscribe(targetPort, shim.pid),
    };
    this.#subscriptions.set(targetPort, subscription);
    return await subscription.verdict;
  }

  /** 0 or the errno of listen(2). What cannot be redirected is served locally, and said. */
  async #subscribe(port: number, pid: number): Promise<number> {
    const isSteal = this.#wishes.mode === "steal";
    const { who } = this.#wishes;
    const filter = filterAt(this.#wishes, port);
    const isFlush = isSteal && this.#wishes.isFlush;
    const wish = { type: "Subscribe", port, isSteal, isFlush, who, filter } as const;
    const verdict = await this.#agent.ask(wish, (it) => it ? { errno: it.errno, error: it.error } : undefined);
    if (verdict?.errno === 0) {
      this.#log(`port ${port} of the target is ${isSteal ? "stolen" : "mirrored"}`);
      this.#timer ??= setInterval(() => this.look(), LOOK_MS);
      return 0;
    }
    this.#subscriptions.delete(port);
    if (!verdict) return 0; // the agent is lost, and so is the program
    this.#log(verdict.error);
    const isStolen = verdict.errno === ERRNO.EADDRINUSE;
    writeToStderrOf(pid, utf8(`mirrord: ${verdict.error}${isStolen ? "" : "; it is served on this machine only"}\n`));
    return isStolen ? ERRNO.EADDRINUSE : 0;
  }

  #unsubscribe(port: number): void {
    this.#subscriptions.delete(port);
    const leaving = this.#agent.ask({ type: "Unsubscribe", port }, () => {}).finally(() =>
      this.#leaving.delete(leaving)
    );
    this.#leaving.add(leaving);
    this.#log(`port ${port} is the target's again`);
    if (this.#subscriptions.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #onNewConnection(message: MessageNamed<typeof AGENT, "NewConnection">): void {
    const { stream, port, isMirror } = message;
    const listeners = this.#subscriptions.get(port)?.listeners.filter(isListening) ?? [];
    const listener = chosenFor(message.ownAddress, listeners);
    const names: Names = {
      key: "",
      peer: { address: message.peerAddress.slice(), port: message.peerPort },
      own: { address: message.ownAddress.slice(), port: message.ownPort },
      forgetAt: Infinity,
    };
    const end = new LateEnd(() => this.#retire(names));
    this.#agent.streams.add(stream, end);
    if (!listener || this.#isClosed) return this.#giveBack(stream);
    this.#awaitedBy(listener, this.#connect(listener, stream, isMirror, end, names));
  }

  /** Who asks for names of a connection to it waits for this one. */
  #awaitedBy({ realPort }: Reachable, connecting: Promise<void>): void {
    const others = this.#connecting.get(realPort) ?? new Set();
    this.#connecting.set(realPort, others.add(connecting));
    this.#own(connecting.finally(() => {
      others.delete(connecting);
      if (others.size === 0) this.#connecting.delete(realPort);
    }));
  }

  async #dial({ realAddress, realPort }: Reachable, names: Names): Promise<number> {
    const fd = await dialMarked({ address: reachableAddress(realAddress), port: realPort }, UNMARKED, CONNECT_MS);
    if (fd < 0) return fd;
    const own = ownEndOf(fd);
    names.key = keyOf(own.address, own.port);
    this.#names.set(names.key, names);
    return fd;
  }

  async #connect(listener: Listener, stream: number, isMirror: boolean, end: LateEnd, names: Names): Promise<void> {
    const sockets = this.#sockets ??= Sockets.open();
    const fd = typeof sockets === "number" ? sockets : await this.#dial(listener, names);
    if (fd < 0 || typeof sockets === "number") {
      this.#log(`cannot connect to the program's port ${listener.realPort}: error ${-fd}`);
      return this.#giveBack(stream);
    }
    if (isMirror) setLowWater(fd, MIRROR_ANSWER_BYTES);
    const local = sockets.adopt(fd, undefined, true);
    if (isMirror) return end.arrive(new MirrorListenerEnd(local));
    const settled = () => this.#settled(listener);
    end.arrive(new ServedEnd(local, { settled, onUntouched: () => this.#agent.tell({ type: "Untouched", stream }) }));
  }

  /** No program has had it. The agent first hears which ports are the target's again. */
  #giveBack(stream: number): void {
    this.look();
    this.#agent.tell({ type: "Untouched", stream });
    this.#agent.streams.reset(stream);
  }

  /** Resolves when the agent has been told that nobody listens there any more, or somebody does. */
  async #settled(listener: Listener): Promise<void> {
    for (let ms = 1; ms < LEAVING_MS && !this.#isClosed && !this.#agent.isLost; ms *= 2) {
      this.look();
      if (!isListening(listener)) return;
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  async #tellNames(message: MessageNamed<typeof LAYER, "AcceptedNames">, id: number, shim: ShimConnection) {
    const key = keyOf(message.peerAddress, message.peerPort);
    // The program may have accepted it before we know that it has.
    const connecting = this.#connecting.get(message.localPort);
    if (!this.#names.has(key) && connecting) await Promise.all(connecting);
    shim.send(namesReply(this.#names.get(key)?.own, this.#names.get(key)?.peer), id);
  }

  /** The record stays for those who ask late. */
  #retire(names: Names): void {
    if (names.key === "") return;
    names.forgetAt = performance.now() + RECORD_MS;
    this.#past.push(names);
    while (this.#past.length > MOST_RECORDS || this.#past[0]!.forgetAt < performance.now()) {
      const oldest = this.#past.shift()!;
      if (this.#names.get(oldest.key) === oldest) this.#names.delete(oldest.key);
    }
  }

  #own(task: Promise<void>): void {
    this.#tasks.add(task);
    task.catch((error) => this.#log(`incoming: ${error instanceof Error ? error.stack : error}`))
      .finally(() => this.#tasks.delete(task));
  }
}

/** Whether what the program listens on there stands in for a port of the target. */
export function isWished(wishes: IncomingWishes, address: Uint8Array, port: number): boolean {
  const { ports, filterPorts, ignoredPorts, isLocalhostIgnored } = wishes;
  if (isLocalhostIgnored && isLoopback(address)) return false;
  const isNamed = !ports || ports.includes(port) || Boolean(filterPorts?.includes(port));
  return isNamed && !ignoredPorts.includes(port);
}

/** The filter for connections to this port of the target; empty: none. */
export function filterAt({ filter, filterPorts }: IncomingWishes, port: number): string {
  return !filterPorts || filterPorts.includes(port) ? filter : "";
}

function isListening({ inode, realPort }: Listener): boolean {
  const told = listenersOn(realPort);
  return (typeof told === "number" ? listenersByProc(realPort) : told).some((it) => it.inode === inode);
}

/** Where to connect to reach a socket bound to this address. */
function reachableAddress(address: Address): Address {
  if (!address.every((byte) => byte === 0)) return address;
  return address.length === 4 ? Uint8Array.of(127, 0, 0, 1) : Uint8Array.of(...new Array(15).fill(0), 1);
}

function namesReply(own: { address: Address; port: number } | undefined, peer = NO_NAME): LayerMessage {
  return {
    type: "SocketNamesReply",
    isKnown: own !== undefined,
    peerAddress: peer.address,
    peerPort: peer.port,
    ownAddress: own?.address ?? NO_NAME.address,
    ownPort: own?.port ?? 0,
  };
}
