/**
 * One client of the agent, from its Hello to its end: answers each request when it is done, in any order, so that
 * nothing waits behind a slow file or a dead name server. What the client holds (open files, streams) ends with it.
 *
 * A malformed frame, a message only the agent may send, a second Hello, or a silence longer than the client's time-out
 * ends this session and no other.
 */
import type { Duplex } from "../base/duplex.ts";
import { ERRNO, WireError } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentFrame, type AgentMessage, FIRST_INCOMING_STREAM } from "../proto/agent.ts";
import { agentFrameHead, MAX_HEAD_BYTES } from "../proto/agent_codec.ts";
import { AgentLink } from "../proto/agent_link.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { listInterfaces } from "../sys/interfaces.ts";
import { Datagrams } from "./datagrams.ts";
import { describeFeatures } from "./features.ts";
import { Files, type Outlet, threads } from "./files.ts";
import { type ExpectedSecret, replyToHello } from "./handshake.ts";
import { IncomingStreams } from "./incoming/delivery.ts";
import type { Incoming } from "./incoming/incoming.ts";
import type { Names } from "./names.ts";
import { answerNetworkQuestion } from "./network_questions.ts";
import { Outgoing } from "./outgoing.ts";
import type { Target } from "./target.ts";
import { Tree } from "./tree.ts";
import { ClientEvents, Events } from "./events.ts";
import { ClientWatches, Watches } from "./watches.ts";
import { Writing } from "./writing.ts";

export interface SessionContext {
  target: Target;
  names: Names;
  /** Undefined: there is no target whose connections could come in. */
  incoming?: Incoming;
  expectedSecret: ExpectedSecret;
  version: string;
  /** For the first message to arrive. */
  helloTimeoutMs: number;
  /** Nothing heard for this long: the client is gone. */
  clientTimeoutMs: number;
  log: (line: string) => void;
}

/** Those of all clients: the kernel gives a user few instances. */
const watches = new Watches();
const events = new Events();

/** How long requests that are under way may hold up the end of a session. */
const LAST_REQUESTS_MS = 2000;

export class Session {
  readonly #context: SessionContext;
  readonly #link: AgentLink;
  readonly #files: Files;
  readonly #tree: Tree;
  readonly #writing: Writing;
  readonly #outgoing: Outgoing;
  readonly #datagrams: Datagrams;
  readonly #incoming: IncomingStreams;
  readonly #watches: ClientWatches;
  readonly #events: ClientEvents;
  readonly #running = new Set<Promise<void>>();
  /** Ends the name queries that this client waits for. */
  readonly #ending = new AbortController();
  #isWelcome = false;
  #heardAt = performance.now();

