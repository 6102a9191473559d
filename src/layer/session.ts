/**
 * One run, from the agent's handshake to the last process.
 *
 * The order of going down, whatever the reason:
 *
 *  1. The programs. They have left by themselves; or the agent is lost, and they are told and ended (SIGTERM, after
 *     TERM_GRACE_MS SIGKILL) while their calls are answered with errors; or we were told to go, and they stay as they are.
 *  2. Ports are the target's again. Files that were written reach the target. Streams to the agent: what programs wrote before they left is still passed on (UNSENT_MS without progress at most).
 *  3. The agent: requests under way end with errors, sockets are reset, the duplex is closed.
 *  4. The Unix socket and its connections; the errors of 3 leave before.
 *  5. Relays and black holes; the shelf of written files.
 *  6. The directory.
 */
import { LEAVING } from "../proto/agent.ts";
import { utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { PathMapper, type PathMapping } from "../config/path_mapping.ts";
import { writeToStderrOf } from "../sys/relay.ts";
import { SESSION_VARIABLE } from "./inject.ts";
import { AgentClient, type AgentClientOptions, type TargetFacts } from "./intproxy/agent_client.ts";
import { Datagrams } from "./intproxy/datagrams.ts";
import { Destinations, type NetworkRules } from "./intproxy/destinations.ts";
import { handlesOf } from "./intproxy/descriptors.ts";
import { Events } from "./intproxy/events.ts";
import { Fifos } from "./intproxy/fifos.ts";
import { Files } from "./intproxy/files.ts";
import { Incoming, type IncomingWishes } from "./intproxy/incoming.ts";
import { Life } from "./intproxy/life.ts";
import { Outgoing } from "./intproxy/outgoing.ts";
import { OwnServers } from "./intproxy/own_servers.ts";
import type { Trace } from "./intproxy/trace.ts";
import { Server } from "./intproxy/server.ts";
import { NetworkQuestions } from "./intproxy/network_questions.ts";
import { OwnAddresses } from "./intproxy/own_addresses.ts";
import { UnixSockets } from "./intproxy/unix_sockets.ts";
import { Writing } from "./intproxy/writing.ts";
import { type UserSettings, writeSettings } from "./intproxy/settings.ts";

export interface IntproxyOptions {
  /** Owned from now on. */
  agent: Duplex;
  secret: Uint8Array;
  version: string;
  /** What every Hello must repeat. */
  build: string;
  /** Exists, 0700; removed at the end. */
  directory: string;
  settings: UserSettings;
  /** Paths that stand for others; none when left out. */
  pathMapping?: PathMapping;
  /** All is remote without it. */
  network?: NetworkRules;
  /** Off without it. */
  incoming?: IncomingWishes;
  /** The process that is or becomes the program; or, if it only waits, that keeps the run. */
  rootPid: number;
  isRootWaiting?: boolean;
  /** What programs are told the host's name is; the target's without it. */
  hostname?: string;
  log(line: string): void;
  /** Is told what processes ask for; with `isTracing` of paths that the shim leaves to this machine, too. */
  trace?: Trace;
  isTracing?: boolean;
  signal: AbortSignal;
  /** For tests: how often the agent is asked for a sign of life, how long it may be silent; SIGTERM's grace; how often
   * files that are written are swept; the clock. */
  times?: Pick<AgentClientOptions, "pingMs" | "silenceMs"> & {
    termGraceMs?: number;
    sweepMs?: number;
    now?: () => number;
  };
}

export type Outcome = "programs left" | "agent lost" | "aborted";

export interface Intproxy {
  readonly target: TargetFacts;
  /** What the agent wanted the user to know while it started. */
  readonly warnings: readonly string[];
  /** Resolves when the shim has entered a first process; never, when none comes. */
  readonly attended: Promise<void>;
  /** Resolves when everything is down. */
  readonly finished: Promise<Outcome>;
}

const ALL_REMOTE: NetworkRules = { keepsLoopback: false, isDnsRemote: true };
const NO_INCOMING: IncomingWishes = {
  mode: "off",
  who: "",
  filter: "",
  filterPorts: undefined,
  portMapping: [],
  listenPorts: [],
  ignoredPorts: [],
  ports: undefined,
  isLocalhostIgnored: false,
  isFlush: false,
};
const TERM_GRACE_MS = 2000;
/** What programs have written is waited for this long while nothing of it moves; the far side's last word this long. */
const UNSENT_MS = 10_000;
const UNHEARD_MS = 250;
const LOOK_MS = 20;
/** Different sentences of the agent that one run is told. */
const MOST_TOLD = 20;
/** What SIGKILL has not ended by then waits for a device or a file server: it ends when it can. */
const KILL_ROUNDS = 50;

/** Resolves when programs can come: handshake done, socket and relays open, settings written. Throws `UserError`. */
export async function startIntproxy(options: IntproxyOptions): Promise<Intproxy> {
  const { directory, build, log, signal } = options;
  await using undo = new AsyncDisposableStack();
  const agent = new AgentClient(options.agent, { log, ...options.times });
  undo.defer(() => agent.close());
  const onAbort = () => void agent.close();
  signal.addEventListener("abort", onAbort);
  undo.defer(() => signal.removeEventListener("abort", onAbort));
  signal.throwIfAborted();
  const target = await agent.shakeHands(options.version, options.secret).catch((error) => {
    signal.throwIfAborted();
    throw error;
  });
  const outgoing = Outgoing.open(agent);
  undo.defer(() => outgoing.close());
  const unixSockets = await UnixSockets.open(agent, directory, options.settings.unixSockets.length > 0);
  undo.defer(() => unixSockets.close());
  const writing = new Writing(directory, agent, log, options.times);
  undo.defer(() => writing.close());
  const [ownAddresses, networkQuestions] = [new OwnAddresses(agent), new NetworkQuestions(agent)];
  undo.defer(() => ownAddresses.settled());
  undo.defer(() => networkQuestions.settled());
  const incoming = new Incoming(agent, options.incoming ?? NO_INCOMING, ownAddresses, log);
  outgoing.ownName = (inode) => incoming.nameOf(inode);
  undo.defer(() => incoming.close());
  const life = new Life(options.rootPid, utf8(`${SESSION_VARIABLE}=${directory}`));
  const filesOf = openFiles(options, agent, life, writing, undo);
  undo.defer(() => life.close());
  const mapper = new PathMapper(options.pathMapping ?? []);
  const destinations = new Destinations(agent, life, options.network ?? ALL_REMOTE);
  const ownServers = outgoing.ownServers = new OwnServers(incoming, ownAddresses, life);
  undo.defer(() => ownServers.close());
  const datagrams = new Datagrams(agent, (address, port) => destinations.isLocal("udp", address, port));
  undo.defer(() => datagrams.close());
  const parts = {
    agent,
    outgoing,
    ownServers,
    unixSockets,
    ownAddresses,
    networkQuestions,
    datagrams,
    destinations,
    incoming,
    ...filesOf,
    writing,
    life,
  };
  const server = new Server(directory, { ...parts, mapper, build, log, trace: options.trace });
  undo.defer(() => server.close());
  await tellShims(options, parts, target.hostname);
  signal.throwIfAborted();
  signal.removeEventListener("abort", onAbort);
  undo.move();
  agent.onWarning = tellOnce(options.rootPid, life, options.isRootWaiting ?? false);
  const session = new Session(options, { ...parts, server });
  return { target, warnings: agent.warnings, attended: life.attended, finished: session.run() };
}

/** What asks about files, and is told of them. */
function openFiles(
  { directory, times }: IntproxyOptions,
  agent: AgentClient,
  life: Life,
  writing: Writing,
  undo: AsyncDisposableStack,
): Pick<Parts, "files" | "events" | "fifos"> {
  const everybody = () => life.everybody();
  return {
    files: undo.use(new Files(agent, times?.now, () => handlesOf(everybody()), writing)),
    events: undo.use(new Events(directory, agent, everybody)),
    fifos: undo.use(new Fifos(directory, agent, everybody)),
  };
}

/** Writes the settings. */
async function tellShims(options: IntproxyOptions, parts: Omit<Parts, "server">, hostname: string): Promise<void> {
  const { outgoing, unixSockets, datagrams, destinations, incoming } = parts;
  await writeSettings(options.directory, {
    ...options.settings,
    ...outgoing.ports,
    ...unixSockets.relays,
    datagramRelay: datagrams.relayAddress,
    asksDestinations: destinations.hasFilter,
    isIncomingRemote: incoming.isRemote,
    isTracing: options.isTracing ?? false,
    build: options.build,
    hostname: options.hostname ?? hostname,
  });
}

/** Tells the programs what the agent warns of while they run, each sentence once. */
function tellOnce(rootPid: number, life: Life, isRootWaiting: boolean): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    // Told with the loss that follows.
    if (text.endsWith(LEAVING)) return;
    if (told.has(text) || told.size >= MOST_TOLD) return;
    told.add(text);
    const pids = isRootWaiting ? [...life.everybody()].filter((it) => it !== rootPid) : [rootPid, ...life.everybody()];
    pids.some((pid) => writeToStderrOf(pid, utf8(`mirrord: ${text}\n`)) === 0);
  };
}

