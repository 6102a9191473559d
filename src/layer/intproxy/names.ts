/** Names: each question of a shim becomes one message to the agent. */
import { ERRNO } from "../../base/errors.ts";
import type { AGENT } from "../../proto/agent.ts";
import type { LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import type { Destinations } from "./destinations.ts";
import type { ShimConnection } from "./shim_connection.ts";

type NameRequest = Extract<LayerMessage, { type: "Resolve" | "ReverseName" | "AskDns" | "GetResolver" }>;

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
    const address = message.address.slice();
    const tell = (answer: MessageNamed<typeof AGENT, "NameReply"> | undefined) =>
      shim.send(answer ?? { type: "NameReply", eai: EAI_AGAIN, name: "" }, id);
    const askForOne = () => agent.request({ type: "ReverseName", address }, tell);
    if (!message.withAliases) return askForOne();
    // An older agent knows nothing of aliases.
    return agent.request({ type: "ReverseNames", address }, (answer) => answer ? tell(answer) : askForOne());
  }
  if (message.type === "AskDns" || message.type === "GetResolver") {
    return onDnsRequest(agent, destinations, message, id, shim);
  }
  const { name } = message;
  const reply = { type: "ResolveReply", eai: 0, isLocal: false, canonicalName: "", addresses: NOTHING } as const;
  if (destinations.isNameLocal(name)) return shim.send({ ...reply, isLocal: true }, id);
  agent.request(message, (answer) => {
    if (!answer) return shim.send({ ...reply, eai: EAI_AGAIN }, id);
    destinations.learn([name, ...answer.canonicalName.split(" ")], answer.addresses);
    shim.send({ ...answer, isLocal: false }, id);
  });
}

/** TRY_AGAIN of <netdb.h>. */
const TRY_AGAIN = 2;

function onDnsRequest(
  agent: AgentClient,
  destinations: Destinations,
  message: Extract<NameRequest, { type: "AskDns" | "GetResolver" }>,
  id: number,
  shim: ShimConnection,
): void {
  const none = {
    type: "DnsAnswer",
    isLocal: false,
    netError: TRY_AGAIN,
    errno: ERRNO.ETIMEDOUT,
    answer: NOTHING,
  } as const;
  const onAnswer = (answer: MessageNamed<typeof AGENT, "DnsAnswer"> | undefined) =>
    shim.send(answer ? { ...answer, isLocal: false } : none, id);
  if (message.type === "GetResolver") return agent.request({ type: "GetResolver" }, onAnswer);
  if (message.name !== "" && destinations.isNameLocal(message.name)) return shim.send({ ...none, isLocal: true }, id);
  agent.request(message, onAnswer);
}
