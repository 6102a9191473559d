/** `mirrord intproxy`: the detached process between the program and the agent; started by `mirrord exec` only. */
import { UserError } from "../base/errors.ts";
import { type Command, valueOf } from "./command.ts";

export const INTPROXY_COMMAND: Command = {
  name: "intproxy",
  summary: "Connect a program to its agent",
  doc: "Connects the processes of one run to its agent. Started by `mirrord exec`; not typed by hand.",
  usage: ["mirrord intproxy --session DIRECTORY"],
  flags: [{ flag: "--session", value: "DIRECTORY", doc: "The run's private directory" }],
  isHidden: true,
  async run(input) {
    const directory = valueOf(input, "--session");
    if (directory === undefined || input.rest.length > 0) {
      throw new UserError("USAGE", "Cannot start the intproxy: it needs --session and nothing else", { exitCode: 2 });
    }
    const { serveAsIntproxy } = await import("./intproxy_process.ts");
    return await serveAsIntproxy(directory);
  },
};
