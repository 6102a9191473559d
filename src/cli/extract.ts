/** `mirrord extract`: writes the shim, for whoever sets LD_PRELOAD by other means. */
import { UserError } from "../base/errors.ts";
import type { Command } from "./command.ts";
import { printLine } from "./terminal.ts";

/** As the reference tool calls it. */
const NAME = "libmirrord_layer.so";

export const EXTRACT_COMMAND: Command = {
  name: "extract",
  summary: "Write the shim, the library that is preloaded into programs, to a file",
  doc:
    `Writes the shim to PATH: into it, as ${NAME}, when it is a directory, else to a file of that name. Prints where it lies.

It does nothing in a program by itself: \`mirrord ext\` prints the variables that a run needs. Shim and mirrord have to be of
one build.`,
  usage: ["mirrord extract PATH"],
  examples: ["mirrord extract /usr/local/lib"],
  flags: [],
  async run(input) {
    const [path, more] = input.rest;
    if (path === undefined || path === "" || more !== undefined) {
      throw new UserError("USAGE", "Cannot extract: it needs one path", { hint: "mirrord extract PATH", exitCode: 2 });
    }
    printLine(await extract(path));
    return 0;
  },
};

/** Whoever finds the file finds it whole: it is a new one, which takes the place of the old. */
async function extract(path: string): Promise<string> {
  const { default: shim } = await import("../../native/out/shim.so", { with: { type: "bytes" } });
  const isDirectory = await Deno.stat(path).then((it) => it.isDirectory, () => path.endsWith("/"));
  const file = isDirectory ? `${path.replace(/\/+$/, "")}/${NAME}` : path;
  const scratch = `${file}.${crypto.randomUUID()}`;
  try {
    await Deno.writeFile(scratch, shim, { createNew: true, mode: 0o755 });
    await Deno.chmod(scratch, 0o755);
    await Deno.rename(scratch, file);
    return file;
  } catch (error) {
    await Deno.remove(scratch).catch(() => {});
    const because = error instanceof Error ? error.message.replace(/^(.*) \(os error.*$/, "$1") : String(error);
    throw new UserError("FILE_NOT_WRITTEN", `Cannot write "${file}": ${because}`, {
      hint: "name a directory that is there, and where you may write",
    });
  }
}
