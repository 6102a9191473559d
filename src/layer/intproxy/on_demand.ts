/**
 * Files that did not come whole: what the shim needs of them, when it needs it, and read ahead for who reads in order.
 *
 * A file that is not open at the agent any more is opened again by its path. If that leads to another file by now, or to
 * none, what is left of ours cannot be had: EIO, never other bytes.
 */
import { ERRNO } from "../../base/errors.ts";
import { type AGENT, AGENT_LIMITS } from "../../proto/agent.ts";
import type { LAYER } from "../../proto/layer.ts";
import { type MessageNamed, NO_STAT, type Stat } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Handles, Kept } from "./handles.ts";
import { AheadBudget, type Part, ReadAhead } from "./read_ahead.ts";
import { layerCodec, type ShimConnection } from "./shim_connection.ts";

const O_NOFOLLOW = 0o400000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const NOTHING = new Uint8Array(0);
const LOST: Part = { errno: ERRNO.EIO, data: NOTHING };

export class OnDemand {
  readonly #agent: AgentClient;
  readonly #handles: Handles;
  readonly #now: () => number;
  readonly #budget = new AheadBudget();
  readonly #readers = new WeakMap<Kept, ReadAhead>();
  /** When each was changed, as last told: what was read before a change is not to be given to who reads after it. */
  readonly #told = new WeakMap<Kept, string>();
  readonly #opening = new Map<bigint, Promise<bigint | undefined>>();
  readonly #answering = new Set<Promise<void>>();

  constructor(agent: AgentClient, handles: Handles, now: () => number) {
    this.#agent = agent;
    this.#handles = handles;
    this.#now = now;
  }

  onRead(message: MessageNamed<typeof LAYER, "ReadFile">, id: number, shim: ShimConnection): void {
    const answer = this.#read(message).then(({ errno, data }) => {
      shim.sendFrame(layerCodec.encode({ type: "Chunk", errno, isLast: true, data }, id));
    });
    this.#answering.add(answer);
    answer.finally(() => this.#answering.delete(answer));
  }

  /** The opened file is asked, not its path, if the agent has it open; else the path, if it leads to that file still. */
  onRefresh({ handle }: MessageNamed<typeof LAYER, "Refresh">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) => shim.send({ type: "StatReply", errno, stat: NO_STAT }, id);
    const kept = this.#handles.get(handle);
    const identity = kept?.identity;
    if (!kept || !identity) return failure(ERRNO.ESTALE);
    const { path, flags, dev, ino } = identity;
    const onAnswer = (answer: MessageNamed<typeof AGENT, "StatReply"> | undefined) => {
      if (!answer) return failure(ERRNO.EIO);
      const isOther = answer.errno !== 0 || answer.stat.dev !== dev || answer.stat.ino !== ino;
      if (isOther) return failure(ERRNO.ESTALE);
      this.#heard(kept, answer.stat);
      shim.send(answer, id);
    };
    if (kept.atAgent !== undefined) this.#agent.request({ type: "StatHandle", handle: kept.atAgent }, onAnswer);
    else this.#agent.request({ type: "Stat", path, flags: flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0 }, onAnswer);
  }

  #heard(kept: Kept, stat: Stat): void {
    const told = [stat.size, stat.mtimeSec, stat.mtimeNsec, stat.ctimeSec, stat.ctimeNsec].join();
    if (this.#told.get(kept) === told) return;
    this.#told.set(kept, told);
    this.#readers.get(kept)?.drop();
  }

  /** Resolves when every read is answered; they end with the agent. */
  async settled(): Promise<void> {
    await Promise.all(this.#answering);
  }

  #read({ handle, offset, length, most }: MessageNamed<typeof LAYER, "ReadFile">): Promise<Part> {
    const kept = this.#handles.get(handle);
    if (!kept) return Promise.resolve(LOST);
    const room = Math.min(most, AGENT_LIMITS.chunkBytes);
    return this.#readerOf(handle, kept).read(Number(offset), Math.min(length, room), room);
  }

  #readerOf(handle: bigint, kept: Kept): ReadAhead {
    let reader = this.#readers.get(kept);
    if (!reader) {
      const readAt = (offset: number, length: number) => this.#readAt(handle, kept, offset, length);
      reader = new ReadAhead(readAt, kept.size, kept.firstBytes ?? 0, this.#budget, this.#now);
      this.#readers.set(kept, reader);
    }
    return reader;
  }

  async #readAt(handle: bigint, kept: Kept, offset: number, length: number): Promise<Part> {
    const atAgent = kept.atAgent ?? await this.#openAgain(handle, kept);
    if (atAgent === undefined) return LOST;
    return await this.#agent.ask(
      { type: "ReadAt", handle: atAgent, offset: BigInt(offset), length },
      (answer) => answer ? { errno: answer.errno, data: answer.data.slice() } : LOST,
    );
  }

  /** Its new number at the agent; undefined when the path leads to another file by now. */
  async #openAgain(handle: bigint, kept: Kept): Promise<bigint | undefined> {
    let opening = this.#opening.get(handle);
    if (!opening) {
      opening = this.#open(handle, kept).finally(() => this.#opening.delete(handle));
      this.#opening.set(handle, opening);
    }
    return await opening;
  }

  #open(handle: bigint, kept: Kept): Promise<bigint | undefined> {
    const { identity } = kept;
    if (!identity) return Promise.resolve(undefined);
    const { path, flags, dev, ino } = identity;
    return this.#agent.ask({ type: "Open", path, flags, inlineBytes: 0 }, (answer) => {
      if (!answer || answer.errno !== 0 || answer.isWhole) return undefined;
      if (answer.stat.dev !== dev || answer.stat.ino !== ino) {
        this.#agent.tell({ type: "CloseHandle", handle: answer.handle });
        return undefined;
      }
      this.#handles.reopened(handle, answer.handle);
      return answer.handle;
    });
  }
}
