/**
 * The intproxy's end of the wire to the agent: the handshake, requests and their answers, the relayed streams, and
 * knowing when the agent is lost.
 *
 * Every request ends exactly once: with its answer, or with `undefined` when there will be none (the agent is lost, or
 * refused a request it does not know). Which errno that is for the app, the asker knows.
 */
import type { Duplex } from "../../base/duplex.ts";
import { UserError, WireError } from "../../base/errors.ts";
import {
  type AGENT,
  AGENT_LIMITS,
  AGENT_PROTOCOL,
  type AgentFrame,
  type AgentMessage,
  FIRST_INCOMING_STREAM,
} from "../../proto/agent.ts";
import { agentFrameHead, type AgentFrameRest, MAX_HEAD_BYTES } from "../../proto/agent_codec.ts";
import { AgentLink } from "../../proto/agent_link.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { Streams } from "../../proto/streams.ts";

/** The answer to each request. */
const ANSWERS = {
  Hello: "HelloReply",
  Ping: "Pong",
  GetFeatures: "Features",
  GetTarget: "Target",
  Open: "OpenReply",
  List: "ListReply",
  Walk: "WalkReply",
  WatchEvents: "WatchEventsReply",
  ReadEntries: "EntryContents",
  StatEntries: "EntryStats",
  ReadAt: "ReadReply",
  StatHandle: "StatReply",
  Stat: "StatReply",
  Access: "Done",
  ReadLink: "PathReply",
  RealPath: "PathReply",
  StatFs: "StatFsReply",
  Rename: "Done",
  Link: "Done",
  Symlink: "Done",
  MakeNode: "Done",
  Remove: "Done",
  SetMode: "Done",
  SetOwner: "Done",
  SetTimes: "Done",
  Truncate: "Done",
  SetAttribute: "Done",
  RemoveAttribute: "Done",
  GetAttribute: "AttributeReply",
  EntryAttributes: "AttributeReply",
  Resolve: "ResolveReply",
  ReverseName: "NameReply",
  ReverseNames: "NameReply",
  Connect: "ConnectReply",
  ConnectFrom: "ConnectReply",
  ConnectUnix: "ConnectUnixReply",
  ConnectUnixDatagrams: "ConnectUnixReply",
  OpenFifo: "Done",
  GetInterfaces: "Interfaces",
  AskNetlink: "NetworkAnswer",
  AskInterface: "NetworkAnswer",
  AskDns: "DnsAnswer",
  GetResolver: "DnsAnswer",
  OpenDatagrams: "DatagramsOpened",
  OpenWriting: "WritingReply",
  Write: "Written",
  Patch: "Written",
  ReadWriting: "ReadReply",
  Allocate: "Done",
  Subscribe: "SubscribeReply",
  Unsubscribe: "Done",
} as const;
type Answers = typeof ANSWERS;

type RequestType = keyof Answers & AgentMessage["type"];
type RequestWithData = { [T in RequestType]: MessageNamed<typeof AGENT, T> extends { data: Uint8Array } ? T : never }[
  RequestType
];
type Request<T extends RequestType> = MessageNamed<typeof AGENT, T>;
type Answer<T extends RequestType> = MessageNamed<typeof AGENT, Answers[T]>;

interface Pending {
  answerType: AgentMessage["type"];
  onAnswer: (answer: AgentMessage | undefined) => void;
}

export interface AgentClientOptions {
  /** How often the agent is asked for a sign of life, and how long it may give none. */
  pingMs?: number;
  silenceMs?: number;
  log(line: string): void;
}

export interface TargetFacts {
  hostname: string;
  environ: Uint8Array<ArrayBuffer>;
}

export class AgentClient {
  readonly streams: Streams;
  /** Resolves with the reason when the agent is lost or was closed. */
  readonly lost: Promise<Error>;
  /** Takes what is heard over UDP; its bytes are good until it returns. */
  onDatagram: (news: MessageNamed<typeof AGENT, "Datagram" | "DatagramFailed">) => void = () => {};
  /** What the agent tells of directories that it watches. */
  onChanged: (news: MessageNamed<typeof AGENT, "Changed">) => void = () => {};
  onEvents: (news: MessageNamed<typeof AGENT, "Events">) => void = () => {};
  /** What the agent wanted the user to know while it started. */
  readonly warnings: string[] = [];
  lastWarning = "";
  /** Of the agent's mirrord. */
  agentVersion = "";
  /** Takes what it wants the user to know from then on. */
  onWarning: ((text: string) => void) | undefined;
  readonly #link: AgentLink;
  readonly #options: AgentClientOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #reading: Promise<void>;
  readonly #onLost: (reason: Error) => void;
  /** Somebody has connected to a port that is subscribed; bytes of the message are good until it returns. */
  onNewConnection: (message: MessageNamed<typeof AGENT, "NewConnection">) => void = () => {};
  #lastId = 0;
  #lastStream = 0;
  #heardFromStreams = 0;
  #isLost = false;
  #heardAt = performance.now();
  #pingTimer: ReturnType<typeof setInterval> | undefined;

