/**
 * Changes of the target's tree: each question of a shim becomes one message to the agent. A change ends what is known of
 * the target's directories when it is asked for, and again when it is done: what was read in between may be from before.
 */
import { ERRNO } from "../../base/errors.ts";
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import type { TREE } from "../../proto/tree.ts";
import type { AgentClient } from "./agent_client.ts";
import type { ShimConnection } from "./shim_connection.ts";
import type { Snapshots } from "./snapshots.ts";

/** Those that are answered by Done. */
export type Change = MessageNamed<typeof LAYER, keyof typeof TREE>;

export class Tree {
  readonly #agent: AgentClient;
  readonly #snapshots: Snapshots;
  /** The agent's handle of a file that is written, by its number on the shelf. */
  readonly #handleOf: (number: bigint) => bigint | undefined;

  constructor(agent: AgentClient, snapshots: Snapshots, handleOf: (number: bigint) => bigint | undefined) {
    this.#agent = agent;
    this.#handleOf = handleOf;
    this.#snapshots = snapshots;
  }

  onChange(message: Change, id: number, shim: ShimConnection): void {
    this.#snapshots.outdate();
    const isByNumber = message.type === "Link"
      ? message.from.length === 0
      : "ino" in message && message.path.length === 0;
    if (isByNumber && "ino" in message) {
      const handle = this.#handleOf(message.ino);
      // Nobody can write it any more; it is not known here who it was.
      if (handle === undefined) return shim.send({ type: "Done", errno: ERRNO.EPERM }, id);
      message = { ...message, ino: handle };
    }
    this.#agent.request(message, (answer) => {
      this.#snapshots.outdate();
      shim.send({ type: "Done", errno: answer?.errno ?? ERRNO.EIO }, id);
    });
  }
}
