/**
 * What programs ask the kernel about their network, answered by the kernel in the target's. Which questions those are is
 * checked where they are asked (native/sys/network_questions.c): nothing is changed, whatever a client sends.
 */
import type { AGENT, AgentMessage } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { askInterface, askNetlink } from "../sys/network_questions.ts";

type Question = MessageNamed<typeof AGENT, "AskNetlink" | "AskInterface">;

const NOTHING = new Uint8Array(0);

export function answerNetworkQuestion(question: Question): AgentMessage {
  const told = question.type === "AskNetlink"
    ? askNetlink(question.protocol, question.options, question.request.slice())
    : askInterface(question);
  const isTold = typeof told !== "number";
  return { type: "NetworkAnswer", errno: isTold ? 0 : -told, data: isTold ? told : NOTHING };
}
