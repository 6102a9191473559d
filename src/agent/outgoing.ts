import type { AgentFrame, AgentMessage } from "../proto/agent.ts";
import type { AgentLink } from "../proto/agent_link.ts";
export class Outgoing {
  constructor(_link: AgentLink) {}
  connect(_f: AgentFrame): Promise<AgentMessage> {
    return Promise.resolve({ type: "ConnectReply", errno: 38, localAddress: new Uint8Array(0), localPort: 0 });
  }
  onMessage(_f: AgentFrame): void {}
  close(): void {}
}
