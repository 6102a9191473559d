/**
 * Changes of the target's tree: each question of a shim becomes one message to the agent. A change ends what is known of
 * the target's directories when it is asked for, and again when it is done: what was read in between may be from before.
 */
import { ERRNO } from "../../base/errors.ts";
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import type { TREE } from "../../proto/tree.ts";
import type { AgentClient } from "./agent_client.ts";
import type { OpenPaths } from "./open_paths.ts";
import type { ShimConnection } from "./shim_connection.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Writing } from "./writing.ts";

/** Those that are answered by Done. */
export type Change = MessageNamed<typeof LAYER, keyof typeof TREE>;

const RENAME_EXCHANGE = 2;
const NOTHING = new Uint8Array(0);

/** What has to be known of files that are written. */
type Written = Pick<Writing, "handleOf" | "truncated" | "doubtStats">;

export class Tree {
  readonly #agent: AgentClient;
  readonly #snapshots: Snapshots;
  readonly #paths: OpenPaths;
  readonly #writing: Written | undefined;

  constructor(agent: AgentClient, snapshots: Snapshots, paths: OpenPaths, writing?: Written) {
    this.#agent = agent;
    this.#snapshots = snapshots;
    this.#paths = paths;
    this.#writing = writing;
  }

  onChange(message: Change, id: number, shim: ShimConnection): void {
    // The request's bytes do not last as long as its answer takes.
    const renamed = message.type === "Rename" ? { from: message.from.slice(), to: message.to.slice() } : undefined;
    const isExchange = message.type === "Rename" && (message.flags & RENAME_EXCHANGE) !== 0;
    this.#snapshots.outdate();
    const isByNumber = message.type === "Link"
      ? message.from.length === 0
      : "ino" in message && message.path.length === 0;
    if (isByNumber && "ino" in message) {
      const handle = this.#writing?.handleOf(message.ino);
      // Nobody can write it any more; it is not known here who it was.
      if (handle === undefined) return shim.send({ type: "Done", errno: ERRNO.EPERM }, id);
      message = { ...message, ino: handle };
    }
    const cut = message.type === "Truncate" ? { path: message.path.slice(), size: Number(message.size) } : undefined;
    const isLink = message.type === "Link";
    this.#agent.request(message, (answer) => {
      this.#snapshots.outdate();
      if (isLink) this.#snapshots.distrust();
      this.#writing?.doubtStats();
      const errno = answer?.errno ?? ERRNO.EIO;
      if (renamed && errno === 0) this.#paths.renamed(renamed.from, renamed.to, isExchange);
      const tell = () => shim.send({ type: "Done", errno }, id);
      if (cut && errno === 0 && this.#writing) this.#writing.truncated(cut.path, cut.size, tell);
      else tell();
    });
  }

  onPathOf(message: MessageNamed<typeof LAYER, "PathOf">, id: number, shim: ShimConnection): void {
    const path = this.#paths.find(message);
    shim.send({ type: "PathReply", errno: path ? 0 : ERRNO.ESTALE, path: path ?? NOTHING }, id);
  }
}
