/** `mirrord exec`: what it takes. What it does is in run.ts, which is only read when a run begins. */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import type { Command } from "./command.ts";
import { loadConfig } from "./configuration.ts";

export const EXEC_COMMAND: Command = {
  name: "exec",
  summary: "Run a program in the context of a target",
  doc: `Runs a program on this machine; its environment, files, names and connections are the target's.

mirrord becomes the program: exit code, signals and terminal are the program's own.`,
  usage: ["mirrord exec [options] [--] PROGRAM [ARGUMENTS...]"],
  examples: [
    "mirrord exec curl echo-server",
    "mirrord exec --target pod/web-1/container/app -- python3 server.py",
    "mirrord exec --config-file mirrord.json -- npm start",
    "sudo mirrord exec --target process/4711 -- cat /etc/hostname",
  ],
  flags: [CONFIG_FILE_OPTION, ...EXEC_OPTIONS],
  variables: {
    MIRRORD_PROGRESS_MODE: "How the start is shown: standard, dumb (plain lines), json, off",
    MIRRORD_LOG: "File that mirrord's own processes write their log to; none without it",
  },
  showsProgress: true,
  runsProgram: true,
  async run(input) {
    const loaded = await loadConfig(input);
    const [program, ...args] = input.rest;
    if (program === undefined) {
      throw new UserError("USAGE", "Cannot run anything: no program was named", {
        hint: "mirrord exec [options] PROGRAM [ARGUMENTS...]",
        exitCode: 2,
      });
    }
    const { runProgram } = await import("./run.ts");
    return await runProgram(loaded, program, args);
  },
};
