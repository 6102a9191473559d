/** The contents that a file of the target had before the run wrote it, put into the file of the shelf that stands for it. */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS, WRITE } from "../../proto/agent.ts";
import type { Shelf } from "../../sys/shelf.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Contents, WrittenFile } from "./written_file.ts";

/** What a program opens for reading and writing comes whole; beyond this size that is EFBIG. */
const MOST_FETCHED_BYTES = 4 * 2 ** 30;
const AHEAD_READS = (8 << 20) / AGENT_LIMITS.chunkBytes;

export class Filling {
  readonly #shelf: Shelf;
  readonly #agent: AgentClient;

  constructor(shelf: Shelf, agent: AgentClient) {
    this.#shelf = shelf;
    this.#agent = agent;
  }

  /**
   * Puts what was in the target's file before into one that was only appended to; 0 or an errno. Programs go on appending
   * meanwhile, so no byte of theirs is touched. Undefined: others at the target appended as well, or it is gone now.
   */
  async complete(file: WrittenFile, { stat, data, restHandle }: Contents): Promise<number | undefined> {
    const errno = await file.sweep({ then: WRITE.stat, isAwaited: false });
    if (errno !== 0) return errno;
    const until = file.before;
    if (file.isGone || !file.isAlone || Number(stat.size) < until) return undefined;
    if (until > MOST_FETCHED_BYTES) return ERRNO.EFBIG;
    const begun = data.subarray(0, until);
    const failure = -this.#shelf.fill(file.number, 0, begun) ||
      (restHandle === 0n ? 0 : await this.#fetch(file, restHandle, begun.length, until));
    file.hasContents = failure === 0;
    return failure;
  }

  /** Puts the target's contents into the file; 0 or an errno. */
  async take(file: WrittenFile, { stat, data, restHandle }: Contents): Promise<number> {
    const size = Number(stat.size);
    if (restHandle !== 0n && size > MOST_FETCHED_BYTES) return ERRNO.EFBIG;
    const errno = -file.resized(restHandle === 0n ? data.length : size) || -this.#shelf.fill(file.number, 0, data) ||
      (restHandle === 0n ? 0 : await this.#fetch(file, restHandle, data.length, size));
    file.hasContents = errno === 0;
    return errno;
  }

  async #fetch(file: WrittenFile, handle: bigint, from: number, until: number): Promise<number> {
    const underWay: Promise<void>[] = [];
    let errno = 0;
    for (let at = from; at < until && errno === 0; at += AGENT_LIMITS.chunkBytes) {
      const offset = at;
      const length = Math.min(AGENT_LIMITS.chunkBytes, until - at);
      underWay.push(this.#agent.ask({ type: "ReadAt", handle, offset: BigInt(offset), length }, (answer) => {
        errno ||= !answer ? ERRNO.EIO : answer.errno || -this.#shelf.fill(file.number, offset, answer.data.slice());
      }));
      if (underWay.length >= AHEAD_READS) await underWay.shift();
    }
    await Promise.all(underWay);
    return errno;
  }
}
