/**
 * Files: each question of a shim becomes one message to the agent, each answer one frame back, copied once on the way.
 *
 * Caches (listings, names that are known not to exist) will stand between `FileRequests` and the agent: whoever asks for
 * the path of a message asks `#refuse` first already.
 */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import { type LAYER, LAYER_LIMITS, type LayerMessage } from "../../proto/layer.ts";
import { type MessageNamed, NO_STAT } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import { Handles } from "./handles.ts";
import { layerCodec, type ShimConnection } from "./shim_connection.ts";

type FileRequest = Extract<
  LayerMessage,
  { type: "Open" | "Fetch" | "CloseHandle" | "Stat" | "Access" | "ReadLink" | "RealPath" }
>;

/** ReadAts under way for one Fetch: enough for 40 ms of round trip at 200 MB/s. */
const AHEAD_REQUESTS = (8 << 20) / AGENT_LIMITS.chunkBytes;
const NOTHING = new Uint8Array(0);

export class Files implements Disposable {
  readonly handles: Handles;
  readonly #agent: AgentClient;
  readonly #fetches = new Set<Promise<void>>();

  constructor(agent: AgentClient) {
    this.#agent = agent;
    this.handles = new Handles((handle) => agent.tell({ type: "CloseHandle", handle }));
  }

  onRequest(message: FileRequest, id: number, shim: ShimConnection): void {
    switch (message.type) {
      case "Open":
        return this.#open(message, id, shim);
      case "Fetch":
        return this.#startFetch(message, id, shim);
      case "CloseHandle":
        return this.handles.close(message.handle);
      case "Stat":
        return this.#stat(message, id, shim);
      case "Access":
        return this.#access(message, id, shim);
      case "ReadLink":
      case "RealPath":
        return this.#path(message, id, shim);
    }
  }

  /** Resolves when no Fetch runs any more; they end with their shim or the agent. */
  async settled(): Promise<void> {
    await Promise.all(this.#fetches);
  }

  [Symbol.dispose](): void {
    this.handles[Symbol.dispose]();
  }

  #open(message: MessageNamed<typeof LAYER, "Open">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) =>
      shim.send({ type: "OpenReply", errno, stat: NO_STAT, isWhole: true, handle: 0n, data: NOTHING }, id);
    const errno = refuse(message.path);
    if (errno !== 0) return failure(errno);
    this.#agent.request({ ...message, inlineBytes: LAYER_LIMITS.inlineBytes }, (answer) => {
      if (!answer) return failure(ERRNO.EIO);
      if (answer.errno === 0 && !answer.isWhole) {
        this.handles.add(answer.handle, { pid: shim.pid, size: Number(answer.stat.size) });
      }
      shim.send(answer, id);
    });
  }

  #stat(message: MessageNamed<typeof LAYER, "Stat">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) => shim.send({ type: "StatReply", errno, stat: NO_STAT }, id);
    const errno = refuse(message.path);
    if (errno !== 0) return failure(errno);
    this.#agent.request(message, (answer) => answer ? shim.send(answer, id) : failure(ERRNO.EIO));
  }

  #access(message: MessageNamed<typeof LAYER, "Access">, id: number, shim: ShimConnection): void {
    const errno = refuse(message.path);
    if (errno !== 0) return shim.send({ type: "Done", errno }, id);
    this.#agent.request(message, (answer) => shim.send({ type: "Done", errno: answer?.errno ?? ERRNO.EIO }, id));
  }

  #path(message: MessageNamed<typeof LAYER, "ReadLink" | "RealPath">, id: number, shim: ShimConnection): void {
    const failure = (errno: number) => shim.send({ type: "PathReply", errno, path: NOTHING }, id);
    const errno = refuse(message.path);
    if (errno !== 0) return failure(errno);
    this.#agent.request(message, (answer) => answer ? shim.send(answer, id) : failure(ERRNO.EIO));
  }

  #startFetch(message: MessageNamed<typeof LAYER, "Fetch">, id: number, shim: ShimConnection): void {
    const handle = this.handles.get(message.handle);
    if (!handle) return shim.sendFrame(chunk(id, ERRNO.EBADF, true, NOTHING));
    const from = Number(message.offset);
    // A regular file ends where stat said; others end where a read comes back short.
    const end = handle.size > 0 ? handle.size : Infinity;
    const until = Math.max(from, Math.min(end, from + Number(message.length)));
    const fetch = this.#fetch(message.handle, from, until, id, shim);
    this.#fetches.add(fetch);
    fetch.finally(() => this.#fetches.delete(fetch));
  }

  /** Reads ahead of the shim, several requests at a time, and passes on in order. Never rejects. */
  async #fetch(handle: bigint, from: number, until: number, id: number, shim: ShimConnection): Promise<void> {
    const ahead: Promise<{ frame: Uint8Array; isLast: boolean }>[] = [];
    let asked = from;
    while (!shim.isClosed) {
      while (asked < until && ahead.length < AHEAD_REQUESTS) {
        const length = Math.min(until - asked, AGENT_LIMITS.chunkBytes);
        ahead.push(this.#readAt(handle, asked, length, asked + length === until, id));
        asked += length;
      }
      const next = await ahead.shift();
      shim.sendFrame(next?.frame ?? chunk(id, 0, true, NOTHING));
      if (!next || next.isLast) return;
      await shim.room();
    }
  }

  #readAt(handle: bigint, offset: number, length: number, isEnd: boolean, id: number) {
    return this.#agent.ask({ type: "ReadAt", handle, offset: BigInt(offset), length }, (answer) => {
      const errno = answer ? answer.errno : ERRNO.EIO;
      const data = answer && errno === 0 ? answer.data : NOTHING;
      const isLast = isEnd || errno !== 0 || data.length < length;
      return { frame: chunk(id, errno, isLast, data), isLast };
    });
  }
}

function chunk(id: number, errno: number, isLast: boolean, data: Uint8Array): Uint8Array {
  return layerCodec.encode({ type: "Chunk", errno, isLast, data }, id);
}

/** The errno for a path that need not be asked for, or 0. */
function refuse(path: Uint8Array): number {
  // PATH_MAX counts the final NUL, path_resolution(7).
  if (path.length >= LAYER_LIMITS.pathBytes) return ERRNO.ENAMETOOLONG;
  return path[0] === 0x2f && !path.includes(0) ? 0 : ERRNO.EINVAL;
}
