/** Names: each question of a shim becomes one message to the agent. */
import type { LayerMessage } from "../../proto/layer.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Destinations } from "./destinations.ts";
import type { ShimConnection } from "./shim_connection.ts";

type NameRequest = Extract<LayerMessage, { type: "Resolve" | "ReverseName" }>;

/** "Temporary failure in name resolution", <netdb.h>: what programs know of a resolver that cannot be reached. */
const EAI_AGAIN = -3;

const NOTHING = new Uint8Array(0);

export function onNameRequest(
  agent: AgentClient,
  destinations: Destinations,
  message: NameRequest,
  id: number,
  shim: ShimConnection,
): void {
  if (message.type === "ReverseName") {
    return agent.request(
      message,
      (answer) => shim.send(answer ?? { type: "NameReply", eai: EAI_AGAIN, name: "" }, id),
    );
  }
  const { name } = message;
  const reply = { type: "ResolveReply", eai: 0, isLocal: false, canonicalName: "", addresses: NOTHING } as const;
  if (destinations.isNameLocal(name)) return shim.send({ ...reply, isLocal: true }, id);
  agent.request(message, (answer) => {
    if (!answer) return shim.send({ ...reply, eai: EAI_AGAIN }, id);
    destinations.learn([name, answer.canonicalName], answer.addresses);
    shim.send({ ...answer, isLocal: false }, id);
  });
}
