/**
 * Files of the target that a client writes: opened, created and written with the target's rights, each by a handle of the
 * client's. What is asked of one handle happens in the order in which it was asked, of different ones side by side.
 *
 * Only regular files: all else is ENXIO, as in files.ts.
 */
import { ERRNO } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage, UNBOUNDED, WRITE } from "../proto/agent.ts";
import { type MessageNamed, NO_STAT } from "../proto/schema.ts";
import { closeFile, type PackedRights, readFileAt } from "../sys/files.ts";
import {
  allocateFile,
  newWrittenWords,
  openForWriting,
  reopenForReading,
  writeFile,
  type WrittenWords,
} from "../sys/files_writing.ts";
import type { Budget } from "./budget.ts";
import { pathOf, unpackStat } from "./files.ts";

type Request<T extends AgentMessage["type"]> = MessageNamed<typeof AGENT, T>;

/** Most that one answer to OpenWriting carries. */
const INLINE_BYTES = 1 << 20;

interface Handle {
  readonly fd: number;
  readonly news: WrittenWords;
  /** Of the same file, for reading; -errno: that may not be. */
  readingFd?: number;
  /** The end of what was asked last. */
  last: Promise<unknown>;
}

export interface WritingOptions {
  root: number;
  rights: PackedRights;
  /** Threads of the pool that may work for files. */
  threads: Budget;
  /** Keeps a descriptor for ReadAt; undefined: there are too many. */
  keepForReading(fd: number): bigint | undefined;
}

export class Writing {
  readonly #options: WritingOptions;
  readonly #handles = new Map<bigint, Handle>();
  #lastHandle = 0n;
  #isClosed = false;

  constructor(options: WritingOptions) {
    this.#options = options;
  }

  async open({ path: bytes, inlineBytes, ...how }: Request<"OpenWriting">): Promise<AgentMessage> {
    const { root, rights, threads } = this.#options;
    const path = pathOf(bytes);
    if (typeof path === "number") return openFailed(path);
    const into = new Uint8Array(Math.min(inlineBytes, INLINE_BYTES));
    const news = newWrittenWords();
    const opened = await threads.spend(1, () => openForWriting(root, path, how, rights, into, news));
    if (typeof opened === "number") return openFailed(-opened);
    const { fd, stat, count } = opened;
    const restHandle = opened.rest === undefined ? 0n : this.#options.keepForReading(opened.rest);
    if (restHandle === undefined || this.#isClosed || this.#handles.size >= AGENT_LIMITS.openHandles) {
      await closeFile(fd);
      return openFailed(ERRNO.EMFILE);
    }
    const handle = ++this.#lastHandle;
    this.#handles.set(handle, { fd, news, last: Promise.resolve() });
    return {
      type: "WritingReply",
      errno: 0,
      stat: unpackStat(stat),
      handle,
      restHandle,
      free: news[1]!,
      canPatch: true,
      data: into.subarray(0, count),
    };
  }

  /** The request's bytes are copied before this returns. */
  write({ handle: id, then, size, offset, data, ...rest }: Request<"Write" | "Patch">): Promise<AgentMessage> {
    const handle = this.#handles.get(id);
    if (!handle) return Promise.resolve(written(ERRNO.EBADF));
    const what = { then, size, offset, data: data.slice(), ranges: rest.type === "Patch" ? rest.ranges : 0 };
    const isClosing = (then & WRITE.close) !== 0;
    if (isClosing) this.#handles.delete(id);
    return this.#afterOthers(handle, async () => {
      const { status, stat } = await writeFile(handle.fd, what, this.#options.rights, handle.news);
      // close(2) tells of what could not be written so far, and is not tried again.
      const closed = isClosing ? await closeBoth(handle) : 0;
      const [done, free, isChanged] = handle.news as unknown as [bigint, bigint, bigint];
      const errno = Math.abs(status || closed);
      return { type: "Written", errno, stat: unpackStat(stat), done, free, isChanged: isChanged !== 0n };
    });
  }

  read({ handle: id, offset, length }: Request<"ReadWriting">): Promise<AgentMessage> {
    const nothing = (errno: number): AgentMessage => ({ type: "ReadReply", errno, data: new Uint8Array(0) });
    const handle = this.#handles.get(id);
    if (!handle) return Promise.resolve(nothing(ERRNO.EBADF));
    return this.#afterOthers(handle, async () => {
      handle.readingFd ??= await reopenForReading(handle.fd, this.#options.rights);
      const into = new Uint8Array(Math.min(length, AGENT_LIMITS.chunkBytes));
      const count = handle.readingFd < 0 ? handle.readingFd : await readFileAt(handle.readingFd, offset, into);
      return count < 0 ? nothing(-count) : { type: "ReadReply", errno: 0, data: into.subarray(0, count) };
    });
  }

  allocate({ handle: id, mode, offset, length }: Request<"Allocate">): Promise<AgentMessage> {
    const handle = this.#handles.get(id);
    if (!handle) return Promise.resolve({ type: "Done", errno: ERRNO.EBADF });
    return this.#afterOthers(handle, async () => {
      handle.news.fill(0n);
      const status = await allocateFile(handle.fd, mode, offset, length, this.#options.rights);
      return { type: "Done", errno: Math.abs(status) };
    });
  }

  /** Lets others use the descriptor of a handle, after what was asked of it before; -EBADF when there is none. */
  borrow(id: bigint, use: (fd: number) => Promise<number>): Promise<number> {
    const handle = this.#handles.get(id);
    if (!handle) return Promise.resolve(-ERRNO.EBADF);
    const done = handle.last.then(() => use(handle.fd));
    handle.last = done.catch(() => {});
    return done;
  }

  /** Closes what the client left open, when what it asked for is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    await Promise.all(handles.map((it) => it.last.then(() => closeBoth(it))));
  }

  #afterOthers(handle: Handle, work: () => Promise<AgentMessage>): Promise<AgentMessage> {
    const done = handle.last.then(() => this.#options.threads.spend(1, work));
    handle.last = done.catch(() => {});
    return done;
  }
}

async function closeBoth({ fd, readingFd = -1 }: Handle): Promise<number> {
  if (readingFd >= 0) await closeFile(readingFd);
  return await closeFile(fd);
}

function openFailed(errno: number): AgentMessage {
  const nothing = { handle: 0n, restHandle: 0n, free: UNBOUNDED, canPatch: true, data: new Uint8Array(0) };
  return { type: "WritingReply", errno, stat: NO_STAT, ...nothing };
}

function written(errno: number): AgentMessage {
  return { type: "Written", errno, stat: NO_STAT, done: 0n, free: UNBOUNDED, isChanged: false };
}
