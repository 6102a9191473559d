/**
 * Files of the target for one session: every path is resolved below the target's root, with the target's rights.
 *
 * Reading only: an open for writing is EROFS. Regular files and directories have contents; FIFOs, sockets and devices
 * are ENXIO (a device means the machine the program runs on; a FIFO could keep us waiting). What is not told apart from
 * the target's own view: its capabilities (a root without CAP_DAC_OVERRIDE is taken for one with it), its security
 * modules, and /proc/self, which in its file system would mean the agent and does not exist there.
 */
import { ERRNO } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import { type MessageNamed, NO_STAT, type Stat, STAT_FIELDS } from "../proto/schema.ts";
import {
  accessFile,
  closeFile,
  ENTRY_RECORD_BYTES,
  listDirectory,
  type Opened,
  openFile,
  type PackedRights,
  readEntries,
  readFileAt,
  readLink,
  realPath,
  statEntries,
  statFile,
  statFileSystem,
  statOpenFile,
  type StatWords,
} from "../sys/files.ts";
import { MAX_HEAD_BYTES } from "../proto/agent_codec.ts";
import { Budget } from "./budget.ts";
import { Buffers } from "./buffers.ts";

type Request<T extends AgentMessage["type"]> = MessageNamed<typeof AGENT, T>;
/** Where the answers of one request go. Promises resolve when the answer has left, or cannot any more. */
export interface Outlet {
  /** Bytes of the message are copied before the call returns. */
  send(message: AgentMessage): Promise<void>;
  /** The answer's data are `count` bytes of `buffer` from MAX_HEAD_BYTES on; it must stay as it is until then. */
  sendInPlace(rest: Rest, buffer: Uint8Array, count: number): Promise<void>;
}

type Rest = { [T in DataReply]: Omit<Request<T>, "data"> }[DataReply];
type DataReply = "OpenReply" | "ListReply" | "WalkReply" | "ReadReply" | "EntryStats" | "EntryContents";

const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_PATH = 0o10000000;

/** As what a listing is answered. */
interface ListManner {
  restOf: (listed: ListedRest) => Rest;
  failed: (errno: number) => AgentMessage;
  isWatched: boolean;
}
type ListedRest = Omit<Request<"ListReply">, "type" | "data">;

/** Most that one answer to Open carries, whatever was asked for. */
const INLINE_BYTES = 1 << 20;
/** File calls at once, of all sessions: each occupies a thread of Deno's pool, which has 32. */
export const threads: Budget = new Budget(16);
/** Bytes of answers of one session that have not left yet: a slow link must not fill the agent's memory. */
const UNSENT_BYTES = 16 << 20;
/** Answers shorter than this are copied, and their buffers free at once. */
const COPIED_BYTES = 16 << 10;

const openBuffers = new Buffers(MAX_HEAD_BYTES + INLINE_BYTES, UNSENT_BYTES / INLINE_BYTES);
const readBuffers = new Buffers(MAX_HEAD_BYTES + AGENT_LIMITS.chunkBytes, UNSENT_BYTES / AGENT_LIMITS.chunkBytes / 2);

interface Handle {
  fd: number;
  readers: number;
  isClosing: boolean;
}

export class Files {
  readonly #root: number;
  readonly #rights: PackedRights;
  readonly #maxHandles: number;
  readonly #handles = new Map<bigint, Handle>();
  readonly #unsent = new Budget(UNSENT_BYTES);
  #lastHandle = 0n;
  #isClosed = false;

  /** `maxHandles` is the wire's limit except in tests. */
  constructor(root: number, rights: PackedRights, maxHandles: number = AGENT_LIMITS.openHandles) {
    this.#root = root;
    this.#rights = rights;
    this.#maxHandles = maxHandles;
  }

