/** `mirrord port-forward`: ports of this machine whose connections go out from the target. */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import type { Command } from "./command.ts";
import { loadConfig } from "./configuration.ts";
import { parseForwards } from "./forwards.ts";

const GROUPS: readonly string[] = ["Target", "Agent", "Kubernetes"];

export const PORT_FORWARD_COMMAND: Command = {
  name: "port-forward",
  summary: "Open ports here whose connections go out from the target",
  doc:
    `Listens on ports of this machine's 127.0.0.1. Whoever connects to one reaches HOST:PORT as the target would: any host
that the target can reach, by the names that it knows. Names are looked up at the target, anew for each connection.
TCP only. Lasts until Ctrl-C, and leaves nothing behind.`,
  usage: ["mirrord port-forward -L [LOCAL:]HOST:PORT... [options]"],
  examples: [
    "mirrord port-forward -L 8080:echo-server:80",
    "mirrord port-forward --target deployment/shop -L 5432:db.internal:5432 -L 9000:127.0.0.1:9000",
    "mirrord port-forward -L 8443:[2001:db8::1]:443",
  ],
  flags: [
    {
      flag: "--local",
      short: "-L",
      value: "FORWARD",
      doc: "[LOCAL:]HOST:PORT; LOCAL is the port here, PORT where it is left out; may be given several times",
    },
    ...EXEC_OPTIONS.filter((it) => GROUPS.includes(it.group)),
    CONFIG_FILE_OPTION,
  ],
  async run(input) {
    const forwards = parseForwards(input.flags.filter((it) => it.decl.flag === "--local").map((it) => it.text!));
    if (input.rest.length > 0) {
      throw new UserError("USAGE", `Cannot forward: "${input.rest.join(" ")}" is too much`, {
        hint: "each destination has its own -L",
        exitCode: 2,
      });
    }
    const { config } = await loadConfig(input);
    const { forwardPorts } = await import("./forwarding.ts");
    return await forwardPorts(config, forwards);
  },
};
