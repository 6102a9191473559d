/** `mirrord dump`: what comes in at ports of the target, printed. What it does is in dumping.ts. */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import { type Command, type CommandInput, valueOf } from "./command.ts";
import { loadConfig } from "./configuration.ts";

const GROUPS: readonly string[] = ["Target", "Agent", "Kubernetes", "Configuration", "Accepted, without effect"];
export const DUMP_OUTPUTS = ["text", "json"] as const;

export const DUMP_COMMAND: Command = {
  name: "dump",
  summary: "Print the traffic that comes in at ports of the target",
  doc:
    `Copies what comes in over TCP at ports of the target, and prints it until Ctrl-C. The target goes on answering; what it
answers is not printed. With an HTTP filter in the configuration (feature.network.incoming.http_filter) only the requests
that it matches.

Text is printed as it is, but for control characters; other bytes as hexdump -C prints them. With -o json each line is an
object: docs/json.md.`,
  usage: ["mirrord dump --target TARGET [--ports PORT]... [options]"],
  examples: [
    "mirrord dump --target deployment/shop --ports 80",
    "mirrord dump --target pod/web-1 -p 80,8443 -o json | jq -r 'select(.type == \"data\").text'",
  ],
  flags: [
    {
      flag: "--ports",
      short: "-p",
      value: "PORT",
      doc: "Port of the target; several with commas, or the option several times",
      default: "those of the container's spec, else those that it listens on",
    },
    { flag: "--output", short: "-o", value: "FORMAT", doc: "text or json", default: "text" },
    CONFIG_FILE_OPTION,
    ...EXEC_OPTIONS.filter((it) => GROUPS.includes(it.group)),
  ],
  showsProgress: true,
  async run(input) {
    const ports = portsIn(input);
    const format = valueOf(input, "--output") ?? "text";
    const output = DUMP_OUTPUTS.find((it) => it === format);
    if (!output) throw misuse(`Cannot print as "${format}": there is no such format`, "one of: text, json");
    if (input.rest[0] !== undefined) {
      throw misuse(`Cannot dump: "${input.rest[0]}" is too much`, "ports are named by --ports");
    }
    const { config } = await loadConfig(input);
    const { dumpTraffic } = await import("./dumping.ts");
    return await dumpTraffic(config, ports, output);
  },
};

function portsIn(input: CommandInput): number[] {
  const words = input.flags.filter((it) => it.decl.flag === "--ports").flatMap((it) => it.text!.split(","));
  const ports = words.map((word) => {
    const port = /^[0-9]{1,5}$/.test(word.trim()) ? Number(word) : NaN;
    if (port >= 1 && port <= 65535) return port;
    throw misuse(`Cannot dump port "${word}": it is no number from 1 to 65535`, "mirrord dump --ports 80,8080");
  });
  return [...new Set(ports)];
}

function misuse(message: string, hint: string): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}
