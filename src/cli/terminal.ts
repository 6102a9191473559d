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

/**
 * Standard output for what may be more than its reader takes: nobody but the writer of a piece waits for it. Pieces come out
 * whole and in their order; when nobody reads any more they are thrown away.
 */
export class OutputQueue {
  readonly #closed = new AbortController();
  #last: Promise<void> = Promise.resolve();

  /** Aborts when nobody reads any more. */
  get isClosed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Resolves when it was taken. */
  put(bytes: Uint8Array): Promise<void> {
    return this.#last = this.#last.then(() => this.#write(bytes));
  }

  /** Resolves when all was taken that was put until now. */
  settled(): Promise<void> {
    return this.#last;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length && !this.isClosed.aborted;) at += await Deno.stdout.write(bytes.subarray(at));
    } catch {
      this.#closed.abort();
    }
  }
}
