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
  openFile,
  type PackedRights,
  readFileAt,
  readLink,
  realPath,
  statFile,
  type StatWords,
} from "../sys/files.ts";
import { Budget } from "./budget.ts";

type Request<T extends AgentMessage["type"]> = MessageNamed<typeof AGENT, T>;
/** Resolves when the message has left; its bytes are copied before that call returns. */
type Send = (message: AgentMessage) => Promise<void>;

const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_PATH = 0o10000000;

/** Most that one answer to Open carries, whatever was asked for. */
const INLINE_BYTES = 1 << 20;
/** File calls at once, of all sessions: each occupies a thread of Deno's pool, which has 32. */
const threads = new Budget(16);
/** Bytes of answers of one session that have not left yet: a slow link must not fill the agent's memory. */
const UNSENT_BYTES = 32 << 20;
/** Buffers of INLINE_BYTES that no call is using. */
const spareBuffers: Uint8Array<ArrayBuffer>[] = [];
const SPARE_BUFFERS = 4;

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

  async open(request: Request<"Open">, send: Send): Promise<void> {
    const { flags } = request;
    const inlineBytes = Math.min(request.inlineBytes, INLINE_BYTES);
    const path = pathOf(request.path);
    if (typeof path === "number") return await send(openFailed(path));
    const isWriting = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) !== 0 && (flags & O_PATH) === 0;
    if (isWriting) return await send(openFailed(ERRNO.EROFS));
    await this.#unsent.take(inlineBytes);
    let unsentBytes = inlineBytes;
    let left: Promise<void> | undefined;
    try {
      await threads.spend(1, async () => {
        const buffer = spareBuffers.pop() ?? new Uint8Array(INLINE_BYTES);
        const opened = await openFile(this.#root, path, flags, this.#rights, buffer.subarray(0, inlineBytes));
        unsentBytes = typeof opened === "number" ? 0 : opened.count;
        this.#unsent.give(inlineBytes - unsentBytes);
        left = send(typeof opened === "number" ? openFailed(-opened) : await this.#opened(opened, buffer));
        if (spareBuffers.length < SPARE_BUFFERS) spareBuffers.push(buffer);
      });
      await left;
    } finally {
      this.#unsent.give(unsentBytes);
    }
  }

  async #opened(
    opened: { stat: StatWords; count: number; handle: number | undefined },
    buffer: Uint8Array,
  ): Promise<AgentMessage> {
    const { count, handle: fd } = opened;
    let handle = 0n;
    if (fd !== undefined) {
      if (this.#isClosed || this.#handles.size >= this.#maxHandles) {
        await closeFile(fd);
        return openFailed(ERRNO.EMFILE);
      }
      handle = ++this.#lastHandle;
      this.#handles.set(handle, { fd, readers: 0, isClosing: false });
    }
    const stat = unpackStat(opened.stat);
    return { type: "OpenReply", errno: 0, stat, isWhole: fd === undefined, handle, data: buffer.subarray(0, count) };
  }

  /** Longer reads than one answer may carry are EINVAL: cut short they would look like the end of the file. */
  async readAt({ handle: id, offset, length }: Request<"ReadAt">, send: Send): Promise<void> {
    const handle = this.#handles.get(id);
    if (!handle) return await send(readFailed(ERRNO.EBADF));
    if (length > AGENT_LIMITS.chunkBytes) return await send(readFailed(ERRNO.EINVAL));
    handle.readers++;
    await this.#unsent.spend(length, async () => {
      const buffer = new Uint8Array(length);
      const count = await threads.spend(1, () => readFileAt(handle.fd, offset, buffer));
      handle.readers--;
      if (handle.isClosing && handle.readers === 0) await closeFile(handle.fd);
      await send(count < 0 ? readFailed(-count) : { type: "ReadReply", errno: 0, data: buffer.subarray(0, count) });
    });
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
function pathOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> | number {
  if (bytes.length >= AGENT_LIMITS.pathBytes) return ERRNO.ENAMETOOLONG;
  if (bytes.includes(0)) return ERRNO.EINVAL;
  const path = new Uint8Array(bytes.length + 1);
  path.set(bytes);
  return path;
}

function openFailed(errno: number): AgentMessage {
  return { type: "OpenReply", errno, stat: NO_STAT, isWhole: true, handle: 0n, data: new Uint8Array(0) };
}

function readFailed(errno: number): AgentMessage {
  return { type: "ReadReply", errno, data: new Uint8Array(0) };
}

function unpackStat(words: StatWords): Stat {
  const stat: Record<string, number | bigint> = {};
  STAT_FIELDS.forEach(([name, kind], at) => {
    const word = words[at]!;
    stat[name] = kind === "u32" ? Number(word) : kind === "i64" ? BigInt.asIntN(64, word) : word;
  });
  return stat as unknown as Stat;
}
