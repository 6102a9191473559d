/**
 * Which jq programs of a filter the headers of a request match. jq runs in a process of its own (src/cli/jq_process.ts), a request
 * at a time: a program that goes on for ever cannot be stopped otherwise. Answers are remembered by the header, for most of them
 * come again and again; but not those of a program that asks what time it is.
 *
 * State      event                                    action > next
 * STARTING   "ready"                                  > IDLE
 * STARTING   not ready in time, or ended              all who wait: no match; after a pause another process > STARTING
 * IDLE       a request                                ask > BUSY
 * BUSY       an answer                                remember it, tell the request > IDLE
 * BUSY       nothing for `limitMs`, or ended          that request: no match; another process > STARTING
 *
 * A request is told "no match" after `limitMs`, however many wait before it. Bounded here: who waits, and what is remembered.
 */
import { utf8 } from "../../base/bytes.ts";
import { whenLate } from "../../base/late.ts";

/** For a process to start, on a machine that is busy. */
const START_MS = 10_000;
const PAUSE_MS = 1000;
const MOST_WAITING = 1000;
/** Of each program, and how long a header may be that is remembered. */
const MOST_REMEMBERED = 2048;
const MOST_REMEMBERED_CHARACTERS = 1024;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export type Judgement = ReadonlyMap<string, boolean>;

/** How jq is started: the PID of this process is put behind it. */
export interface JqCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface JudgeOptions {
  readonly command: JqCommand;
  readonly programs: readonly string[];
  readonly limitMs: number;
  /** A program took too long, or all memory. */
  onFailure(reason: "too long" | "broken"): void;
}

interface Case {
  readonly programs: readonly string[];
  readonly lines: readonly string[];
  readonly decide: (answers: readonly boolean[][] | undefined) => void;
}

export class HeaderJudge implements AsyncDisposable {
  readonly #options: JudgeOptions;
  readonly #known: ReadonlyMap<string, Map<string, boolean>>;
  readonly #waiting: Case[] = [];
  readonly #serving: Promise<void>;
  #wake = () => {};
  /** Ever. */
  #hasBegun = false;
  #isClosed = false;
  #process: JqProcess | undefined;

  /** Starts jq. */
  constructor(options: JudgeOptions) {
    this.#options = options;
    this.#known = new Map(options.programs.map((it) => [it, new Map()]));
    this.#serving = this.#serve();
  }

