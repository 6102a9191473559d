/** `mirrord intproxy`: the detached process between the program and the agent; started by `mirrord exec` only. */
import { UserError } from "../base/errors.ts";
import type { Command } from "./command.ts";
import { DIRECTORY_VARIABLE } from "./control.ts";

export const INTPROXY_COMMAND: Command = {
  name: "intproxy",
  summary: "Connect a program to its agent",
  doc: "Connects the processes of one run to its agent. Started by `mirrord exec`; not typed by hand.",
  usage: ["mirrord intproxy"],
  flags: [],
  isHidden: true,
  async run(input) {
    const directory = Deno.env.get(DIRECTORY_VARIABLE);
    if (directory === undefined || input.rest.length > 0) {
      throw new UserError("USAGE", "Cannot start the intproxy: it is started by `mirrord exec` alone", { exitCode: 2 });
    }
    const { serveAsIntproxy } = await import("./intproxy_process.ts");
    return await serveAsIntproxy(directory);
  },
};
