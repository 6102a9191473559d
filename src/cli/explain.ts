/** `mirrord explain`: whose is a path, an address, a variable, and by which rule. Nothing is started for it. */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import { type Command, isGiven, valueOf } from "./command.ts";
import { loadConfig } from "./configuration.ts";
import { printLine } from "./terminal.ts";

export const EXPLAIN_COMMAND: Command = {
  name: "explain",
  summary: "Tell whose a path, an address or a variable is, and why",
  doc: `Tells whose something is for a program under "mirrord exec" with the same options, and by which rule.

Of a path it tells who is asked for reading and for writing: the shim itself decides, so what is told is what happens. Where
the target's volumes are mounted is asked of the cluster, if there is one to ask.`,
  usage: [
    "mirrord explain [options] PATH",
    "mirrord explain [options] HOST:PORT",
    "mirrord explain [options] --env NAME",
  ],
  examples: [
    "mirrord explain /etc/hosts",
    "mirrord explain --config-file mirrord.json -o json /var/lib/app/state",
    "mirrord explain db.shop.svc:5432",
    "mirrord explain --env JAVA_HOME",
  ],
  flags: [
    { flag: "--env", value: "NAME", doc: "Explain this variable" },
    { flag: "--output", short: "-o", value: "FORMAT", doc: "text or json", default: "text" },
    { flag: "--json", doc: "The same as --output json" },
    CONFIG_FILE_OPTION,
    ...EXEC_OPTIONS,
  ],
  async run(input) {
    const variable = valueOf(input, "--env");
    const [subject, more] = input.rest;
    const isOne = variable === undefined ? subject !== undefined && more === undefined : subject === undefined;
    if (!isOne || (subject ?? variable) === "") {
      throw new UserError("USAGE", "Cannot explain: one path, address or variable at a time", {
        hint: "mirrord explain [options] PATH, HOST:PORT or --env NAME",
        exitCode: 2,
      });
    }
    const format = valueOf(input, "--output") ?? (isGiven(input, "--json") ? "json" : "text");
    if (format !== "text" && format !== "json") {
      throw new UserError("USAGE", `Cannot print as "${format}"`, { hint: "one of: text, json", exitCode: 2 });
    }
    const loaded = await loadConfig(input);
    const { explain } = await import("./explanations.ts");
    const { text, json } = await explain(loaded, variable === undefined ? { subject: subject! } : { variable });
    printLine(format === "json" ? JSON.stringify(json, undefined, 2) : text);
    return 0;
  },
};
