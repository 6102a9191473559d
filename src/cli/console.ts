/** `mirrord console`: prints the logs of runs elsewhere on this machine. What it does is in console_process.ts. */
import { UserError } from "../base/errors.ts";
import { LOG_LEVELS } from "../config/proxy_options.ts";
import { type Command, valueOf } from "./command.ts";

/** As the reference tool's. */
const ADDRESS = "127.0.0.1:11233";

export const CONSOLE_COMMAND: Command = {
  name: "console",
  summary: "Print the logs of runs",
  doc:
    `Prints the logs of all runs that are started with MIRRORD_CONSOLE_ADDR=ADDRESS, as they come, until Ctrl-C. With the level
debug it tells all that programs ask of their target, with trace also which paths the shim leaves to this machine.

Whoever can connect to ADDRESS can write here: it is one of this machine's own unless you say otherwise.`,
  usage: ["mirrord console [--listen ADDRESS] [--level LEVEL] [-o text|json]"],
  examples: ["mirrord console --level debug", "MIRRORD_CONSOLE_ADDR=127.0.0.1:11233 mirrord exec curl echo-server"],
  flags: [
    { flag: "--listen", value: "ADDRESS", doc: "Where runs come, HOST:PORT", default: ADDRESS },
    { flag: "--level", value: "LEVEL", doc: LOG_LEVELS.slice(1).join(", "), default: "info" },
    { flag: "--output", short: "-o", value: "FORMAT", doc: "text or json: an object a line", default: "text" },
  ],
  async run(input) {
    const address = valueOf(input, "--listen") ?? ADDRESS;
    const match = /^(\[[0-9a-fA-F:]+\]|[^:]+):(\d{1,5})$/.exec(address);
    if (!match || Number(match[2]) > 65535) throw misuse(`Cannot listen on "${address}": it is no HOST:PORT`, ADDRESS);
    const word = valueOf(input, "--level") ?? "info";
    const level = LOG_LEVELS.find((it) => it === word && it !== "off");
    if (!level) throw misuse(`Cannot print level "${word}"`, `one of: ${LOG_LEVELS.slice(1).join(", ")}`);
    const format = valueOf(input, "--output") ?? "text";
    if (format !== "text" && format !== "json") throw misuse(`Cannot print as "${format}"`, "one of: text, json");
    if (input.rest[0] !== undefined) throw misuse(`Cannot print: "${input.rest[0]}" is too much`, "mirrord console");
    const { serveConsole } = await import("./console_process.ts");
    return await serveConsole(match[1]!.replace(/^\[(.*)\]$/, "$1"), Number(match[2]), level, format);
  },
};

function misuse(message: string, hint: string): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}
