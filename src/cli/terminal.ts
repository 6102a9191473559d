/** The only way from this program to the terminal: whole lines, written at once, never failing because nobody reads. */

const encoder = new TextEncoder();

/** Answers that were asked for (help, version): standard output. */
export function printLine(text: string): void {
  write(Deno.stdout, `${text}\n`);
}

/** Everything else: standard error, because standard output is the program's. */
export function complain(text: string): void {
  write(Deno.stderr, text);
}

function write(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch {
    // A closed pipe or terminal must not change what the run does.
  }
}

/** Does a person read what was asked for? */
export function isOutputTerminal(): boolean {
  return Deno.stdout.isTerminal();
}

export function isTerminal(): boolean {
  return Deno.stderr.isTerminal();
}
