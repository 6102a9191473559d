/**
 * The agent's side of the handshake: who may speak to it. A client that does not know the run's secret learns the
 * version of the agent and nothing else.
 */
import type { AgentFrame, AgentMessage } from "../proto/agent.ts";
import { AGENT_PROTOCOL } from "../proto/agent.ts";

/** SHA-256 of the secret that clients must bring; undefined where whoever reached us is welcome (stdio). */
export type ExpectedSecret = Uint8Array | undefined;

/** The answer to a client's first message; `error` in it is empty when the client is welcome. */
export async function replyToHello(
  hello: Extract<AgentFrame, { type: "Hello" }>,
  expected: ExpectedSecret,
  version: string,
): Promise<Extract<AgentMessage, { type: "HelloReply" }>> {
  const isKnown = expected === undefined || await isSecret(hello.secret.slice(), expected);
  const error = !isKnown
    ? "Cannot serve this client: it does not know the secret of this run"
    : hello.protocol !== AGENT_PROTOCOL
    ? `Cannot serve this client: mirrord ${hello.version} speaks protocol ${hello.protocol}, the agent ` +
      `(mirrord ${version}) speaks protocol ${AGENT_PROTOCOL}; use the same version on both sides`
    : "";
  return { type: "HelloReply", protocol: AGENT_PROTOCOL, version, error };
}

async function isSecret(secret: Uint8Array<ArrayBuffer>, expected: Uint8Array): Promise<boolean> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", secret));
  // Constant time: how much of the secret is right must not show in how long the answer takes.
  let difference = digest.length ^ expected.length;
  for (let at = 0; at < digest.length; at++) difference |= digest[at]! ^ (expected[at] ?? 0);
  return difference === 0;
}