  /** At once when it is known. Never rejects. */
  judge(headers: readonly Uint8Array[]): Judgement | Promise<Judgement> {
    const lines = headers.map(lineOf).filter((it) => it !== undefined);
    const verdicts = new Map(this.#options.programs.map((it) => [it, this.#verdictOf(it, lines)]));
    const programs = this.#options.programs.filter((it) => verdicts.get(it) === undefined);
    const sure = (more: Judgement) => new Map([...verdicts].map(([it, is]) => [it, is ?? more.get(it) ?? false]));
    if (programs.length === 0 || this.#isClosed || this.#waiting.length >= MOST_WAITING) return sure(new Map());
    const unknown = lines.filter((line) => programs.some((it) => !this.#known.get(it)!.has(line)));
    return this.#ask(programs, [...new Set(unknown)]).then(sure);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const it of this.#waiting.splice(0)) it.decide(undefined);
    this.#wake();
    this.#process?.end();
    await this.#serving;
  }

  /** Undefined: it is not known. */
  #verdictOf(program: string, lines: readonly string[]): boolean | undefined {
    const known = this.#known.get(program)!;
    if (lines.some((it) => known.get(it))) return true;
    return lines.every((it) => known.has(it)) ? false : undefined;
  }

  async #ask(programs: readonly string[], lines: readonly string[]): Promise<Judgement> {
    const { promise, resolve } = Promise.withResolvers<readonly boolean[][] | undefined>();
    const inTime = whenLate(this.#options.limitMs + (this.#hasBegun ? 0 : START_MS), () => resolve(undefined));
    this.#waiting.push({ programs, lines, decide: resolve });
    this.#wake();
    const answers = await promise;
    inTime();
    return new Map(programs.map((it, at) => [it, answers?.[at]?.includes(true) ?? false]));
  }

  async #serve(): Promise<void> {
    while (!this.#isClosed) {
      const process = this.#process = JqProcess.start(this.#options.command);
      const isReady = await process?.line(START_MS) === "ready";
      this.#hasBegun ||= isReady;
      if (isReady) await this.#serveWith(process!);
      else await this.#pause();
      await process?.ended();
    }
  }

  /** Until it is of no more use. */
  async #serveWith(process: JqProcess): Promise<void> {
    while (!this.#isClosed) {
      const next = this.#waiting.shift();
      if (!next) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      const { programs, lines, decide } = next;
      process.ask(JSON.stringify({ programs, lines }));
      const answer = await process.line(this.#options.limitMs);
      const answers = typeof answer === "string" ? JSON.parse(answer) as boolean[][] : undefined;
      if (answers) this.#remember(next, answers);
      decide(answers);
      if (answers) continue;
      if (!this.#isClosed) this.#options.onFailure(answer === undefined ? "too long" : "broken");
      return;
    }
  }

  #remember({ programs, lines }: Case, answers: readonly boolean[][]): void {
    programs.forEach((program, at) => {
      // What is true now need not be later.
      if (/\bnow\b/.test(program)) return;
      const known = this.#known.get(program)!;
      lines.forEach((line, of) => {
        if (line.length > MOST_REMEMBERED_CHARACTERS) return;
        if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value!);
        known.set(line, answers[at]![of]!);
      });
    });
  }

  /** jq cannot be had: nobody shall wait for it. */
  async #pause(): Promise<void> {
    for (const it of this.#waiting.splice(0)) it.decide(undefined);
    if (this.#isClosed) return;
    this.#options.onFailure("broken");
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, PAUSE_MS);
    this.#wake = () => {
      if (this.#isClosed) resolve();
    };
    await promise;
    clearTimeout(timer);
  }
}

/** "name: value", the name in lower case, as HTTP/2 has it. Undefined: it is no text. */
function lineOf(header: Uint8Array): string | undefined {
  try {
    const text = strict.decode(header);
    const colon = text.indexOf(":", 1);
    return `${text.slice(0, colon).toLowerCase()}: ${text.slice(colon + 1).trim()}`;
  } catch {
    return undefined;
  }
}

/** One process that runs jq. */
class JqProcess {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: string[] = [];
  readonly #reading: Promise<void>;
  #asking: Promise<void> = Promise.resolve();
  #wake = () => {};
  #isEnded = false;

  /** Undefined: that cannot be had. */
  static start({ argv, env }: JqCommand): JqProcess | undefined {
    const [command, ...args] = [...argv, String(Deno.pid)];
    const options = { args, env, clearEnv: true, stdin: "piped", stdout: "piped", stderr: "null" } as const;
    try {
      return new JqProcess(new Deno.Command(command!, options).spawn());
    } catch {
      return undefined;
    }
  }

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** The next line that it says; undefined when there is none in time, null when it has ended. */
  async line(ms: number): Promise<string | undefined | null> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, ms);
    while (this.#lines.length === 0 && !isLate && !this.#isEnded) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    clearTimeout(timer);
    return this.#lines.shift() ?? (this.#isEnded ? null : undefined);
  }

  ask(text: string): void {
    this.#asking = this.#writer.write(utf8(`${text}\n`)).catch(() => {});
  }

  end(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  /** Ends it; resolves when nothing is left of it. */
  async ended(): Promise<void> {
    this.end();
    await this.#child.status;
    await this.#writer.abort().catch(() => {});
    await this.#asking;
    await this.#reading;
  }

  async #read(): Promise<void> {
    let rest = "";
    try {
      for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        this.#lines.push(...lines);
        this.#wake();
      }
    } catch {
      // As good as its end.
    }
    this.#isEnded = true;
    this.#wake();
  }
}
