/**
 * The files that the run's programs write: opened at the agent, handed out by the shelf (docs/decisions/0011), swept to the
 * target when somebody waits for it, before others could miss it, and every SWEEP_MS.
 *
 * A file of the target is one file here, by device and inode, for as long as anybody can write it: who opens it meanwhile,
 * to write or to read, gets the same one.
 */
import { ERRNO } from "../../base/errors.ts";
import { WRITE } from "../../proto/agent.ts";
import { LAYER_LIMITS, type LayerMessage } from "../../proto/layer.ts";
import { NO_STAT, type Stat } from "../../proto/schema.ts";
import { Shelf } from "../../sys/shelf.ts";
import type { AgentClient } from "./agent_client.ts";
import { Departed } from "./departed.ts";
import type { ShimConnection } from "./shim_connection.ts";
import { Untold } from "./untold.ts";
import { Filling } from "./filling.ts";
import { Rooms } from "./rooms.ts";
import { Rings } from "./writes.ts";
import { type Contents, keyOf, nameOf, WrittenFile, type WrittenFileParts } from "./written_file.ts";

type WritingRequest = Extract<LayerMessage, { type: `${string}Writing` }>;

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_TRUNC = 0o1000;
const O_EXCL = 0o200;
const O_APPEND = 0o2000;
const O_TMPFILE = 0o20200000;
const SWEEP_MS = 50;
/** As long as a listing's stats are passed on (snapshots.ts). */
const STAT_MS = 200;
/** OpenReply: the shelf has it. */
const ON_SHELF = -1;
const NOTHING = new Uint8Array(0);
/** Whatever was written, nothing of it is cut off. */
const MOST_SIZE = 0x7fff_ffff_ffff_ffffn;

/** An open for writing, as the agent answers it. */
type Opened = Contents & { free: bigint; canPatch: boolean };
type OpenedFile = WrittenFile | number | undefined;
type WritingTimes = { sweepMs?: number; now?: () => number };

export class Writing {
  readonly #untold = new Untold();
  readonly #agent: AgentClient;
  readonly #shelf: Shelf;
  readonly #parts: WrittenFileParts;
  readonly #rooms = new Rooms();
  readonly #filling: Filling;
  readonly #byInode = new Map<string, WrittenFile>();
  readonly #byNumber = new Map<bigint, WrittenFile>();
  readonly #running = new Set<Promise<void>>();
  readonly #log: (line: string) => void;
  readonly #departed = new Departed();
  readonly #sweepMs: number;
  readonly #now: () => number;
  #lastNumber = 0n;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Called when something at the target changes. */
  onChange: () => void = () => {};
  /** Called when a file has been opened by this path. */
  onOpened: (stat: Stat, path: Uint8Array) => void = () => {};