  async open(request: Request<"Open">, outlet: Outlet): Promise<void> {
    const { flags } = request;
    const inlineBytes = Math.min(request.inlineBytes, INLINE_BYTES);
    const path = pathOf(request.path);
    if (typeof path === "number") return await outlet.send(openFailed(path));
    const isWriting = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) !== 0 && (flags & O_PATH) === 0;
    if (isWriting) return await outlet.send(openFailed(ERRNO.EROFS));
    await this.#answer(openBuffers, inlineBytes, outlet, async (into) => {
      const opened = await openFile(this.#root, path, flags, this.#rights, into);
      if (typeof opened === "number") return openFailed(-opened);
      const kept = await this.#keep(opened);
      return kept ? { rest: { type: "OpenReply", ...kept }, count: opened.count } : openFailed(ERRNO.EMFILE);
    });
  }

  /** A directory with the lstat of its first entries: what fits into the answer beside them. */
  async list(request: Request<"List">, outlet: Outlet): Promise<void> {
    const path = pathOf(request.path);
    if (typeof path === "number") return await outlet.send(listFailed(path));
    const as = {
      restOf: (it: ListedRest): Rest => ({ ...it, type: "ListReply" }),
      failed: listFailed,
      isWatched: false,
    };
    await this.#list(path, request, outlet, as);
  }

  /** The same, of a directory that `watch` has begun to watch before it is listed. */
  async walk(
    request: Request<"Walk">,
    outlet: Outlet,
    watch: (path: Uint8Array<ArrayBuffer>) => Promise<boolean>,
  ): Promise<void> {
    const path = pathOf(request.path);
    if (typeof path === "number") return await outlet.send(walkFailed(path));
    const { flags, inlineBytes, statEntries } = request;
    const isWatched = await watch(path);
    const restOf = (it: ListedRest): Rest => ({ ...it, type: "WalkReply", isWatched });
    await this.#list(path, { flags, inlineBytes, statEntries }, outlet, { restOf, failed: walkFailed, isWatched });
  }

  async #list(
    path: Uint8Array<ArrayBuffer>,
    { flags, inlineBytes, statEntries }: Pick<Request<"List">, "flags" | "inlineBytes" | "statEntries">,
    outlet: Outlet,
    { restOf, failed, isWatched }: ListManner,
  ): Promise<void> {
    const most = Math.min(statEntries, AGENT_LIMITS.statEntries);
    await this.#answer(openBuffers, Math.min(inlineBytes, INLINE_BYTES), outlet, async (into) => {
      const listed = await listDirectory(this.#root, path, flags, this.#rights, most, into, isWatched);
      if (typeof listed === "number") return failed(-listed);
      const kept = await this.#keep(listed);
      const { isAll, entryBytes, count } = listed;
      return kept ? { rest: restOf({ ...kept, isAll, entryBytes }), count } : failed(ERRNO.EMFILE);
    });
  }

  /** More names than one answer has stats for are EINVAL, as in statEntries. */
  async readEntries(request: Request<"ReadEntries">, outlet: Outlet): Promise<void> {
    const failed = (errno: number): AgentMessage => ({ type: "EntryContents", errno, data: new Uint8Array(0) });
    const path = pathOf(request.path);
    if (typeof path === "number") return await outlet.send(failed(path));
    const names = request.names.slice();
    if (countOf(names) > AGENT_LIMITS.statEntries) return await outlet.send(failed(ERRNO.EINVAL));
    const mostBytes = Math.min(request.mostBytes, INLINE_BYTES);
    const each = Math.min(request.eachBytes, mostBytes);
    await this.#answer(openBuffers, mostBytes, outlet, async (into) => {
      const put = await readEntries(this.#root, path, names, this.#rights, each, into);
      return put < 0 ? failed(-put) : { rest: { type: "EntryContents", errno: 0 }, count: put };
    });
  }

  /** A descriptor that ReadAt may use from now on; closed, and undefined, when there are too many. */
  adopt(fd: number): bigint | undefined {
    if (this.#isClosed || this.#handles.size >= this.#maxHandles) return void closeFile(fd);
    this.#handles.set(++this.#lastHandle, { fd, readers: 0, isClosing: false });
    return this.#lastHandle;
  }

  /** What the answer says of an opened object, its descriptor kept for reads; undefined when there are too many. */
  async #keep({ stat, handle: fd }: Opened) {
    let handle = 0n;
    if (fd !== undefined) {
      if (this.#isClosed || this.#handles.size >= this.#maxHandles) {
        await closeFile(fd);
        return undefined;
      }
      handle = ++this.#lastHandle;
      this.#handles.set(handle, { fd, readers: 0, isClosing: false });
    }
    return { errno: 0, stat: unpackStat(stat), isWhole: fd === undefined, handle };
  }

  /** More names than one answer has stats for are EINVAL. */
  async statEntries(request: Request<"StatEntries">, outlet: Outlet): Promise<void> {
    const path = pathOf(request.path);
    if (typeof path === "number") return await outlet.send(entriesFailed(path));
    const names = request.names.slice();
    const count = countOf(names);
    if (count > AGENT_LIMITS.statEntries) return await outlet.send(entriesFailed(ERRNO.EINVAL));
    await this.#answer(openBuffers, count * ENTRY_RECORD_BYTES, outlet, async (into) => {
      const put = await statEntries(this.#root, path, names, this.#rights, into);
      return put < 0 ? entriesFailed(-put) : { rest: { type: "EntryStats", errno: 0 }, count: put };
    });
  }

  /** Longer reads than one answer may carry are EINVAL: cut short they would look like the end of the file. */
  async readAt({ handle: id, offset, length }: Request<"ReadAt">, outlet: Outlet): Promise<void> {
    const handle = this.#handles.get(id);
    if (!handle) return await outlet.send(readFailed(ERRNO.EBADF));
    if (length > AGENT_LIMITS.chunkBytes) return await outlet.send(readFailed(ERRNO.EINVAL));
    handle.readers++;
    await this.#answer(readBuffers, length, outlet, async (into) => {
      const count = await readFileAt(handle.fd, offset, into);
      await this.#readerLeft(handle);
      return count < 0 ? readFailed(-count) : { rest: { type: "ReadReply", errno: 0 }, count };
    });
  }

  /** The last one out closes what was to be closed. */
  async #readerLeft(handle: Handle): Promise<void> {
    handle.readers--;
    if (handle.isClosing && handle.readers === 0) await closeFile(handle.fd);
  }

  /** Has `read` fill at most `mostBytes` and sends what it answers, as soon as thread and memory are to be had. */
  async #answer(
    buffers: Buffers,
    mostBytes: number,
    outlet: Outlet,
    read: (into: Uint8Array<ArrayBuffer>) => Promise<{ rest: Rest; count: number } | AgentMessage>,
  ): Promise<void> {
    await this.#unsent.take(mostBytes);
    const buffer = buffers.take();
    const into = buffer.subarray(MAX_HEAD_BYTES, MAX_HEAD_BYTES + mostBytes);
    const answer = await threads.spend(1, () => read(into));
    const count = "rest" in answer ? answer.count : 0;
    this.#unsent.give(mostBytes - count);
    if (!("rest" in answer)) await outlet.send(answer);
    else if (count >= COPIED_BYTES) await outlet.sendInPlace(answer.rest, buffer, count);
    else await outlet.send({ ...answer.rest, data: into.subarray(0, count) } as AgentMessage);
    buffers.give(buffer);
    this.#unsent.give(count);
  }

  async closeHandle(id: bigint): Promise<void> {
    const handle = this.#handles.get(id);
    if (!handle) return;
    this.#handles.delete(id);
    // The number must not be used anew while a read of it is under way: the last reader closes.
    handle.isClosing = true;
    if (handle.readers === 0) await closeFile(handle.fd);
  }

  async stat({ path: bytes, flags }: Request<"Stat">): Promise<AgentMessage> {
    const path = pathOf(bytes);
    if (typeof path === "number") return { type: "StatReply", errno: path, stat: NO_STAT };
    const stat = await threads.spend(1, () => statFile(this.#root, path, flags, this.#rights));
    if (typeof stat === "number") return { type: "StatReply", errno: -stat, stat: NO_STAT };
    return { type: "StatReply", errno: 0, stat: unpackStat(stat) };
  }

  async statHandle({ handle: id }: Request<"StatHandle">): Promise<AgentMessage> {
    const handle = this.#handles.get(id);
    if (!handle) return { type: "StatReply", errno: ERRNO.EBADF, stat: NO_STAT };
    handle.readers++;
    const stat = await threads.spend(1, () => statOpenFile(handle.fd));
    await this.#readerLeft(handle);
    if (typeof stat === "number") return { type: "StatReply", errno: -stat, stat: NO_STAT };
    return { type: "StatReply", errno: 0, stat: unpackStat(stat) };
  }

  async statFs({ path: bytes }: Request<"StatFs">): Promise<AgentMessage> {
    const failure = (errno: number): AgentMessage => ({ type: "StatFsReply", errno, words: new Uint8Array(0) });
    const path = pathOf(bytes);
    if (typeof path === "number") return failure(path);
    const words = await threads.spend(1, () => statFileSystem(this.#root, path, this.#rights));
    return typeof words === "number" ? failure(-words) : { type: "StatFsReply", errno: 0, words };
  }

  async access({ path: bytes, mode, flags }: Request<"Access">): Promise<AgentMessage> {
    const path = pathOf(bytes);
    if (typeof path === "number") return { type: "Done", errno: path };
    const status = await threads.spend(1, () => accessFile(this.#root, path, mode, flags, this.#rights));
    return { type: "Done", errno: Math.abs(status) };
  }

  readLink({ path }: Request<"ReadLink">): Promise<AgentMessage> {
    return this.#path(path, readLink);
  }

  realPath({ path }: Request<"RealPath">): Promise<AgentMessage> {
    return this.#path(path, realPath);
  }

  async #path(bytes: Uint8Array, ask: typeof readLink): Promise<AgentMessage> {
    const path = pathOf(bytes);
    if (typeof path === "number") return { type: "PathReply", errno: path, path: new Uint8Array(0) };
    const text = await threads.spend(1, () => ask(this.#root, path, this.#rights));
    if (typeof text === "number") return { type: "PathReply", errno: -text, path: new Uint8Array(0) };
    return { type: "PathReply", errno: 0, path: text };
  }

  /** Closes what the client left open. What is opened from now on is closed at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#handles.keys()].map((id) => this.closeHandle(id)));
  }
}

/** The path with its NUL, copied (the frame's bytes do not last); or an errno. */
export function pathOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> | number {
  if (bytes.length >= AGENT_LIMITS.pathBytes) return ERRNO.ENAMETOOLONG;
  if (bytes.includes(0)) return ERRNO.EINVAL;
  const path = new Uint8Array(bytes.length + 1);
  path.set(bytes);
  return path;
}

function openFailed(errno: number): AgentMessage {
  return { type: "OpenReply", errno, stat: NO_STAT, isWhole: true, handle: 0n, data: new Uint8Array(0) };
}

function listFailed(errno: number): AgentMessage {
  return { ...NO_LISTING, type: "ListReply", errno, stat: NO_STAT, data: new Uint8Array(0) };
}

function walkFailed(errno: number): AgentMessage {
  return { ...NO_LISTING, type: "WalkReply", errno, stat: NO_STAT, isWatched: false, data: new Uint8Array(0) };
}

/** How many names there are, each with its NUL. */
function countOf(names: Uint8Array): number {
  return names.reduce((sum, byte) => byte === 0 ? sum + 1 : sum, 0);
}

const NO_LISTING = { isWhole: true, handle: 0n, isAll: false, entryBytes: 0 };

function entriesFailed(errno: number): AgentMessage {
  return { type: "EntryStats", errno, data: new Uint8Array(0) };
}

function readFailed(errno: number): AgentMessage {
  return { type: "ReadReply", errno, data: new Uint8Array(0) };
}

export function unpackStat(words: StatWords): Stat {
  const stat: Record<string, number | bigint> = {};
  STAT_FIELDS.forEach(([name, kind], at) => {
    const word = words[at]!;
    stat[name] = kind === "u32" ? Number(word) : kind === "i64" ? BigInt.asIntN(64, word) : word;
  });
  return stat as unknown as Stat;
}
