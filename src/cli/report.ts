/** Prints what went wrong and says which exit code that is. A sentence for a person, or our own bug with its stack. */
import { UserError } from "../base/errors.ts";
import { complain } from "./terminal.ts";
import { VERSION } from "./version.ts";

const BUG_EXIT_CODE = 125;

/** Prints `error` and returns the exit code of the process. */
export function report(error: unknown): number {
  complain(formatError(error));
  return error instanceof UserError ? error.exitCode : BUG_EXIT_CODE;
}

export function formatError(error: unknown): string {
  if (error instanceof UserError) {
    const code = `(code ${error.code})`;
    const cause = causesOf(error).map((it) => `caused by: ${it}\n`).join("");
    if (error.hint === undefined) return `error: ${error.message}   ${code}\n${cause}`;
    return `error: ${error.message}\n${cause} hint: ${error.hint}   ${code}\n`;
  }
  const stack = error instanceof Error ? error.stack ?? error.message : String(error);
  return `error: Cannot go on: this is a bug in mirrord ${VERSION}\n${stack}\n` +
    " hint: report it, with the lines above and what you typed   (code BUG)\n";
}

/** The messages below a `UserError`, unless its own already says them. */
function causesOf(error: UserError): string[] {
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error && causes.length < 4; cause = cause.cause) {
    if (!error.message.includes(cause.message)) causes.push(cause.message);
  }
  return causes;
}