  /** `times` are for tests: how often files are swept, and the clock. */
  constructor(directory: string, agent: AgentClient, log: (line: string) => void, times: WritingTimes = {}) {
    this.#agent = agent;
    this.#log = log;
    this.#sweepMs = times.sweepMs ?? SWEEP_MS;
    const now = this.#now = times.now ?? (() => performance.now());
    this.#shelf = new Shelf(`${directory}/shelf`);
    this.#filling = new Filling(this.#shelf, agent);
    const parts = { shelf: this.#shelf, agent, rings: new Rings(), rooms: this.#rooms, now };
    this.#parts = { ...parts, onChange: () => this.onChange() };
  }

  onRequest(message: WritingRequest, id: number, shim: ShimConnection): void {
    switch (message.type) {
      case "OpenWriting":
        return this.#open(message, id, shim);
      case "SyncWriting":
        return this.#run(this.#sync(message.file, message.how, id, shim));
      case "StatWriting":
        return this.#run(this.#stat(message.file, id, shim));
      case "AllocateWriting":
        return this.#run(this.#allocate({ ...message }, id, shim));
      case "CheckWriting":
        return this.#run(this.#check(message.file, Number(message.length), id, shim));
      case "FindWriting":
        return this.#find(message, id, shim);
      case "MappedWriting": {
        const file = this.#byNumber.get(message.file);
        if (file) file.isMapped = true;
        return;
      }
    }
  }

  /** Something may be unsent, so that a question about the target has to wait for `settled`. */
  get hasUnsent(): boolean {
    for (const file of this.#byNumber.values()) if (!file.isSurelyClean) return true;
    return false;
  }

  /** The same, of files whose contents a new open may have to fetch. */
  get hasUnsentAppended(): boolean {
    for (const file of this.#byNumber.values()) if (file.isAppending && !file.isSurelyClean) return true;
    return false;
  }

  /** Resolves when the target has all that was written so far. Errors wait for who asks for them. */
  async settled(): Promise<void> {
    await Promise.all([...this.#byNumber.values()].map((file) => this.#sweep(file, 0, false)));
  }

  /** The file that is this one at the target, if the run writes it. */
  find(stat: Pick<Stat, "dev" | "ino">): WrittenFile | undefined {
    return this.#byInode.get(keyOf(stat));
  }

  /** To be asked before an open goes to the agent, for `hasGoneSince`. */
  moment(): number {
    return this.#departed.moment();
  }

  /** The run wrote it then, and does not now: what the agent read since may be older than what was written. */
  hasGoneSince(stat: Stat, moment: number): boolean {
    return this.#departed.hasSince(keyOf(stat), moment);
  }

  /** A request may change what the agent said of files. */
  doubtStats(): void {
    for (const file of this.#byNumber.values()) file.statAt = -Infinity;
  }

  /** The agent's handle of the file with this number. */
  handleOf(number: bigint): bigint | undefined {
    return this.#byNumber.get(number)?.handle;
  }

  /** The target's file at this path has been given this size: so is ours, if it is one that is written. */
  truncated(path: Uint8Array, size: number, then: () => void): void {
    if (this.#byNumber.size === 0) return then();
    this.#agent.request({ type: "Stat", path, flags: 0 }, (answer) => {
      const file = answer?.errno === 0 ? this.find(answer.stat) : undefined;
      if (!file) return then();
      this.#run(file.alone(() => Promise.resolve(file.isGone ? 0 : file.resized(size))).then(then));
    });
  }

  /** Answers an Open for reading with a file that is being written; otherwise by `orElse`: whether it has gone now. */
  handOut(
    file: WrittenFile,
    contents: Contents,
    id: number,
    shim: ShimConnection,
    orElse: (isGone: boolean) => void,
  ): void {
    this.#run(file.alone(async () => {
      if (file.mayBeBehind(contents.stat)) await file.sweep({ then: WRITE.stat, isAwaited: false });
      if (file.isGone) this.#forget(file);
      const errno = file.isGone || file.hasContents ? 0 : await this.#filling.complete(file, contents);
      if (errno === undefined || file.isGone) return orElse(file.isGone);
      if (contents.restHandle !== 0n) this.#agent.tell({ type: "CloseHandle", handle: contents.restHandle });
      if (errno === 0) file.promise();
      const answer = { stat: contents.stat, isWhole: true, handle: file.number, data: NOTHING };
      shim.send({ type: "OpenReply", errno: errno || ON_SHELF, ...answer }, id);
    }));
  }

  /** A process has gone, maybe in the middle of something. */
  connectionClosed(): void {
    if (this.#byNumber.size > 0) this.#run(this.settled());
  }

  /** The programs have gone: resolves when the target has all, or cannot get it any more. */
  async finish(): Promise<void> {
    clearTimeout(this.#timer);
    await this.settled();
    await Promise.all(this.#running);
    for (const file of this.#byNumber.values()) {
      if (file.error !== 0) this.#log(`a file is not written whole at the target: errno ${file.error}`);
    }
  }

  /** After `finish`, and when nobody asks any more. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
    this.#byNumber.clear();
    this.#byInode.clear();
    clearTimeout(this.#timer);
    this.#shelf[Symbol.dispose]();
  }

  #open(message: Extract<WritingRequest, { type: "OpenWriting" }>, id: number, shim: ShimConnection): void {
    const { flags, mode, umask } = message;
    const path = message.path.slice();
    const failure = (errno: number) => shim.send({ type: "OnShelf", errno, file: 0n }, id);
    if (path.length >= LAYER_LIMITS.pathBytes) return failure(ERRNO.ENAMETOOLONG);
    const isAppending = (flags & (O_ACCMODE | O_APPEND)) === (O_WRONLY | O_APPEND);
    const inlineBytes = (flags & O_TRUNC) !== 0 || isAppending ? 0 : LAYER_LIMITS.inlineBytes;
    const since = this.moment();
    this.#agent.request({ type: "OpenWriting", path, flags, mode, umask, inlineBytes }, (answer) => {
      this.onChange();
      if (!answer) return failure(ERRNO.EIO);
      if (answer.errno !== 0) return failure(answer.errno);
      const { stat, handle, restHandle, free, canPatch } = answer;
      this.onOpened(stat, path);
      const contents = { stat, restHandle, data: answer.data.slice(), free, canPatch };
      this.#run((async () => {
        const mayBeOld = (flags & O_EXCL) === 0 && (flags & O_TMPFILE) !== O_TMPFILE;
        const file = await this.#opened(contents, handle, flags, mayBeOld ? since : Infinity);
        if (restHandle !== 0n) this.#agent.tell({ type: "CloseHandle", handle: restHandle });
        if (file === undefined) return this.#open({ ...message, path }, id, shim);
        if (typeof file === "number") return failure(file);
        shim.send({ type: "OnShelf", errno: 0, file: file.number }, id);
        this.#tickSoon();
      })());
    });
  }

  /**
   * The file, new or known, ready to be fetched; or an errno, or undefined when the contents may be older than what a
   * writer wrote who has gone since; then the handle is closed.
   */
  async #opened(contents: Opened, handle: bigint, flags: number, since: number): Promise<OpenedFile> {
    let known = this.find(contents.stat);
    for (; known; known = this.find(contents.stat)) {
      const file = known;
      const errno = await file.alone(() =>
        file.isGone ? Promise.resolve(undefined) : this.#join(file, contents, handle, flags)
      );
      if (errno !== undefined) return errno || file;
    }
    if (this.#departed.hasSince(keyOf(contents.stat), since)) {
      this.#closeAtAgent(handle);
      return undefined;
    }
    const file = new WrittenFile(++this.#lastNumber, contents.stat, this.#parts);
    const status = this.#shelf.put(file.number, nameOf(file));
    if (status < 0) {
      this.#closeAtAgent(handle);
      return -status;
    }
    this.#byInode.set(keyOf(contents.stat), file);
    this.#byNumber.set(file.number, file);
    this.#rooms.enter(file.stat.dev, file);
    const errno = await file.alone(() => this.#begin(file, contents, handle, flags));
    if (errno !== 0) this.#forget(file);
    return errno || file;
  }

  async #begin(file: WrittenFile, contents: Opened, handle: bigint, flags: number): Promise<number> {
    file.handle = handle;
    file.canMerge = contents.canPatch;
    this.#rooms.heard(file.stat.dev, contents.free);
    file.canWrite = (flags & O_ACCMODE) !== 0;
    file.isLocked = !file.canWrite;
    file.isAppending = (flags & O_APPEND) !== 0;
    const isAppendingAlone = (flags & (O_ACCMODE | O_APPEND)) === (O_WRONLY | O_APPEND);
    const size = Number(contents.stat.size);
    const errno = isAppendingAlone && size > 0 ? -file.resized(size) : await this.#filling.take(file, contents);
    if (errno !== 0) {
      file.isGone = true;
      this.#closeAtAgent(handle);
    } else {
      file.mark();
      file.promise();
    }
    return errno;
  }

  /** Another open of a file that is being written. */
  async #join(file: WrittenFile, contents: Opened, handle: bigint, flags: number): Promise<number | undefined> {
    const canWrite = (flags & O_ACCMODE) !== 0;
    file.isLocked ||= !canWrite;
    const isAppending = (flags & O_APPEND) !== 0;
    const isAppendingAlone = isAppending && (flags & O_ACCMODE) === O_WRONLY;
    let errno = 0;
    if ((flags & O_TRUNC) !== 0) errno = -file.resized(0);
    else if (!isAppendingAlone && (!file.hasContents || (file.isAppending && !isAppending))) {
      const completed = file.hasContents ? 0 : await this.#filling.complete(file, contents);
      if (file.isGone) return undefined;
      errno = completed ?? await this.#filling.take(file, contents);
    }
    // A handle that can write anywhere is better than one that appends, and that is better than none.
    const isBetter = canWrite && (!file.canWrite || (file.isAppending && !isAppending));
    if (errno === 0 && isBetter) {
      this.#closeAtAgent(file.handle);
      file.handle = handle;
      file.canWrite = true;
      file.isAppending = isAppending;
    } else this.#closeAtAgent(handle);
    if (errno !== 0) return errno;
    file.promise(); // so that it does not go by the sweep
    const isToBeSeen = (flags & O_TRUNC) === 0 && file.mayBeBehind(contents.stat);
    if (isToBeSeen) await file.sweep({ then: WRITE.stat, isAwaited: false });
    return 0;
  }

  async #sync(number: bigint, how: number, id: number, shim: ShimConnection): Promise<void> {
    const then = how === 2 ? WRITE.sync : how === 1 ? WRITE.syncData : 0;
    const file = this.#byNumber.get(number);
    const files = number === 0n ? [...this.#byNumber.values()] : file ? [file] : [];
    const errors = await Promise.all(files.map((it) => this.#sweep(it, then, true)));
    errors.push(this.#untold.take(number));
    shim.send({ type: "Done", errno: errors.find((errno) => errno !== 0) ?? 0 }, id);
  }

  async #sweep(file: WrittenFile, then: number, isAwaited: boolean): Promise<number> {
    const errno = await file.alone(() => file.sweep({ then, isAwaited }));
    if (file.isGone) this.#forget(file);
    return errno;
  }

  /** For a descriptor that was opened before the run wrote the file. */
  #find(message: Extract<WritingRequest, { type: "FindWriting" }>, id: number, shim: ShimConnection): void {
    const file = this.find(message);
    const answer = (errno: number) => shim.send({ type: "OnShelf", errno, file: file?.number ?? 0n }, id);
    if (!file) return answer(ERRNO.ENOENT);
    this.#run(file.alone(() => {
      const errno = file.isGone ? ERRNO.ENOENT : file.hasContents ? 0 : ERRNO.EAGAIN;
      if (message.isToTake && errno === 0) file.promise();
      return Promise.resolve(answer(errno));
    }));
  }

  /** Somebody has just written so much. */
  async #check(number: bigint, length: number, id: number, shim: ShimConnection): Promise<void> {
    const file = this.#byNumber.get(number);
    const answer = (errno: number, size = MOST_SIZE) => shim.send({ type: "Wrote", errno, size }, id);
    if (!file) return answer(this.#untold.take(number));
    file.unsent += length;
    if (file.error === 0 && this.#rooms.fits(file.stat.dev)) return answer(0);
    const errno = await file.alone(() => file.sweep({ isAwaited: true, isChecked: true }));
    const size = file.isGone || errno === 0 ? MOST_SIZE : BigInt(Math.min(file.taken, Number.MAX_SAFE_INTEGER));
    if (file.isGone) this.#forget(file);
    answer(errno, size);
  }

  async #stat(number: bigint, id: number, shim: ShimConnection): Promise<void> {
    const file = this.#byNumber.get(number);
    if (!file) return shim.send({ type: "StatReply", errno: ERRNO.ENOENT, stat: NO_STAT }, id);
    await this.#sweep(file, 0, false);
    if (!file.isGone && this.#now() - file.statAt > STAT_MS) await this.#sweep(file, WRITE.stat, false);
    shim.send({ type: "StatReply", errno: 0, stat: file.stat }, id);
  }

  async #allocate(
    { file: number, mode, offset, length }: Extract<WritingRequest, { type: "AllocateWriting" }>,
    id: number,
    shim: ShimConnection,
  ): Promise<void> {
    const file = this.#byNumber.get(number);
    const errno = !file ? ERRNO.EBADF : await file.alone(async () => {
      const failure = await file.sweep({ isAwaited: false });
      const { handle } = file;
      return failure ||
        await this.#agent.ask({ type: "Allocate", handle, mode, offset, length }, (it) => it?.errno ?? ERRNO.EIO);
    });
    this.onChange();
    shim.send({ type: "Done", errno }, id);
  }

  #closeAtAgent(handle: bigint): void {
    const nothing = { size: 0n, offset: 0n, data: NOTHING };
    this.#agent.request({ type: "Write", handle, then: WRITE.close, ...nothing }, () => {});
  }

  #forget(file: WrittenFile): void {
    if (!this.#byNumber.delete(file.number)) return;
    this.#byInode.delete(keyOf(file.stat));
    this.#departed.add(keyOf(file.stat));
    this.#shelf.drop(file.number);
    this.#rooms.leave(file.stat.dev, file);
    if (file.error === 0) return;
    this.#log(`a file is not written whole at the target: errno ${file.error}`);
    this.#untold.add(file.number, file.error);
  }

  #tickSoon(): void {
    this.#timer ??= setTimeout(() => this.#tick(), this.#sweepMs);
  }

  #tick(): void {
    this.#timer = undefined;
    for (const file of this.#byNumber.values()) {
      if (file.needsSweep) this.#run(this.#sweep(file, 0, false).then(() => {}));
    }
    if (this.#byNumber.size > 0) this.#tickSoon();
  }

  #run(work: Promise<void>): void {
    const running = work.catch((error) => this.#log(`writing failed: ${error instanceof Error ? error.stack : error}`))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
