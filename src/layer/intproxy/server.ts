/**
 * The Unix socket of a session, and what becomes of each request that comes over it.
 *
 * Nobody else knows the directory's name, so nobody else reaches the socket; a Hello of another build is turned away. The
 * socket itself is open to all: a program of root's goes on as another user. Requests are taken up as they come and
 * answered as they end: none waits for another.
 */
import { ERRNO, WireError } from "../../base/errors.ts";
import type { PathMapper } from "../../config/path_mapping.ts";
import type { LayerFrame } from "../../proto/layer.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Datagrams } from "./datagrams.ts";
import type { Destinations } from "./destinations.ts";
import type { Events } from "./events.ts";
import type { Fifos } from "./fifos.ts";
import type { Files } from "./files.ts";
import type { Incoming } from "./incoming.ts";
import type { Life } from "./life.ts";
import { onNameRequest } from "./names.ts";
import type { NetworkQuestions } from "./network_questions.ts";
import { listenUnnamed } from "../session_directory.ts";
import type { Outgoing } from "./outgoing.ts";
import type { OwnAddresses } from "./own_addresses.ts";
import type { UnixSockets } from "./unix_sockets.ts";
import { isLocalNote, type Trace, traceRequest } from "./trace.ts";
import { copyOfFrame, type Hello, ShimConnection } from "./shim_connection.ts";
import type { Writing } from "./writing.ts";

export interface ServerParts {
  readonly agent: AgentClient;
  readonly files: Files;
  readonly events: Events;
  readonly fifos: Fifos;
  readonly outgoing: Outgoing;
  readonly unixSockets: UnixSockets;
  readonly ownAddresses: OwnAddresses;
  readonly networkQuestions: NetworkQuestions;
  readonly datagrams: Datagrams;
  readonly destinations: Destinations;
  readonly writing: Writing;
  readonly incoming: Incoming;
  readonly life: Life;
  readonly mapper: PathMapper;
  readonly build: string;
  log(line: string): void;
  /** Is told of each request, if anybody wants to know. */
  readonly trace: Trace | undefined;
}

export class Server {
  readonly #listener: Deno.Listener;
  readonly #parts: ServerParts;
  readonly #connections = new Map<ShimConnection, Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #handling = new Set<Promise<void>>();

  constructor(directory: string, parts: ServerParts) {
    this.#parts = parts;
    this.#listener = listenUnnamed(directory, "socket", 0o666);
    this.#accepting = this.#accept();
  }

  /** Nobody comes any more, and who is here is cut off. */
  async close(): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const shim of this.#connections.keys()) shim.close();
    await Promise.all(this.#connections.values());
    await Promise.all(this.#handling);
  }

  /** Resolves when every answer given so far has left. */
  async flushed(): Promise<void> {
    await Promise.all([...this.#connections.keys()].map((shim) => shim.flushed()));
  }

  async #accept(): Promise<void> {
    while (true) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // Out of descriptors, most likely: those who wait in the queue are taken when some are free again.
        this.#parts.log(`cannot accept a connection: ${error}`);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        continue;
      }
      const shim = new ShimConnection(conn);
      this.#connections.set(shim, this.#serve(shim).finally(() => this.#connections.delete(shim)));
    }
  }

