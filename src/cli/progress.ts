/**
 * What the user sees while a run starts: lines beginning with "* " that say what will be the target's, then steps with
 * their times. All of it on standard error; what the program writes begins after it.
 *
 * MIRRORD_PROGRESS_MODE: standard (a spinner on a terminal, plain lines elsewhere and where CI is set), dumb (plain
 * lines), json (an object a line, for editors), off. Warnings are shown in every mode but off; errors always, see
 * report.ts. Nothing is coloured, so NO_COLOR changes nothing.
 */
import { UserError } from "../base/errors.ts";
import { complain, isTerminal, printLine } from "./terminal.ts";

export interface Progress extends Disposable {
  /** A line of the summary, or a remark. */
  info(text: string): void;
  warning(text: string): void;
  /** A step that takes time: `text` while it runs; `done` (or `text`) with its time once the function's promise resolves. */
  step<T>(text: string, run: (step: Step) => Promise<T>): Promise<T>;
  /** Runs what may want the terminal for itself: nothing moves meanwhile. */
  aside<T>(run: () => Promise<T>): Promise<T>;
  /** Takes away what moves; nothing may be shown after it. */
  finish(text: string): void;
}

export interface Step {
  /** What stands there when it has ended well. */
  done: string;
  /** What it is busy with at the moment. */
  update(text: string): void;
}

type Mode = "standard" | "dumb" | "json" | "off";
const MODES: Readonly<Record<string, Mode>> = {
  standard: "standard",
  dumb: "dumb",
  simple: "dumb",
  json: "json",
  off: "off",
};

/** Throws `UserError` for a mode nobody knows. */
export function startProgress(mode: string | undefined, title: string): Progress {
  const known = MODES[mode || "standard"];
  if (!known) {
    throw new UserError("VALUE_INVALID", `Cannot use MIRRORD_PROGRESS_MODE: there is no mode "${mode}"`, {
      hint: `one of: ${Object.keys(MODES).join(", ")}`,
      exitCode: 2,
    });
  }
  if (known === "off") return new Silent();
  if (known === "json") return new JsonLines(title, complain);
  return known === "standard" && mayMove() ? new Spinner(title) : new PlainLines();
}

/** Logs of a CI service pass for a terminal; one that is "dumb" cannot erase. */
function mayMove(): boolean {
  const isCi = !["", "0", "false"].includes(Deno.env.get("CI") ?? "");
  return isTerminal() && !isCi && Deno.env.get("TERM") !== "dumb";
}

async function timed<T>(run: () => Promise<T>): Promise<{ value: T; time: string }> {
  const started = performance.now();
  const value = await run();
  return { value, time: `${((performance.now() - started) / 1000).toFixed(2)} s` };
}

class Silent implements Progress {
  info(): void {}
  warning(): void {}
  step<T>(text: string, run: (step: Step) => Promise<T>): Promise<T> {
    return run({ done: text, update: () => {} });
  }
  aside<T>(run: () => Promise<T>): Promise<T> {
    return run();
  }
  finish(): void {}
  [Symbol.dispose](): void {}
}

class PlainLines implements Progress {
  info(text: string): void {
    complain(`* ${text}\n`);
  }

  warning(text: string): void {
    complain(`warning: ${text}\n`);
  }

  async step<T>(text: string, run: (step: Step) => Promise<T>): Promise<T> {
    const step: Step = { done: text, update: () => {} };
    const { value, time } = await timed(() => run(step));
    complain(`✓ ${step.done} (${time})\n`);
    return value;
  }

  aside<T>(run: () => Promise<T>): Promise<T> {
    return run();
  }

  finish(text: string): void {
    complain(`✓ ${text}\n`);
  }

  [Symbol.dispose](): void {}
}

/** For editors, which read standard output. */
export function startJsonProgress(title: string): Progress {
  return new JsonLines(title, (line) => printLine(line.trimEnd()));
}

class JsonLines implements Progress {
  readonly #title: string;
  readonly #print: (line: string) => void;
  #isFinished = false;

  constructor(title: string, print: (line: string) => void) {
    this.#title = title;
    this.#print = print;
    this.#put({ type: "NewTask", name: title });
  }

  info(text: string): void {
    this.#put({ type: "Info", message: text });
  }

  warning(text: string): void {
    this.#put({ type: "Warning", message: text });
  }

  async step<T>(text: string, run: (step: Step) => Promise<T>): Promise<T> {
    const step: Step = { done: text, update: (message) => this.#put({ type: "Info", message }) };
    this.#put({ type: "NewTask", name: text, parent: this.#title });
    try {
      const value = await run(step);
      this.#put({ type: "FinishedTask", name: text, success: true, message: step.done });
      return value;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#put({ type: "FinishedTask", name: text, success: false, message });
      throw error;
    }
  }

  aside<T>(run: () => Promise<T>): Promise<T> {
    return run();
  }

  finish(text: string): void {
    this.#isFinished = true;
    this.#put({ type: "FinishedTask", name: this.#title, success: true, message: text });
  }

  /** Why it came to nothing, the error tells. */
  [Symbol.dispose](): void {
    if (!this.#isFinished) this.#put({ type: "FinishedTask", name: this.#title, success: false, message: null });
    this.#isFinished = true;
  }

  #put(message: Record<string, unknown>): void {
    this.#print(`${JSON.stringify(message)}\n`);
  }
}

const FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const FRAME_MS = 100;
/** Carriage return, then erase to the end of the line (ECMA-48 EL). */
const ERASE = "\r\x1b[K";

/** One line that moves at the bottom, finished steps above it. Leaves no terminal mode changed, however it ends. */
class Spinner implements Progress {
  readonly #title: string;
  #timer: ReturnType<typeof setInterval>;
  #text = "";
  #frame = 0;
  #isStill = false;

  constructor(title: string) {
    this.#title = title;
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
  }

  info(text: string): void {
    this.#above(`* ${text}`);
  }

  warning(text: string): void {
    this.#above(`! ${text}`);
  }

  async step<T>(text: string, run: (step: Step) => Promise<T>): Promise<T> {
    const step: Step = {
      done: text,
      update: (now) => {
        this.#text = now;
        this.#draw();
      },
    };
    step.update(text);
    const { value, time } = await timed(() => run(step));
    this.#text = "";
    this.#above(`  ✓ ${step.done} (${time})`);
    return value;
  }

  async aside<T>(run: () => Promise<T>): Promise<T> {
    this[Symbol.dispose]();
    this.#isStill = true;
    try {
      return await run();
    } finally {
      this.#isStill = false;
      this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    }
  }

  finish(text: string): void {
    this[Symbol.dispose]();
    complain(`${ERASE}✓ ${this.#title}: ${text}\n`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    complain(ERASE);
  }

  #above(line: string): void {
    complain(`${ERASE}${line}\n`);
    this.#draw();
  }

  #draw(): void {
    if (this.#isStill) return;
    const { columns } = consoleSize();
    const line = `${FRAMES[this.#frame++ % FRAMES.length]} ${this.#title}${this.#text && `: ${this.#text}`}`;
    complain(`${ERASE}${line.slice(0, columns - 1)}`);
  }
}

function consoleSize(): { columns: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return { columns: 80 };
  }
}
