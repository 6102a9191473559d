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

  constructor(agent: AgentClient, snapshots: Snapshots) {
    this.#agent = agent;
    this.#snapshots = snapshots;
  }

  onChange(message: Change, id: number, shim: ShimConnection): void {
    this.#snapshots.outdate();
    this.#agent.request(message, (answer) => {
      this.#snapshots.outdate();
      shim.send({ type: "Done", errno: answer?.errno ?? ERRNO.EIO }, id);
    });
  }
}
