/**
 * Files: each question of a shim becomes one message to the agent, each answer one frame back, copied once on the way.
 *
 * Before anybody asks the agent about a path, `#refuse` tells what needs no question: what cannot be a path, and names
 * that a listing of a moment ago has not (snapshots.ts). Stats of entries come with their listing.
 */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import { type LAYER, LAYER_LIMITS, type LayerMessage } from "../../proto/layer.ts";
import { type MessageNamed, NO_STAT, type Stat } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import { Attributes } from "./attributes.ts";
import { Contents, type Kept } from "./contents.ts";
import { Directories } from "./directories.ts";
import { Handles, type InUse } from "./handles.ts";
import { OnDemand } from "./on_demand.ts";
import { chunk, openReply, statReply } from "./replies.ts";
import type { ShimConnection } from "./shim_connection.ts";
import { fileSizeIn, identityIn, type Listing } from "./listing.ts";
import { OpenPaths } from "./open_paths.ts";
import { Snapshots } from "./snapshots.ts";
import { Tree } from "./tree.ts";
import { Watching } from "./watching.ts";
import { askForDirectory } from "./working_directory.ts";
import type { Writing } from "./writing.ts";

type FileRequest = Extract<
  LayerMessage,
  {
    type:
      | "Open"
      | "Fetch"
      | "ReadFile"
      | "CloseHandle"
      | "Refresh"
      | "DescriptorClosed"
      | "Stat"
      | "Access"
      | "ReadLink"
      | "RealPath"
      | "StatFs"
      | "ChangeDirectory";
  }
>;

/** ReadAts under way for one Fetch: enough for 40 ms of round trip at 200 MB/s. */
const AHEAD_REQUESTS = (8 << 20) / AGENT_LIMITS.chunkBytes;
const O_CREAT = 0o100;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const O_NONBLOCK = 0o4000;
/** With which a regular file is opened as without them. */
const PLAIN_FLAGS = O_NOFOLLOW | O_NONBLOCK;
const O_PATH = 0o10000000;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const NOTHING = new Uint8Array(0);

export class Files implements Disposable {
  readonly handles: Handles;
  readonly #agent: AgentClient;
  readonly paths = new OpenPaths();
  readonly tree: Tree;
  readonly attributes: Attributes;
  readonly #snapshots: Snapshots;
  readonly #directories: Directories;
  readonly #contents: Contents;
  readonly #writing: Writing | undefined;
  readonly #onDemand: OnDemand;
  readonly #fetches = new Set<Promise<void>>();

