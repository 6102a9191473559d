/** `mirrord exec`: what it takes. What it does is in run.ts, which is only read when a run begins. */
import { UserError } from "../base/errors.ts";
import { EXEC_OPTIONS } from "../config/options.ts";
import { resolveConfig, type Said, saidByEnvironment } from "../config/resolve.ts";
import type { Command, CommandInput } from "./command.ts";

export const EXEC_COMMAND: Command = {
  name: "exec",
  summary: "Run a program in the context of a target",
  doc: `Runs a program on this machine; its environment, files, names and connections are the target's.

mirrord becomes the program: exit code, signals and terminal are the program's own.`,
  usage: ["mirrord exec [options] [--] PROGRAM [ARGUMENTS...]"],
  examples: [
    "mirrord exec curl echo-server",
    "mirrord exec --target pod/web-1/container/app -- python3 server.py",
    "sudo mirrord exec --target process/4711 -- cat /etc/hostname",
  ],
  flags: EXEC_OPTIONS,
  variables: {
    MIRRORD_PROGRESS_MODE: "How the start is shown: standard, dumb (plain lines), json, off",
    MIRRORD_LOG: "File that mirrord's own processes write their log to; none without it",
  },
  async run(input) {
    const config = resolveConfig([...saidByEnvironment((name) => Deno.env.get(name)), ...saidByFlags(input)]);
    const [program, ...args] = input.rest;
    if (program === undefined) {
      throw new UserError("USAGE", "Cannot run anything: no program was named", {
        hint: "mirrord exec [options] PROGRAM [ARGUMENTS...]",
        exitCode: 2,
      });
    }
    const { runProgram } = await import("./run.ts");
    return await runProgram(config, program, args);
  },
};

function saidByFlags(input: CommandInput): Said[] {
  return input.flags.map(({ decl, text }) => {
    const option = EXEC_OPTIONS.find((it) => it.flag === decl.flag)!;
    return { key: option.key, text: text ?? option.sets!, from: option.flag };
  });
}
