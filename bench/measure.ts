/**
 * Measuring side by side: two ways of doing one thing take turns in the same run, so that a noisy machine disturbs both;
 * of each the median counts, and what is judged is their ratio.
 */

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export interface SideBySide {
  ours: number;
  theirs: number;
  ratio: number;
}

/** Runs both `rounds` times, alternating, and returns the medians and ours/theirs. */
export async function sideBySide(
  rounds: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<SideBySide> {
  const results: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
  for (let round = 0; round < rounds; round++) {
    results.theirs.push(await theirs());
    results.ours.push(await ours());
  }
  const [a, b] = [median(results.ours), median(results.theirs)];
  return { ours: a, theirs: b, ratio: a / b };
}

/** Milliseconds until a command has ended well; throws with its stderr otherwise. */
export async function timeOf(command: string[], env: Record<string, string> = {}): Promise<number> {
  const started = performance.now();
  await outputOf(command, env);
  return performance.now() - started;
}

/** What a command prints; throws with its stderr when it fails. */
export async function outputOf(command: string[], env: Record<string, string> = {}): Promise<string> {
  const [program, ...args] = command;
  const { success, stdout, stderr } = await new Deno.Command(program!, { args, env, stdin: "null" }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`${command.join(" ")}:\n${decode(stderr)}`);
  return decode(stdout);
}

/** A shell that stays open and is given one line at a time, each answering with one line. */
export class Conversation implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #pending = "";

  constructor(command: string[], env: Record<string, string> = {}) {
    const [program, ...args] = command;
    this.#child = new Deno.Command(program!, { args, env, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async ask(line: string): Promise<string> {
    await this.#writer.write(new TextEncoder().encode(line + "\n"));
    while (!this.#pending.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`The shell ended instead of answering "${line}"`);
      this.#pending += value;
    }
    const end = this.#pending.indexOf("\n");
    const answer = this.#pending.slice(0, end);
    this.#pending = this.#pending.slice(end + 1);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    while (!(await this.#reader.read()).done);
    await this.#child.status;
  }
}

export interface Row {
  what: string;
  ours: string;
  beside: string;
  ratio: string;
  bound: string;
}

/** A table of rows as Markdown. */
export function markdownTable(rows: readonly Row[]): string {
  const head = ["what", "mirrord", "beside", "ratio", "bound"];
  const lines = rows.map((row) => [row.what, row.ours, row.beside, row.ratio, row.bound]);
  const width = head.map((title, at) => Math.max(title.length, ...lines.map((line) => line[at]!.length)));
  const format = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(width[at]!)).join(" | ")} |`;
  return [format(head), `| ${width.map((count) => "-".repeat(count)).join(" | ")} |`, ...lines.map(format)].join("\n");
}