  constructor(agent: AgentClient, now: () => number = () => performance.now(), inUse?: InUse, writing?: Writing) {
    this.#agent = agent;
    const watching = new Watching(agent);
    this.#snapshots = new Snapshots(agent, now, watching);
    this.#directories = new Directories(agent, this.#snapshots, watching, now);
    this.#contents = new Contents(agent, this.#snapshots, now);
    this.attributes = new Attributes(agent, this.#snapshots, (number) => writing?.handleOf(number));
    this.tree = new Tree(agent, this.#snapshots, this.paths, writing);
    this.#writing = writing;
    if (writing) {
      writing.onChange = () => this.#snapshots.outdate();
      writing.onOpened = (stat, path) => this.paths.opened(stat, path);
    }
    this.handles = new Handles((handle) => agent.tell({ type: "CloseHandle", handle }), inUse);
    this.#onDemand = new OnDemand(agent, this.handles, now);
  }

  onRequest(message: FileRequest, id: number, shim: ShimConnection): void {
    switch (message.type) {
      case "Open":
        return this.#open(message, id, shim);
      case "Fetch":
        return this.#startFetch(message, id, shim);
      case "ReadFile":
        return this.#onDemand.onRead(message, id, shim);
      case "Refresh":
        return this.#onDemand.onRefresh(message, id, shim);
      case "CloseHandle":
        return this.handles.close(message.handle);
      case "DescriptorClosed":
        return this.handles.descriptorClosed(message.handle);
      case "Stat":
        return this.#stat(message, id, shim);
      case "Access":
        return this.#access(message, id, shim);
      case "ReadLink":
      case "RealPath":
        return this.#path(message, id, shim);
      case "StatFs":
        return this.#statFs(message, id, shim);
      case "ChangeDirectory":
        return this.#changeDirectory(message, id, shim);
    }
  }

  /** Resolves when no Fetch runs any more; they end with their shim or the agent. */
  async settled(): Promise<void> {
    await Promise.all(this.#fetches);
    await this.#onDemand.settled();
  }

  [Symbol.dispose](): void {
    this.handles[Symbol.dispose]();
  }

  #open(message: MessageNamed<typeof LAYER, "Open">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) =>
      shim.send({ type: "OpenReply", errno, stat: NO_STAT, isWhole: true, handle: 0n, data: NOTHING }, id);
    const errno = message.flags & O_CREAT ? refuse(message.path) : this.#refuse(message.path);
    if (errno !== 0) return failure(errno);
    const own = { ...message, path: message.path.slice() };
    const isPlain = (message.flags & ~PLAIN_FLAGS & ~O_DIRECTORY) === 0;
    const isToList = (message.flags & (O_DIRECTORY | O_PATH)) === O_DIRECTORY;
    if (isPlain && (isToList || this.#directories.isKnown(own.path))) {
      return this.#directories.find(own.path, (listing) => this.#openDirectory(own, listing, id, shim));
    }
    if (isToList || !isPlain) return this.#openDirectory(own, undefined, id, shim);
    this.#contents.find(own.path, (kept) => {
      if (!kept || !this.#openedBefore(kept, own, id, shim)) this.#ask(own, id, shim);
    });
  }

  /** Or whatever has to be asked for. */
  #openDirectory(
    own: MessageNamed<typeof LAYER, "Open">,
    listing: Listing | undefined,
    id: number,
    shim: ShimConnection,
  ): void {
    const isToList = (own.flags & (O_DIRECTORY | O_PATH)) === O_DIRECTORY;
    if (!listing) return isToList && this.#snapshots.canAsk ? this.#list(own, id, shim) : this.#ask(own, id, shim);
    this.paths.opened(listing.stat, own.path);
    const { stat, entries } = listing;
    shim.send({ type: "OpenReply", errno: 0, stat, isWhole: true, handle: 0n, data: entries }, id);
  }

  /** Its contents are here, and as they are. False: the run writes it. */
  #openedBefore({ record, data }: Kept, { path, flags }: Asked, id: number, shim: ShimConnection): boolean {
    const identity = identityIn(record);
    if (this.#writing?.find(identity)) return false;
    this.paths.opened(identity, path);
    if (shim.isClosed) return true;
    const owner = { pid: shim.pid, size: fileSizeIn(record)!, firstBytes: data.length };
    const handle = this.handles.addClosed({ ...owner, identity: { path, flags, ...identity } });
    shim.sendFrame(openReply(record, handle, data, id));
    return true;
  }

  #ask(message: MessageNamed<typeof LAYER, "Open">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) =>
      shim.send({ type: "OpenReply", errno, stat: NO_STAT, isWhole: true, handle: 0n, data: NOTHING }, id);
    const { path, flags } = message;
    const observe = this.#snapshots.observer(path);
    const watch = this.#contents.watchOf(path);
    const since = this.#writing?.moment() ?? 0;
    this.#directories.missed(path);
    const again = ({ isWhole, handle }: Opened) => {
      if (!isWhole) this.#agent.tell({ type: "CloseHandle", handle });
      this.#ask(message, id, shim);
    };
    this.#agent.request({ ...message, inlineBytes: LAYER_LIMITS.inlineBytes }, (answer) => {
      if (!answer) return failure(ERRNO.EIO);
      observe?.(answer.errno, answer.stat);
      if (answer.errno === 0) this.paths.opened(answer.stat, path);
      const opening = { path, flags };
      if (this.#isWritten(answer, id, shim, opening, again)) return;
      if (answer.errno === 0 && this.#writing?.hasGoneSince(answer.stat, since)) return again(answer);
      if (answer.errno === 0 && (answer.stat.mode & S_IFMT) === S_IFDIR) this.#directories.opened(path);
      if (answer.errno === 0 && watch && answer.isWhole) this.#contents.opened(path, answer.stat, answer.data, watch);
      this.#opened(answer, answer.data, id, shim, opening);
    });
  }

