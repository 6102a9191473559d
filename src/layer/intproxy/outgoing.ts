/**
 * Outgoing TCP: the app's own socket, bound to P on loopback, is joined to a stream of the agent.
 *
 * State      event                                   action > next
 * -          Connect                                 Connect to the agent > PENDING
 * -          Connect, to a server of the run         connect to it (own_servers.ts), then as if the agent had > PENDING
 * PENDING    agent: errno                            blocking: ConnectReply; else break the socket in the hole > FAILED
 * PENDING    agent: connected, blocking              ConnectReply > AWAITED
 * PENDING    agent: connected, non-blocking          complete the socket in the hole > OPEN; it is gone: Reset > FAILED
 * PENDING    another Connect from P, shim gone       Reset (again, when it comes connected) > forgotten
 * AWAITED    P is accepted                           join > OPEN
 * AWAITED    nobody comes (ACCEPT_MS)                Reset > FAILED
 * OPEN       both directions ended, or a reset       > CLOSED
 * FAILED, CLOSED: ConnectStatus is answered for RECORD_MS more, then the record goes.
 *
 * Whoever reaches a relay from an address that no Connect has named is turned away.
 */
import { ERRNO } from "../../base/errors.ts";
import { closeDescriptor } from "../../sys/redirected.ts";
import type { LAYER, LayerMessage } from "../../proto/layer.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { canonical, keyOf } from "./addresses.ts";
import type { AgentClient } from "./agent_client.ts";
import { LateEnd } from "./late_end.ts";
import type { OwnServers } from "./own_servers.ts";
import { Relays } from "./relays.ts";
import type { ShimConnection } from "./shim_connection.ts";

export type OutgoingRequest = Extract<LayerMessage, { type: "Connect" | "ConnectStatus" | "SocketNames" }>;
type Address = Uint8Array<ArrayBuffer>;

interface Attempt {
  readonly key: string;
  readonly local: { address: Address; port: number };
  readonly peer: { address: Address; port: number };
  readonly stream: number;
  readonly isBlocking: boolean;
  state: "pending" | "awaited" | "open" | "failed" | "closed";
  errno: number;
  own: { address: Address; port: number };
  end: LateEnd | undefined;
  /** Settled when the agent has answered; there when somebody wants to know. */
  answered: PromiseWithResolvers<void> | undefined;
  /** When a record of the past is forgotten, in the clock of performance.now(). */
  forgetAt: number;
}

/** The shim connects as soon as it has the reply; its process may be stopped, though. */
const ACCEPT_MS = 10_000;
/** How long getsockname(2) of a socket whose connect is under way may wait for the answer. */
const PENDING_MS = 250;
/** How long the end of a connect or connection is remembered, and for how many. */
const RECORD_MS = 60_000;
const MOST_RECORDS = 4096;
/** Pauses before we look again whether the app's socket is in the hole: Connect may overtake it by a hair. */
const RETRY_MS = [1, 4, 20, 100];

const NO_NAME = { address: new Uint8Array(0), port: 0 };

export class Outgoing {
  readonly #agent: AgentClient;
  readonly #relays: Relays;
  readonly #attempts = new Map<string, Attempt>();
  readonly #past: Attempt[] = [];
  readonly #awaited = new Set<ReturnType<typeof setTimeout>>();
  readonly #tasks = new Set<Promise<void>>();
  #isClosed = false;

  /** What the program has bound a socket to, if it is really bound elsewhere. */
  ownName: (inode: number) => { address: Uint8Array; port: number } | undefined = () => undefined;

  /** The run's. */
  ownServers: Pick<OwnServers, "find" | "reach" | "join"> | undefined;

  private constructor(agent: AgentClient, relays: Relays) {
    this.#agent = agent;
    this.#relays = relays;
    relays.onAccept = (fd, address, port) => this.#accept(fd, keyOf(address, port));
  }

  static open(agent: AgentClient): Outgoing {
    return new Outgoing(agent, Relays.open());
  }

  /** For Settings. */
  get ports(): Relays["ports"] {
    return this.#relays.ports;
  }

  onRequest(message: OutgoingRequest, id: number, shim: ShimConnection): void {
    switch (message.type) {
      case "Connect":
        return this.#connect(message, id, shim);
      case "ConnectStatus": {
        const attempt = this.#attempts.get(keyOf(message.localAddress, message.localPort));
        const isPending = attempt?.state === "pending";
        return shim.send(
          { type: "ConnectStatusReply", isKnown: attempt !== undefined, isPending, errno: attempt?.errno ?? 0 },
          id,
        );
      }
      case "SocketNames":
        return this.#own(this.#tellNames(this.#attempts.get(keyOf(message.localAddress, message.localPort)), id, shim));
    }
  }

