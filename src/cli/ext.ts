/** `mirrord ext`: all of `mirrord exec` but the program, which an editor starts. What it does is in ext_run.ts. */
import { UserError } from "../base/errors.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import type { Command } from "./command.ts";
import { loadConfig } from "./configuration.ts";

export const EXT_COMMAND: Command = {
  name: "ext",
  summary: "Prepare a run whose program an editor starts (prints JSON)",
  doc:
    `Does all of "mirrord exec" but to become a program, for plugins of editors. On standard output it tells its progress, an
object of JSON a line; the last of them, FinishedTask of "mirrord preparing to launch", has in its message another object: the
variables that the program is to be started with (environment), and those it is to be started without (env_to_unset). What
fails is told on standard error, as one object. docs/json.md has all of them.

It stays until the programs started so have ended, or none came in time (internal_proxy.start_idle_timeout and idle_timeout
of the configuration); Ctrl-C ends it, and leaves programs that run as they are.`,
  usage: ["mirrord ext [options]"],
  examples: ["mirrord ext --target deployment/web --config-file .mirrord/mirrord.json"],
  flags: [CONFIG_FILE_OPTION, ...EXEC_OPTIONS],
  isHidden: true,
  isForPrograms: true,
  async run(input) {
    if (input.rest[0] !== undefined) {
      throw new UserError("USAGE", `Cannot prepare a run: "${input.rest[0]}" is too much`, {
        hint: "the editor starts the program; `mirrord exec` does so by itself",
        exitCode: 2,
      });
    }
    const loaded = await loadConfig(input);
    const { prepareForEditor } = await import("./ext_run.ts");
    return await prepareForEditor(loaded);
  },
};