  /** A file that the run writes is opened as it is written. */
  #isWritten(
    answer: Opened & { data: Uint8Array },
    id: number,
    shim: ShimConnection,
    asked: Asked,
    again: (answer: Opened) => void,
  ): boolean {
    const file = answer.errno === 0 ? this.#writing?.find(answer.stat) : undefined;
    if (!file) return false;
    const { stat, handle } = answer;
    const data = answer.data.slice();
    const alone = { ...answer };
    const orElse = (isGone: boolean) => isGone ? again(alone) : this.#opened(alone, data, id, shim, asked);
    this.#writing?.handOut(file, { stat, data, restHandle: answer.isWhole ? 0n : handle }, id, shim, orElse);
    return true;
  }

  /** Opens a directory, and remembers what the agent tells of it. */
  #list(message: MessageNamed<typeof LAYER, "Open">, id: number, shim: ShimConnection): void {
    const { path, flags } = message;
    const wish = { path, flags, inlineBytes: LAYER_LIMITS.inlineBytes, statEntries: this.#snapshots.wish };
    this.#directories.list(wish, (answer, listing) => {
      if (!answer) {
        // Lost: Open fails as well. Or an agent that knows only Open.
        this.#snapshots.canAsk = false;
        return this.#open({ ...message, path }, id, shim);
      }
      if (answer.errno !== 0) this.#snapshots.observer(path)?.(answer.errno, undefined);
      else this.paths.opened(answer.stat, path);
      this.#opened(answer, answer.data.subarray(0, answer.entryBytes), id, shim, { path, flags, listing });
    });
  }

  #opened(answer: Opened, data: Uint8Array, id: number, shim: ShimConnection, asked: Asked): void {
    const { errno, stat, isWhole } = answer;
    // A signal has ended the call that asked.
    if (shim.isClosed) return void (!isWhole && this.#agent.tell({ type: "CloseHandle", handle: answer.handle }));
    const handle = errno === 0 ? this.#keep(answer, data.length, shim.pid, asked) : 0n;
    shim.send({ type: "OpenReply", errno, stat, isWhole, handle, data }, id);
  }

  /** The number by which the shim asks for more of it. */
  #keep({ stat, isWhole, handle }: Opened, firstBytes: number, pid: number, asked: Asked): bigint {
    const { path, flags, listing } = asked;
    if ((stat.mode & S_IFMT) === S_IFREG) {
      const identity = { path, flags, dev: stat.dev, ino: stat.ino };
      const owner = { pid, size: Number(stat.size), firstBytes, identity };
      if (isWhole) return flags & O_PATH ? 0n : this.handles.addClosed(owner);
      this.handles.add(handle, owner);
    } else if (!isWhole) {
      // What stat says of a directory is not how long its entries are.
      this.handles.add(handle, { pid, size: 0, ...(listing && { listing }) });
    }
    return handle;
  }

  #stat(message: MessageNamed<typeof LAYER, "Stat">, id: number, shim: ShimConnection): void {
    const { path, flags } = message;
    const errno = this.#refuse(path);
    if (errno !== 0) return shim.send({ type: "StatReply", errno, stat: NO_STAT }, id);
    const known = this.#snapshots.recordOf(path, flags);
    if (known) return shim.sendFrame(statReply(known, id));
    const alone = { ...message, path: path.slice() };
    const isAsked = this.#snapshots.askTogether(path, flags, (record) => {
      if (record) shim.sendFrame(statReply(record, id));
      else this.#statAlone(alone, id, shim);
    });
    if (!isAsked) this.#statAlone(alone, id, shim);
    else if (this.#snapshots.hasLostWatch(alone.path)) this.#directories.missed(alone.path);
  }

  #statAlone(message: MessageNamed<typeof LAYER, "Stat">, id: number, shim: ShimConnection): void {
    this.#directories.missed(message.path);
    const observe = this.#snapshots.observer(message.path);
    this.#agent.request(message, (answer) => {
      if (!answer) return shim.send({ type: "StatReply", errno: ERRNO.EIO, stat: NO_STAT }, id);
      observe?.(answer.errno, answer.stat);
      shim.send(answer, id);
    });
  }

  #access(message: MessageNamed<typeof LAYER, "Access">, id: number, shim: ShimConnection): void {
    const errno = this.#refuse(message.path);
    if (errno !== 0) return shim.send({ type: "Done", errno }, id);
    this.#directories.missed(message.path);
    this.#agent.request(message, (answer) => shim.send({ type: "Done", errno: answer?.errno ?? ERRNO.EIO }, id));
  }

  #path(message: MessageNamed<typeof LAYER, "ReadLink" | "RealPath">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) => shim.send({ type: "PathReply", errno, path: NOTHING }, id);
    const errno = this.#refuse(message.path);
    if (errno !== 0) return failure(errno);
    this.#agent.request(message, (answer) => answer ? shim.send(answer, id) : failure(ERRNO.EIO));
  }

  #changeDirectory({ path }: MessageNamed<typeof LAYER, "ChangeDirectory">, id: number, shim: ShimConnection): void {
    const errno = this.#refuse(path);
    if (errno !== 0) return shim.send({ type: "PathReply", errno, path: NOTHING }, id);
    askForDirectory(this.#agent, path, (errno, path) => shim.send({ type: "PathReply", errno, path }, id));
  }

  #statFs(message: MessageNamed<typeof LAYER, "StatFs">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) => shim.send({ type: "StatFsReply", errno, words: NOTHING }, id);
    const errno = this.#refuse(message.path);
    if (errno !== 0) return failure(errno);
    this.#agent.request(message, (answer) => answer ? shim.send(answer, id) : failure(ERRNO.EIO));
  }

  /** The errno for a path about which the agent need not be asked, or 0. */
  #refuse(path: Uint8Array): number {
    return refuse(path) || (this.#snapshots.isMissing(path) ? ERRNO.ENOENT : 0);
  }

  #startFetch(message: MessageNamed<typeof LAYER, "Fetch">, id: number, shim: ShimConnection): void {
    const handle = this.handles.get(message.handle);
    if (handle?.atAgent === undefined) return shim.sendFrame(chunk(id, ERRNO.EBADF, true, NOTHING));
    const from = Number(message.offset);
    // A regular file ends where stat said; others end where a read comes back short.
    const end = handle.size > 0 ? handle.size : Infinity;
    const until = Math.max(from, Math.min(end, from + Number(message.length)));
    const fetch = this.#fetch(message.handle, from, until, id, shim, handle.listing);
    this.#fetches.add(fetch);
    fetch.finally(() => this.#fetches.delete(fetch));
  }

  /** Reads ahead of the shim, several requests at a time, and passes on in order. Never rejects. */
  async #fetch(
    handle: bigint,
    from: number,
    until: number,
    id: number,
    shim: ShimConnection,
    listing: Listing | undefined,
  ): Promise<void> {
    const ahead: Promise<{ frame: Uint8Array; data: Uint8Array; isLast: boolean }>[] = [];
    let asked = from;
    let passedOn = from;
    while (!shim.isClosed) {
      while (asked < until && ahead.length < AHEAD_REQUESTS) {
        const length = Math.min(until - asked, AGENT_LIMITS.chunkBytes);
        ahead.push(this.#readAt(handle, asked, length, asked + length === until, id));
        asked += length;
      }
      const next = await ahead.shift();
      shim.sendFrame(next?.frame ?? chunk(id, 0, true, NOTHING));
      if (next) listing?.extend(passedOn, next.data);
      passedOn += next?.data.length ?? 0;
      if (!next || next.isLast) return;
      await shim.room();
    }
  }

  #readAt(handle: bigint, offset: number, length: number, isEnd: boolean, id: number) {
    return this.#agent.ask({ type: "ReadAt", handle, offset: BigInt(offset), length }, (answer) => {
      const errno = answer ? answer.errno : ERRNO.EIO;
      const data = answer && errno === 0 ? answer.data : NOTHING;
      const isLast = isEnd || errno !== 0 || data.length < length;
      const frame = chunk(id, errno, isLast, data);
      return { frame, data: frame.subarray(frame.length - data.length), isLast };
    });
  }
}

/** What was opened, and where its entries are noted. */
interface Asked {
  path: Uint8Array;
  flags: number;
  listing?: Listing | undefined;
}

/** What OpenReply and ListReply have in common. */
interface Opened {
  errno: number;
  stat: Stat;
  isWhole: boolean;
  handle: bigint;
}

/** The errno for what cannot be a path, or 0. */
function refuse(path: Uint8Array): number {
  // PATH_MAX counts the final NUL, path_resolution(7).
  if (path.length >= LAYER_LIMITS.pathBytes) return ERRNO.ENAMETOOLONG;
  return path[0] === 0x2f && !path.includes(0) ? 0 : ERRNO.EINVAL;
}