interface Parts {
  agent: AgentClient;
  outgoing: Outgoing;
  ownServers: OwnServers;
  unixSockets: UnixSockets;
  ownAddresses: OwnAddresses;
  networkQuestions: NetworkQuestions;
  datagrams: Datagrams;
  destinations: Destinations;
  incoming: Incoming;
  files: Files;
  events: Events;
  fifos: Fifos;
  writing: Writing;
  life: Life;
  server: Server;
}

class Session {
  readonly #options: IntproxyOptions;
  readonly #parts: Parts;

  constructor(options: IntproxyOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
  }

  async run(): Promise<Outcome> {
    const outcome = await this.#outcome();
    this.#options.log(`going down: ${outcome}`);
    await this.#goDown(outcome);
    return outcome;
  }

  async #outcome(): Promise<Outcome> {
    const { agent, life } = this.#parts;
    const { signal, log } = this.#options;
    const aborted = Promise.withResolvers<Outcome>();
    const onAbort = () => aborted.resolve("aborted");
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    const agentLost = agent.lost.then((reason): Outcome => {
      log(`the agent is lost: ${reason.message}`);
      return "agent lost";
    });
    const programsLeft = life.over.then((): Outcome => "programs left");
    const outcome = await Promise.race([programsLeft, agentLost, aborted.promise]);
    signal.removeEventListener("abort", onAbort);
    return outcome;
  }

  async #goDown(outcome: Outcome): Promise<void> {
    const { agent, outgoing, ownServers, unixSockets, ownAddresses, networkQuestions, datagrams, destinations } =
      this.#parts;
    const { incoming, files, events, fifos, writing, life, server } = this.#parts;
    // 1. The programs.
    if (outcome === "agent lost") await this.#endPrograms();
    life.close();
    // 2. What comes in is the target's; what they wrote before they left.
    if (outcome !== "agent lost") await this.#finishWriting(outcome);
    if (outcome === "programs left") await this.#drain();
    // 3. The agent.
    await agent.close();
    await destinations.settled();
    await ownAddresses.settled();
    await networkQuestions.settled();
    await files.settled();
    files[Symbol.dispose]();
    events[Symbol.dispose]();
    // 4. The socket, when the last answers have left.
    await server.flushed();
    await server.close();
    // 5. Relays, and the shelf.
    await ownServers.close();
    await outgoing.close();
    await unixSockets.close();
    await fifos[Symbol.asyncDispose]();
    await datagrams.close();
    await writing.close();
    await incoming.close();
    // 6. The directory.
    await Deno.remove(this.#options.directory, { recursive: true }).catch(() => {});
  }

  /** The agent's own word, if it had one. */
  async #whyLost(): Promise<string> {
    const { agent } = this.#parts;
    const { message } = await agent.lost;
    return agent.lastWarning.endsWith(LEAVING) ? agent.lastWarning.slice(0, -LEAVING.length) : message;
  }

  async #endPrograms(): Promise<void> {
    const { life } = this.#parts;
    const sentence = `mirrord: the connection to the agent is lost (${await this.#whyLost()}); ending the program\n`;
    // The first process may have left its work to others.
    const { rootPid, isRootWaiting } = this.#options;
    const first = isRootWaiting ? [] : [rootPid];
    const programs = () => [...life.everybody()].filter((pid) => pid !== rootPid || !isRootWaiting);
    const isTold = [...first, ...programs()].some((pid) => writeToStderrOf(pid, utf8(sentence)) === 0);
    if (!isTold) this.#options.log(`cannot tell the program: ${sentence.trim()}`);
    const patience = Promise.withResolvers<void>();
    for (const pid of programs()) end(pid, "SIGTERM");
    const timer = setTimeout(() => patience.resolve(), this.#options.times?.termGraceMs ?? TERM_GRACE_MS);
    if (!isRootWaiting || programs().length > 0) await Promise.race([life.over, patience.promise]);
    clearTimeout(timer);
    // Again and again: a process that dies last may have started another meanwhile.
    for (let round = 0; round < KILL_ROUNDS; round++) {
      const left = programs();
      if (left.length === 0) return;
      for (const pid of left) end(pid, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Nothing more comes in, and what was written to files reaches the target; who is told to go does not wait long for it. */
  async #finishWriting(outcome: Outcome): Promise<void> {
    const { agent, incoming, writing } = this.#parts;
    const { signal } = this.#options;
    const hurry = () => void agent.close();
    const timer = outcome === "aborted" ? setTimeout(hurry, TERM_GRACE_MS) : undefined;
    signal.addEventListener("abort", hurry);
    await Promise.all([incoming.leave(), writing.finish()]);
    signal.removeEventListener("abort", hurry);
    clearTimeout(timer);
  }

  /** Waits while bytes of programs that have left are on their way to the agent. */
  async #drain(): Promise<void> {
    const { agent } = this.#parts;
    const { streams } = agent;
    const { signal } = this.#options;
    const hurry = () => void agent.close();
    signal.addEventListener("abort", hurry);
    if (signal.aborted) hurry();
    this.#parts.unixSockets.finish();
    for (let quietSince = performance.now(), moved = streams.movedBytes; streams.size > 0 && !agent.isLost;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (streams.movedBytes !== moved) {
        moved = streams.movedBytes;
        quietSince = performance.now();
      } else if (performance.now() - quietSince > (streams.isSending ? UNSENT_MS : UNHEARD_MS)) break;
    }
    await this.#parts.datagrams.settled();
    await agent.flushed();
    signal.removeEventListener("abort", hurry);
  }
}

function end(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // It has ended meanwhile, or is another user's now.
  }
}