  constructor(duplex: Duplex, context: SessionContext) {
    this.#context = context;
    this.#link = new AgentLink(this.#listenedTo(duplex));
    this.#files = new Files(context.target.root, context.target.rights);
    const { root, rights } = context.target;
    this.#writing = new Writing({ root, rights, threads, keepForReading: (fd) => this.#files.adopt(fd) });
    this.#tree = new Tree(root, rights, (handle, use) => this.#writing.borrow(handle, use));
    this.#outgoing = new Outgoing(this.#link, context.target);
    this.#datagrams = new Datagrams(this.#link);
    this.#incoming = new IncomingStreams(this.#link);
    const tell = (watch: number, name: Uint8Array) => this.#link.sendAhead({ type: "Changed", id: 0, watch, name });
    this.#watches = new ClientWatches(watches, { root, rights }, tell);
    this.#events = new ClientEvents(
      events,
      { root, rights },
      (events) => this.#link.sent({ type: "Events", id: 0, events }),
    );
    this.#link.beforeSending = () => this.#watches.tell();
  }

  /** Resolves when the client is gone and nothing of it is left. `onWelcome` is called when it has proved itself. */
  async serve(onWelcome: () => void): Promise<void> {
    const watch = this.#watch();
    try {
      await this.#handleMessages(onWelcome);
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#context.log(`A client was let go: ${sentence(error)}`);
    } finally {
      clearInterval(watch);
      await this.#end();
    }
  }

  /** Tells the client something for its user. */
  warn(text: string): void {
    if (this.#isWelcome) this.#link.send({ type: "Warning", id: 0, text });
  }

  /** Lets what was sent leave, then ends the session. */
  async close(): Promise<void> {
    await within(LAST_REQUESTS_MS, this.#link.flushed());
    this.#ending.abort();
    this.#link.close();
  }

  #watch(): ReturnType<typeof setInterval> {
    const { clientTimeoutMs, helloTimeoutMs, log } = this.#context;
    return setInterval(() => {
      const silentMs = performance.now() - this.#heardAt;
      if (silentMs < (this.#isWelcome ? clientTimeoutMs : helloTimeoutMs)) return;
      log(`A client was let go: nothing heard of it for ${Math.round(silentMs / 1000)} s`);
      this.#ending.abort();
      this.#link.close();
    }, Math.min(clientTimeoutMs, helloTimeoutMs) / 4);
  }

  /** Any byte is a sign of life: a big frame may be long on its way. */
  #listenedTo(duplex: Duplex): Duplex {
    return {
      read: async (into) => {
        const count = await duplex.read(into);
        // A stranger cannot stay by sending its Hello byte by byte.
        if (this.#isWelcome) this.#heardAt = performance.now();
        return count;
      },
      writeAll: (bytes) => duplex.writeAll(bytes),
      close: () => duplex.close(),
      [Symbol.dispose]: () => duplex.close(),
    };
  }

  async #handleMessages(onWelcome: () => void): Promise<void> {
    const limit = () => this.#isWelcome ? AGENT_LIMITS.frameBytes : AGENT_LIMITS.helloFrameBytes;
    for await (const batch of this.#link.batches(limit, () => this.#isWelcome)) {
      for (const frame of batch) {
        if (this.#isWelcome) this.#dispatch(frame);
        else await this.#welcome(frame, onWelcome);
      }
    }
  }

  async #welcome(frame: AgentFrame, onWelcome: () => void): Promise<void> {
    if (frame.type !== "Hello") throw new WireError(`Its first message was "${frame.type}"`);
    const reply = await replyToHello(frame, this.#context.expectedSecret, this.#context.version);
    this.#link.send({ ...reply, id: frame.id });
    if (reply.error) {
      await this.#link.flushed();
      throw new WireError(reply.error);
    }
    this.#context.log(`A client has come: mirrord ${frame.version}`);
    this.#isWelcome = true;
    this.#heardAt = performance.now();
    onWelcome();
  }

  #dispatch(frame: AgentFrame): void {
    const { id } = frame;
    const send = (message: AgentMessage) => this.#link.send({ ...message, id });
    switch (frame.type) {
      case "Ping":
        return send({ type: "Pong" });
      case "GetFeatures":
        return send(describeFeatures());
      case "GetTarget":
        return this.#answer(id, this.#describeTarget());
      case "Resolve":
        return this.#answer(id, this.#context.names.resolve(frame, this.#ending.signal));
      case "ReverseName":
        return this.#answer(id, this.#context.names.nameOf(frame.address.slice(), this.#ending.signal));
      case "ReverseNames":
        return this.#answer(id, this.#context.names.nameOf(frame.address.slice(), this.#ending.signal, true));
      case "AskDns":
        return this.#answer(id, this.#context.names.askDns(frame, this.#ending.signal));
      case "GetResolver":
        return this.#answer(id, this.#context.names.resolver());
      case "Connect":
        return this.#run(id, this.#outgoing.connect(frame, send));
      case "ConnectFrom":
        return this.#run(id, this.#outgoing.connect(frame, send));
      case "GetInterfaces": {
        const records = listInterfaces();
        return send({ type: "Interfaces", records: typeof records === "number" ? new Uint8Array(0) : records });
      }
      case "AskNetlink":
      case "AskInterface":
        return send(answerNetworkQuestion(frame));
      case "ConnectUnix":
      case "ConnectUnixDatagrams":
        return this.#run(id, this.#outgoing.connectUnix(frame, send));
      case "OpenFifo":
        return this.#run(id, this.#outgoing.openFifo(frame, send));
      case "OpenDatagrams":
        return send(this.#datagrams.open(frame));
      case "Datagram":
        return this.#datagrams.onDatagram(frame);
      case "CloseDatagrams":
        return this.#datagrams.closeFlow(frame.flow);
      case "Urgent":
      case "Untouched":
      case "Data":
      case "End":
      case "Reset":
      case "Credit":
        return (frame.stream >= FIRST_INCOMING_STREAM ? this.#incoming : this.#outgoing).onMessage(frame);
      case "Subscribe":
        return this.#answer(id, this.#subscribe(frame));
      case "Unsubscribe":
        this.#context.incoming?.unsubscribe(this.#incoming, frame.port);
        return send({ type: "Done", errno: 0 });
      default:
        return this.#dispatchFiles(frame);
    }
  }

  #dispatchFiles(frame: AgentFrame): void {
    const { id } = frame;
    switch (frame.type) {
      case "Open":
        return this.#run(id, this.#files.open(frame, this.#outlet(id)));
      case "List":
        return this.#run(id, this.#files.list(frame, this.#outlet(id)));
      case "Walk":
        return this.#run(id, this.#files.walk(frame, this.#outlet(id), this.#watcher(frame.watch)));
      case "WatchEvents":
        return this.#answer(id, this.#events.begin(frame));
      case "UnwatchEvents":
        return this.#events.end(frame.watch);
      case "Unwatch":
        return this.#watches.end(frame.watch);
      case "ReadEntries":
        return this.#run(id, this.#files.readEntries(frame, this.#outlet(id)));
      case "StatEntries":
        return this.#run(id, this.#files.statEntries(frame, this.#outlet(id)));
      case "StatHandle":
        return this.#answer(id, this.#files.statHandle(frame));
      case "ReadAt":
        return this.#run(id, this.#files.readAt(frame, this.#outlet(id)));
      case "CloseHandle":
        return this.#run(id, this.#files.closeHandle(frame.handle));
      case "Stat":
        return this.#answer(id, this.#files.stat(frame));
      case "StatFs":
        return this.#answer(id, this.#files.statFs(frame));
      case "Access":
        return this.#answer(id, this.#files.access(frame));
      case "ReadLink":
        return this.#answer(id, this.#files.readLink(frame));
      case "RealPath":
        return this.#answer(id, this.#files.realPath(frame));
      case "OpenWriting":
        return this.#answer(id, this.#writing.open(frame));
      case "Write":
      case "Patch":
        return this.#answer(id, this.#writing.write(frame));
      case "Allocate":
        return this.#answer(id, this.#writing.allocate(frame));
      case "ReadWriting":
        return this.#answer(id, this.#writing.read(frame));
      default: {
        const answer = this.#tree.answer(frame);
        if (!answer) throw new WireError(`It sent "${frame.type}", which is not for an agent`);
        return this.#answer(id, answer);
      }
    }
  }

  async #subscribe(wish: MessageNamed<typeof AGENT, "Subscribe">): Promise<AgentMessage> {
    const verdict = this.#context.incoming?.subscribe(this.#incoming, wish) ??
      { errno: ERRNO.EOPNOTSUPP, error: "there is no target whose connections could come in" };
    return { type: "SubscribeReply", ...await verdict };
  }

  #watcher(number: number): (path: Uint8Array<ArrayBuffer>) => Promise<boolean> {
    return (path) => this.#watches.begin(number, path);
  }

  #outlet(id: number): Outlet {
    return {
      send: (message) => this.#link.sent({ ...message, id }),
      sendInPlace: (rest, buffer, count) => {
        const head = agentFrameHead({ ...rest, id }, count);
        buffer.set(head, MAX_HEAD_BYTES - head.length);
        return this.#link.sendBulkFrame(buffer.subarray(MAX_HEAD_BYTES - head.length, MAX_HEAD_BYTES + count));
      },
    };
  }

  #answer(id: number, reply: Promise<AgentMessage>): void {
    this.#run(id, reply.then((message) => this.#link.send({ ...message, id })));
  }

  /** Owns a request until it is done; what it throws is a bug of ours, and the client must not wait for ever. */
  #run(id: number, request: Promise<void> | void): void {
    if (!request) return;
    const running = request.catch((error) => {
      this.#context.log(`A request failed: ${error instanceof Error ? error.stack : error}`);
      this.#link.send({ type: "Refused", id, error: `The agent failed: ${sentence(error)}` });
    }).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #describeTarget(): Promise<AgentMessage> {
    const { target, log } = this.#context;
    const hostname = target.hostname();
    if (typeof hostname === "number") log(`Cannot ask for the target's host name: error ${-hostname}`);
    const name = typeof hostname === "string" ? hostname : "";
    try {
      return { type: "Target", errno: 0, hostname: name, environ: await target.environ() };
    } catch (error) {
      log(`Cannot read the target's environment: ${sentence(error)}`);
      const errno = error instanceof Deno.errors.NotFound ? ERRNO.ENOENT : ERRNO.EACCES;
      return { type: "Target", errno, hostname: name, environ: new Uint8Array(0) };
    }
  }

  async #end(): Promise<void> {
    this.#ending.abort();
    this.#link.close();
    this.#context.incoming?.leave(this.#incoming);
    const sockets = [this.#outgoing.close(), this.#datagrams.close(), this.#incoming.close()];
    const ended = Promise.all([
      ...sockets,
      this.#files.close(),
      this.#writing.close(),
      this.#watches.close(),
      this.#events.close(),
      ...this.#running,
    ]);
    await within(LAST_REQUESTS_MS, ended);
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Waits for `work`, but not longer. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