  /** No app comes any more; streams are the agent client's to end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#awaited) clearTimeout(timer);
    this.#awaited.clear();
    await this.#relays.close();
    for (const attempt of this.#attempts.values()) attempt.answered?.resolve();
    await Promise.all(this.#tasks);
  }

  #connect(message: MessageNamed<typeof LAYER, "Connect">, id: number, shim: ShimConnection): void {
    const attempt: Attempt = {
      key: keyOf(message.localAddress, message.localPort),
      local: { address: canonical(message.localAddress), port: message.localPort },
      peer: { address: canonical(message.address), port: message.port },
      stream: this.#agent.newStream(),
      isBlocking: message.isBlocking,
      state: "pending",
      errno: 0,
      own: NO_NAME,
      end: undefined,
      answered: undefined,
      forgetAt: Infinity,
    };
    this.#giveUp(this.#attempts.get(attempt.key));
    this.#attempts.set(attempt.key, attempt);
    const { stream, peer: { address, port }, isBlocking } = attempt;
    const notLate = isBlocking ? shim.onClosed(() => this.#giveUp(attempt)) : () => {};
    const onAnswer = (answer: MessageNamed<typeof AGENT, "ConnectReply"> | undefined) => {
      notLate();
      this.#answer(attempt, answer);
      attempt.answered?.resolve();
      if (isBlocking) shim.send({ type: "ConnectReply", errno: attempt.errno }, id);
    };
    const onOwn = (fd: number, name: Attempt["own"]) => {
      notLate();
      this.#answerOwn(attempt, fd, name);
      attempt.answered?.resolve();
      if (isBlocking) shim.send({ type: "ConnectReply", errno: attempt.errno }, id);
    };
    const own = message.boundInode === 0n ? undefined : this.#boundTo(message);
    const ask = () => {
      if (!own) return this.#agent.request({ type: "Connect", stream, address, port }, onAnswer);
      this.#agent.request({ type: "ConnectFrom", stream, address, port, ...own }, onAnswer);
    };
    const server = this.ownServers?.find(address, port);
    if (!server) return ask();
    const named = own?.ownAddress.length ? own.ownAddress : address;
    const names = { peer: { address: named, port: own?.ownPort || attempt.local.port }, own: attempt.peer };
    this.#own(this.ownServers!.reach(server, names).then((fd) => fd === undefined ? ask() : onOwn(fd, names.peer)));
  }

  /** In the program's eyes. */
  #boundTo({ boundInode, boundAddress, boundPort }: MessageNamed<typeof LAYER, "Connect">) {
    const asked = this.ownName(Number(boundInode));
    const address = canonical(asked?.address ?? boundAddress);
    const isAny = address.every((byte) => byte === 0);
    return { ownAddress: isAny ? NO_NAME.address : address, ownPort: asked?.port || boundPort };
  }

  /** Nobody wants this connect any more: its port was bound anew, or who waited for it has gone. */
  #giveUp(attempt: Attempt | undefined): void {
    if (attempt?.state !== "pending") return;
    this.#attempts.delete(attempt.key);
    attempt.answered?.resolve();
    this.#agent.tell({ type: "Reset", stream: attempt.stream });
  }

  #answer(attempt: Attempt, answer: MessageNamed<typeof AGENT, "ConnectReply"> | undefined): void {
    const errno = answer ? answer.errno : ERRNO.ENETUNREACH;
    const isWanted = !this.#isClosed && this.#attempts.get(attempt.key) === attempt;
    if (errno === 0 && !isWanted) this.#agent.tell({ type: "Reset", stream: attempt.stream });
    if (answer && errno !== 0 && answer.localAddress.length > 0) {
      attempt.own = { address: answer.localAddress.slice(), port: attempt.local.port };
    }
    if (!answer || errno !== 0 || !isWanted) {
      this.#fail(attempt, errno || ERRNO.ECONNABORTED);
      if (!attempt.isBlocking && isWanted) this.#own(this.#breakOff(attempt));
      return;
    }
    attempt.own = { address: answer.localAddress.slice(), port: answer.localPort };
    attempt.state = "awaited";
    attempt.end = new LateEnd(() => this.#retire(attempt, "closed"));
    this.#agent.streams.add(attempt.stream, attempt.end);
    if (attempt.isBlocking) this.#giveUpLater(attempt);
    else this.#complete(attempt);
  }

  #answerOwn(attempt: Attempt, fd: number, name: Attempt["own"]): void {
    if (fd >= 0 && (this.#isClosed || this.#attempts.get(attempt.key) !== attempt)) {
      closeDescriptor(fd);
      return this.#fail(attempt, ERRNO.ECONNABORTED);
    }
    attempt.own = name;
    if (fd < 0) {
      this.#fail(attempt, -fd);
      if (!attempt.isBlocking) this.#own(this.#breakOff(attempt));
      return;
    }
    attempt.state = "awaited";
    attempt.end = new LateEnd(() => this.#retire(attempt, "closed"));
    this.ownServers!.join(attempt.end, fd, attempt.peer.port);
    if (attempt.isBlocking) this.#giveUpLater(attempt);
    else this.#complete(attempt);
  }

  /** The other end of the app's socket becomes ours, there where it waits. */
  #complete(attempt: Attempt): void {
    const { address, port } = attempt.local;
    const hole = this.#relays.hole(address);
    const act = () => hole?.complete(address, port) ?? -ERRNO.EAFNOSUPPORT;
    const fd = act();
    if (fd !== -ERRNO.ECONNREFUSED) return this.#completed(attempt, fd);
    this.#own(this.#patiently(act, fd).then((fd) => this.#completed(attempt, fd)));
  }

  #completed(attempt: Attempt, fd: number): void {
    if (fd < 0) {
      // The app has closed its socket, or was ended.
      this.#fail(attempt, -fd);
      attempt.end!.reset();
      return this.#agent.streams.reset(attempt.stream);
    }
    this.#join(attempt, fd);
  }

  async #breakOff(attempt: Attempt): Promise<void> {
    const { address, port } = attempt.local;
    const hole = this.#relays.hole(address);
    const act = () => hole?.breakOff(address, port) ?? -ERRNO.EAFNOSUPPORT;
    await this.#patiently(act, act());
  }

  /** `result` is what it came to the first time. */
  async #patiently(act: () => number, result: number): Promise<number> {
    for (const pauseMs of RETRY_MS) {
      if (result !== -ERRNO.ECONNREFUSED || this.#isClosed) break;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      result = act();
    }
    return result;
  }

  #accept(fd: number, key: string): void {
    const attempt = this.#attempts.get(key);
    if (attempt?.state === "awaited" && attempt.isBlocking) this.#join(attempt, fd);
    else closeDescriptor(fd);
  }

  #join(attempt: Attempt, fd: number): void {
    attempt.state = "open";
    attempt.end!.arrive(this.#relays.adopt(fd, attempt.peer.port));
  }

  #giveUpLater(attempt: Attempt): void {
    const timer = setTimeout(() => {
      this.#awaited.delete(timer);
      if (attempt.state !== "awaited") return;
      this.#agent.streams.reset(attempt.stream);
      attempt.end!.reset();
    }, ACCEPT_MS);
    this.#awaited.add(timer);
  }

  async #tellNames(attempt: Attempt | undefined, id: number, shim: ShimConnection): Promise<void> {
    if (attempt?.state === "pending") await this.#answeredSoon(attempt);
    const isKnown = attempt !== undefined && attempt.state !== "pending" && attempt.own !== NO_NAME;
    const peer = isKnown ? attempt.peer : NO_NAME;
    const own = isKnown ? attempt.own : NO_NAME;
    shim.send({
      type: "SocketNamesReply",
      isKnown,
      peerAddress: peer.address,
      peerPort: peer.port,
      ownAddress: own.address,
      ownPort: own.port,
    }, id);
  }

  /** An event loop that asks must not stand still for as long as a connect may take. */
  async #answeredSoon(attempt: Attempt): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, attempt.isBlocking ? ACCEPT_MS : PENDING_MS);
    attempt.answered ??= Promise.withResolvers();
    await Promise.race([attempt.answered.promise, promise]);
    clearTimeout(timer);
  }

  #fail(attempt: Attempt, errno: number): void {
    attempt.errno = errno;
    this.#retire(attempt, "failed");
  }

  /** The record stays for those who ask late. */
  #retire(attempt: Attempt, state: "failed" | "closed"): void {
    if (attempt.forgetAt !== Infinity) return;
    attempt.state = state;
    attempt.forgetAt = performance.now() + RECORD_MS;
    this.#past.push(attempt);
    while (this.#past.length > MOST_RECORDS || this.#past[0]!.forgetAt < performance.now()) {
      const oldest = this.#past.shift()!;
      if (this.#attempts.get(oldest.key) === oldest) this.#attempts.delete(oldest.key);
    }
  }

  #own(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}
