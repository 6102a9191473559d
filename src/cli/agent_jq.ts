/** `mirrord agent-jq PID`: runs jq programs of HTTP filters for the agent PID, which ends it when one takes too long. */
import { UserError } from "../base/errors.ts";
import type { Command } from "./command.ts";

export const AGENT_JQ_COMMAND: Command = {
  name: "agent-jq",
  summary: "Run jq programs for an agent",
  doc: "Runs jq programs of HTTP filters. Started by `mirrord agent`; not typed by hand.",
  usage: ["mirrord agent-jq PID"],
  flags: [],
  isHidden: true,
  async run({ rest: [parent, ...more] }) {
    if (!/^[0-9]{1,9}$/.test(parent ?? "") || more.length > 0) {
      const text = "Cannot start agent-jq: it is started by `mirrord agent` alone";
      throw new UserError("USAGE", text, { exitCode: 2 });
    }
    const { serveAsJq } = await import("./jq_process.ts");
    return await serveAsJq(Number(parent));
  },
};