  async #serve(shim: ShimConnection): Promise<void> {
    const { life, files, incoming, writing, build, log } = this.#parts;
    let hello: Hello | undefined;
    const admit = (frame: Hello) => {
      if (frame.build !== build) return false;
      hello = { ...frame };
      files.handles.connectionOpened(frame.pid);
      life.connectionOpened(frame);
      return true;
    };
    try {
      for await (const batch of shim.requests(admit)) {
        for (const frame of batch) this.#inOrder(frame, shim);
      }
    } catch (error) {
      // Anything else is a fault of ours, and must not take the other connections along.
      const text = error instanceof WireError ? error.message : error instanceof Error ? error.stack : String(error);
      log(`a shim broke the rules (process ${shim.pid || "?"}): ${text}`);
    } finally {
      await shim.flushed();
      shim.close();
      if (hello) {
        files.handles.connectionClosed(hello.pid);
        writing.connectionClosed();
        life.connectionClosed(hello);
        if (hello.isLifeline) incoming.look();
      }
    }
  }

  /** What was written before is at the target before anything is asked about files there. */
  #inOrder(frame: LayerFrame, shim: ShimConnection): void {
    const { writing, log, trace } = this.#parts;
    if (trace) traceRequest(trace, frame, shim.pid);
    const mustWait = OPENS.has(frame.type)
      ? writing.hasUnsentAppended
      : !UNORDERED.has(frame.type) && writing.hasUnsent;
    if (!OPENS.has(frame.type) && !UNORDERED.has(frame.type)) writing.doubtStats();
    if (!mustWait) return this.#onRequest(frame, shim);
    const copy = copyOfFrame(frame);
    const handling = writing.settled().then(() => this.#onRequest(copy, shim)).catch((error) => {
      log(`a request failed: ${error instanceof Error ? error.stack : error}`);
      shim.close();
    }).finally(() => this.#handling.delete(handling));
    this.#handling.add(handling);
  }

  #onRequest(frame: LayerFrame, shim: ShimConnection): void {
    const { agent, files, destinations, writing, log } = this.#parts;
    switch (frame.type) {
      case "Open":
      case "Fetch":
      case "ReadFile":
      case "Refresh":
      case "DescriptorClosed":
      case "CloseHandle":
      case "Stat":
      case "Access":
      case "ReadLink":
      case "RealPath":
      case "StatFs":
      case "ChangeDirectory":
        return files.onRequest(frame, frame.id, shim);
      case "Rename":
      case "Link":
      case "Symlink":
      case "MakeNode":
      case "Remove":
      case "SetMode":
      case "SetOwner":
      case "SetTimes":
      case "Truncate":
      case "SetAttribute":
      case "RemoveAttribute":
        return files.tree.onChange(frame, frame.id, shim);
      case "OpenWriting":
      case "SyncWriting":
      case "StatWriting":
      case "AllocateWriting":
      case "MappedWriting":
      case "CheckWriting":
      case "FindWriting":
        return writing.onRequest(frame, frame.id, shim);
      case "GetAttribute":
        return files.attributes.onRequest(frame, frame.id, shim);
      case "PathOf":
        return files.tree.onPathOf(frame, frame.id, shim);
      case "Resolve":
      case "ReverseName":
      case "AskDns":
      case "GetResolver":
        return onNameRequest(agent, destinations, frame, frame.id, shim);
      case "WatchPath":
        return this.#parts.events.onRequest(frame, frame.id, shim);
      case "MapPath": {
        const path = this.#parts.mapper.map(frame.path);
        return shim.send({ type: "PathReply", errno: path ? 0 : ERRNO.ENOENT, path: path ?? NOTHING }, frame.id);
      }
      case "Note":
        if (!isLocalNote(frame.text)) log(`process ${shim.pid}: ${frame.text}`);
        return;
      default:
        return this.#onStreamRequest(frame, shim);
    }
  }

  #onStreamRequest(frame: LayerFrame, shim: ShimConnection): void {
    const { outgoing, unixSockets, ownAddresses, datagrams, destinations, incoming } = this.#parts;
    switch (frame.type) {
      case "Connect":
      case "ConnectStatus":
      case "SocketNames":
        return outgoing.onRequest(frame, frame.id, shim);
      case "ConnectUnix":
      case "UnixPeer":
      case "RelayUnixDatagrams":
        return unixSockets.onRequest(frame, frame.id, shim);
      case "OpenFifo":
      case "FifoOpened":
        return this.#parts.fifos.onRequest(frame, frame.id, shim);
      case "GetInterfaces":
      case "BindElsewhere":
        return ownAddresses.onRequest(frame, frame.id, shim);
      case "AskNetlink":
      case "AskInterface":
        return this.#parts.networkQuestions.onRequest(frame, frame.id, shim);
      case "RelayDatagrams":
      case "DatagramNames":
        return datagrams.onRequest(frame, frame.id, shim);
      case "Destination":
        return destinations.onRequest(frame, frame.id, shim);
      case "Bind":
      case "Listen":
      case "ListenerClosed":
      case "BoundName":
      case "AcceptedNames":
        return incoming.onRequest(frame, frame.id, shim);
      default:
        throw new WireError(`"${frame.type}" is not a request`);
    }
  }
}

const ACCEPT_PAUSE_MS = 100;
const NOTHING = new Uint8Array();

/** An open finds a file that is being written by what the agent tells of it. */
const OPENS: ReadonlySet<LayerFrame["type"]> = new Set(["Open", "OpenWriting"]);

/** Requests whose answer does not depend on what was written, or that see to it themselves. */
const UNORDERED: ReadonlySet<LayerFrame["type"]> = new Set([
  "PathOf",
  "Fetch",
  "CloseHandle",
  "DescriptorClosed",
  "SyncWriting",
  "StatWriting",
  "AllocateWriting",
  "MappedWriting",
  "CheckWriting",
  "FindWriting",
  "Resolve",
  "ReverseName",
  "AskDns",
  "GetResolver",
  "Connect",
  "ConnectStatus",
  "SocketNames",
  "UnixPeer",
  "RelayUnixDatagrams",
  "GetInterfaces",
  "AskNetlink",
  "AskInterface",
  "BindElsewhere",
  "RelayDatagrams",
  "DatagramNames",
  "Destination",
  "FifoOpened",
  "Note",
]);