  constructor(duplex: Duplex, options: AgentClientOptions) {
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.lost = promise;
    this.#onLost = resolve;
    this.#options = options;
    this.#link = new AgentLink(duplex);
    this.streams = new Streams(this.#link);
    this.#reading = this.#read();
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Changes whenever something new has come over a connection at the target: a program may know more from now on. */
  get heardFromStreams(): number {
    return this.#heardFromStreams;
  }

  /** Hello and GetTarget in one round trip. Throws `UserError` when the agent refuses, or is not there. */
  async shakeHands(version: string, secret: Uint8Array): Promise<TargetFacts> {
    const answered = Promise.all([
      this.ask({ type: "Hello", protocol: AGENT_PROTOCOL, version, secret }, (reply) => {
        this.agentVersion = reply?.version ?? "";
        if (reply && reply.version !== version) this.warnings.push(otherVersion(reply.version, version));
        return reply && checkWelcome(reply);
      }),
      this.ask({ type: "GetTarget" }, (reply) => reply && { ...reply, environ: reply.environ.slice() }),
    ]);
    const silence = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => silence.reject(lostWhileStarting("it does not answer")),
      this.#options.silenceMs ?? SILENCE_MS,
    );
    const [refusal, target] = await Promise.race([answered, silence.promise]).finally(() => clearTimeout(timer));
    if (refusal instanceof UserError) throw refusal;
    if (refusal === undefined || target === undefined) {
      throw lostWhileStarting(this.#isLost ? (await this.lost).message : "it does not understand us");
    }
    if (target.errno !== 0) {
      throw new UserError("TARGET_GONE", `Cannot become the target: the agent cannot read it (errno ${target.errno})`, {
        hint: "is the target still running?",
      });
    }
    this.#pingTimer = setInterval(() => this.#ping(), this.#options.pingMs ?? PING_MS);
    return { hostname: target.hostname, environ: target.environ };
  }

  /**
   * Sends a request. `onAnswer` is called once and at once when the answer is there: its bytes are good until
   * `onAnswer` returns.
   */
  request<T extends RequestType>(message: Request<T>, onAnswer: (answer: Answer<T> | undefined) => void): void {
    if (this.#isLost) return onAnswer(undefined);
    const id = this.#newId();
    const answerType = ANSWERS[(message as AgentMessage).type as RequestType];
    this.#pending.set(id, { answerType, onAnswer: onAnswer as Pending["onAnswer"] });
    this.#link.send({ ...message, id } as AgentFrame);
  }

  /**
   * Sends a request whose data are `count` bytes of `buffer` from MAX_HEAD_BYTES on, without copying them. Resolves when
   * it has left: until then the buffer must stay as it is.
   */
  requestInPlace<T extends RequestWithData>(
    message: Omit<Request<T>, "data">,
    buffer: Uint8Array,
    count: number,
    onAnswer: (answer: Answer<T> | undefined) => void,
  ): Promise<void> {
    if (this.#isLost) return Promise.resolve(onAnswer(undefined));
    const id = this.#newId();
    const answerType = ANSWERS[(message as AgentMessage).type as RequestType];
    this.#pending.set(id, { answerType, onAnswer: onAnswer as Pending["onAnswer"] });
    const head = agentFrameHead({ ...message, id } as AgentFrameRest, count);
    buffer.set(head, MAX_HEAD_BYTES - head.length);
    return this.#link.sendBulkFrame(buffer.subarray(MAX_HEAD_BYTES - head.length, MAX_HEAD_BYTES + count));
  }

  /** Sends a request; resolves with what `take` makes of the answer. */
  ask<T extends RequestType, R>(message: Request<T>, take: (answer: Answer<T> | undefined) => R): Promise<R> {
    return new Promise((resolve) => this.request<T>(message, (answer) => resolve(take(answer))));
  }

  /** Sends what is not answered. */
  tell(
    message: MessageNamed<
      typeof AGENT,
      "CloseHandle" | "Unwatch" | "UnwatchEvents" | "Untouched" | "Reset" | "Datagram" | "CloseDatagrams"
    >,
  ): void {
    this.#link.send({ ...message, id: 0 });
  }

  /** Resolves when the agent has seen all that was sent (or is lost). */
  async flushed(): Promise<void> {
    await this.ask({ type: "Ping" }, () => {});
    await this.#link.flushed();
  }

  /** Every pending request ends, every stream is broken off, the duplex is closed. Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#lose(new WireError("The connection to the agent was closed"));
    await this.#reading;
    await this.#link.flushed();
    await this.streams.settled();
  }

  async #read(): Promise<void> {
    try {
      for await (const batch of this.#link.batches(() => AGENT_LIMITS.frameBytes)) {
        this.#heardAt = performance.now();
        for (const message of batch) this.#take(message);
      }
      this.#lose(new WireError("the agent ended the connection"));
    } catch (error) {
      this.#lose(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #take(message: AgentFrame): void {
    if (NEWS_TYPES.has(message.type)) this.#heardFromStreams++;
    switch (message.type) {
      case "Urgent":
      case "Data":
      case "End":
      case "Reset":
      case "Credit":
        return this.streams.onMessage(message);
      case "Datagram":
      case "DatagramFailed":
        return this.onDatagram(message);
      case "NewConnection":
        return this.onNewConnection(message);
      case "Changed":
        return this.onChanged(message);
      case "Events":
        return this.onEvents(message);
      case "Ping":
        return this.#link.send({ type: "Pong", id: message.id });
      case "Warning":
        this.lastWarning = message.text;
        if (this.onWarning) this.onWarning(message.text);
        else this.warnings.push(message.text);
        return this.#options.log(`agent: ${message.text}`);
    }
    // An older agent, which does not know Urgent or Untouched.
    if (message.type === "Refused" && message.id === 0) return;
    const pending = this.#pending.get(message.id);
    if (!pending) throw new WireError(`A "${message.type}" that nobody asked for`);
    this.#pending.delete(message.id);
    if (message.type === "Refused") {
      this.#options.log(`the agent refused a request: ${message.error}`);
      return pending.onAnswer(undefined);
    }
    if (message.type !== pending.answerType) {
      pending.onAnswer(undefined);
      throw new WireError(`A "${message.type}" where a "${pending.answerType}" was due`);
    }
    pending.onAnswer(message);
  }

  #ping(): void {
    if (performance.now() - this.#heardAt > (this.#options.silenceMs ?? SILENCE_MS)) {
      return this.#lose(new WireError("the agent gives no sign of life"));
    }
    this.request({ type: "Ping" }, () => {});
  }

  #lose(reason: Error): void {
    if (this.#isLost) return;
    this.#isLost = true;
    clearInterval(this.#pingTimer);
    this.#link.close();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { onAnswer } of pending) onAnswer(undefined);
    this.streams.resetAll();
    this.#onLost(reason);
  }

  /** A number for a stream that this side opens. */
  newStream(): number {
    do this.#lastStream = (this.#lastStream % (FIRST_INCOMING_STREAM - 1)) + 1; while (
      this.streams.has(this.#lastStream)
    );
    return this.#lastStream;
  }

  #newId(): number {
    do this.#lastId = (this.#lastId % 0xffff_ffff) + 1; while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}

/** Messages by which a program learns what happened at the target. Of Changed it does not learn. */
const NEWS_TYPES: ReadonlySet<AgentMessage["type"]> = new Set([
  "Data",
  "End",
  "Reset",
  "ConnectReply",
  "ConnectUnixReply",
  "Datagram",
  "NewConnection",
  "Events",
]);

const PING_MS = 10_000;
const SILENCE_MS = 30_000;

function otherVersion(theirs: string, ours: string): string {
  return `the agent is mirrord ${theirs}, this is ${ours}: they understand each other, but an agent's image of this ` +
    "version is better (--agent-image; `mirrord version` names it)";
}

function checkWelcome(reply: MessageNamed<typeof AGENT, "HelloReply">): UserError | true {
  if (reply.protocol !== AGENT_PROTOCOL) {
    return new UserError(
      "AGENT_VERSION",
      `Cannot work with this agent: mirrord ${reply.version} there speaks protocol ${reply.protocol}, here it is ` +
        `${AGENT_PROTOCOL}`,
      { hint: "use the agent image of this version" },
    );
  }
  if (reply.error === "") return true;
  return new UserError("AGENT_REFUSED", "Cannot work with this agent: it refuses us", {
    hint: `it says: ${reply.error}`,
  });
}

function lostWhileStarting(reason: string): UserError {
  return new UserError("AGENT_LOST", `Cannot reach the agent: ${reason}`, {
    hint: "its log may tell why: kubectl logs -l app=mirrord",
  });
}
