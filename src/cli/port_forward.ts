/** `mirrord port-forward`: ports of this machine that lead to the target's network, and ports of the target that lead here. */
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import type { Command, CommandInput } from "./command.ts";
import { loadConfig } from "./configuration.ts";
import { misuse, parseForwards, parseReverseForwards } from "./forwards.ts";

const GROUPS: readonly string[] = ["Target", "Agent", "Kubernetes", "Configuration", "Accepted, without effect"];

export const PORT_FORWARD_COMMAND: Command = {
  name: "port-forward",
  summary: "Lead ports here to what the target reaches, and ports of the target here",
  doc:
    `With -L: listens on ports of this machine's 127.0.0.1. Whoever connects to one reaches HOST:PORT as the target would: any
host that the target can reach, by the names that it knows. Names are looked up at the target, anew for each connection.

With -R: connections to a port of the target come to a port of this machine's loopback. They are copied, and what is answered
here goes nowhere; with --steal they are taken away from the target and answered here. With an HTTP filter in the
configuration (feature.network.incoming.http_filter) only the requests that it matches.

TCP only. Lasts until Ctrl-C, and leaves nothing behind.`,
  usage: ["mirrord port-forward (-L [LOCAL:]HOST:PORT | -R [REMOTE:]LOCAL)... [options]"],
  examples: [
    "mirrord port-forward -L 8080:echo-server:80",
    "mirrord port-forward --target deployment/shop -L 5432:db.internal:5432 -L 9000:127.0.0.1:9000",
    "mirrord port-forward -L 8443:[2001:db8::1]:443",
    "mirrord port-forward --target deployment/shop -R 80:8080 --steal",
  ],
  flags: [
    {
      flag: "--local",
      short: "-L",
      value: "FORWARD",
      doc: "[LOCAL:]HOST:PORT; LOCAL is the port here, PORT where it is left out; may be given several times",
    },
    {
      flag: "--reverse",
      short: "-R",
      value: "FORWARD",
      doc: "[REMOTE:]LOCAL; REMOTE is the port of the target, LOCAL where it is left out; may be given several times",
    },
    { ...EXEC_OPTIONS.find((it) => it.flag === "--steal")!, group: "Options" },
    CONFIG_FILE_OPTION,
    ...EXEC_OPTIONS.filter((it) => GROUPS.includes(it.group)),
  ],
  showsProgress: true,
  async run(input) {
    const forwards = {
      local: parseForwards(textsOf(input, "--local")),
      reverse: parseReverseForwards(textsOf(input, "--reverse")),
    };
    if (forwards.local.length + forwards.reverse.length === 0) throw misuse("Cannot forward: no port was named");
    if (input.rest.length > 0) {
      throw misuse(`Cannot forward: "${input.rest.join(" ")}" is too much`, "each destination has its own -L or -R");
    }
    const { config } = await loadConfig(input);
    const { forwardPorts } = await import("./forwarding.ts");
    return await forwardPorts(config, forwards);
  },
};

function textsOf(input: CommandInput, flag: string): string[] {
  return input.flags.filter((it) => it.decl.flag === flag).map((it) => it.text!);
}
