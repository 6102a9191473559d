/**
 * The log of a process that has no terminal: lines in a file that is made with the first of them, private and bounded.
 *
 * MIRRORD_LOG names the file. Without it lines are thrown away, and nothing is left behind by a run.
 */

/** After this the file only says that it is full. */
const MAX_BYTES = 4 << 20;

export interface Log extends Disposable {
  (line: string): void;
}

/** A log that writes to `path`, or nowhere. `who` tells our processes apart in one file. */
export function openLog(path: string | undefined, who: string): Log {
  let file: Deno.FsFile | undefined;
  let left = path ? MAX_BYTES : 0;
  const encoder = new TextEncoder();
  const log = (line: string) => {
    if (left <= 0) return;
    const text = encoder.encode(`${new Date().toISOString()} ${who}[${Deno.pid}] ${line.replaceAll("\n", "\n  ")}\n`);
    left -= text.length;
    try {
      file ??= Deno.openSync(path!, { append: true, create: true, mode: 0o600 });
      file.writeSync(text);
      if (left <= 0) file.writeSync(encoder.encode("(the log is full)\n"));
    } catch {
      left = 0; // a log that cannot be written must not end the run
    }
  };
  return Object.assign(log, {
    [Symbol.dispose]() {
      left = 0;
      file?.close();
      file = undefined;
    },
  });
}
