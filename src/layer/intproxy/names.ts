/** Names: each question of a shim becomes one message to the agent. */
import type { LayerMessage } from "../../proto/layer.ts";
import type { AgentClient } from "./agent_client.ts";
import type { ShimConnection } from "./shim_connection.ts";

type NameRequest = Extract<LayerMessage, { type: "Resolve" | "ReverseName" }>;

/** "Temporary failure in name resolution", <netdb.h>: what programs know of a resolver that cannot be reached. */
const EAI_AGAIN = -3;

export function onNameRequest(agent: AgentClient, message: NameRequest, id: number, shim: ShimConnection): void {
  if (message.type === "Resolve") {
    agent.request(message, (answer) =>
      shim.send(
        answer ?? { type: "ResolveReply", eai: EAI_AGAIN, canonicalName: "", addresses: new Uint8Array(0) },
        id,
      ));
  } else {
    agent.request(
      message,
      (answer) => shim.send(answer ?? { type: "NameReply", eai: EAI_AGAIN, name: "" }, id),
    );
  }
}
