/**
 * Prints what went wrong and says which exit code that is: a sentence for a person, an object for a program, our own bug with
 * its stack.
 */
import { UserError } from "../base/errors.ts";
import { complain } from "./terminal.ts";
import { VERSION } from "./version.ts";

const BUG_EXIT_CODE = 125;

/** Prints `error` to standard error and returns the exit code of the process. */
export function report(error: unknown, format: "text" | "json" = "text"): number {
  const told = errorObject(error);
  complain(format === "json" ? `${JSON.stringify({ type: "Error", ...told })}\n` : formatError(error));
  return told.exit_code;
}

/** docs/json.md has it; `severity`, `message`, `causes` and `help` are what plugins of the reference tool's read. */
export interface ErrorObject {
  readonly severity: "error";
  /** As in docs/errors.md. */
  readonly code: string;
  readonly message: string;
  readonly help: string | null;
  readonly causes: readonly string[];
  readonly exit_code: number;
}

export function errorObject(error: unknown): ErrorObject {
  if (error instanceof UserError) {
    const { code, message, hint, exitCode } = error;
    return { severity: "error", code, message, help: hint ?? null, causes: causesOf(error), exit_code: exitCode };
  }
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
  return {
    severity: "error",
    code: "BUG",
    message: `Cannot go on: this is a bug in mirrord ${VERSION}: ${message}`,
    help: "report it, with what you typed",
    causes: stack === undefined ? [] : [stack],
    exit_code: BUG_EXIT_CODE,
  };
}

export function formatError(error: unknown): string {
  if (error instanceof UserError) {
    const code = `(code ${error.code})`;
    const message = visible(error.message);
    const cause = causesOf(error).map((it) => `caused by: ${visible(it)}\n`).join("");
    if (error.hint === undefined) return `error: ${message}   ${code}\n${cause}`;
    return `error: ${message}\n${cause} hint: ${visible(error.hint)}   ${code}\n`;
  }
  const stack = error instanceof Error ? error.stack ?? error.message : String(error);
  return `error: Cannot go on: this is a bug in mirrord ${VERSION}\n${stack}\n` +
    " hint: report it, with the lines above and what you typed   (code BUG)\n";
}

/** In what somebody typed, or a server said, there may be what a terminal obeys. Lines stay: our own stacks have them. */
function visible(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (it) => {
    const number = it.charCodeAt(0).toString(16);
    return number.length > 2 ? `\\u${number}` : `\\x${number.padStart(2, "0")}`;
  });
}

/** The messages below a `UserError`, unless its own already says them. */
function causesOf(error: UserError): string[] {
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error && causes.length < 4; cause = cause.cause) {
    if (!error.message.includes(cause.message)) causes.push(cause.message);
  }
  return causes;
}
