/** `mirrord up`: several programs at once, each in the context of its own target. What it does is in up_run.ts. */
import { EXEC_OPTIONS } from "../config/options.ts";
import { type Command, valueOf } from "./command.ts";

const FILE = "mirrord-up.yaml";
const KEYS: readonly string[] = ["key", "kube_context"];

export const UP_COMMAND: Command = {
  name: "up",
  summary: "Run several services at once, each in the context of its target",
  doc:
    `Runs the services of a file, each as "mirrord exec" would; what they print comes with their names before it. Each steals the
HTTP requests that its filter matches, and without one those of your session: with "mirrord-session=KEY" in their baggage
header. Ctrl-C ends them all. Exit code 0 when all have ended with 0, else 1.

services:
  shop:
    target: { path: deployment/shop, namespace: staging }
    run: { command: [node, server.js] }`,
  usage: ["mirrord up [--file FILE] [--key KEY] [--context NAME] [SERVICE...]"],
  examples: ["mirrord up", "mirrord up --file services.yaml --key ann shop cart"],
  flags: [
    { flag: "--file", short: "-f", value: "FILE", doc: "The file with the services", default: FILE },
    ...EXEC_OPTIONS.filter((it) => KEYS.includes(it.key)),
  ],
  showsProgress: true,
  async run(input) {
    const { runServices } = await import("./up_run.ts");
    return await runServices({
      file: valueOf(input, "--file") ?? FILE,
      key: valueOf(input, "--key") ?? (Deno.env.get("MIRRORD_KEY") || undefined),
      context: valueOf(input, "--context"),
      names: input.rest,
    });
  },
};
