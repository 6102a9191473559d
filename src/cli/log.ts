/**
 * The log of a process that has no terminal: lines in a file that is made with the first of them, private and bounded, and
 * the same lines for a console (`mirrord console`) where somebody named one.
 *
 * Without a file and a console lines are thrown away, and nothing is left behind by a run. A log that cannot be written, and
 * a console that does not answer or is slow, must not hinder the run: lines are lost then, and their number is told.
 */
import { LOG_LEVELS, type LogLevel } from "../config/proxy_options.ts";
import { ConsoleSender } from "./console_sender.ts";

/** After this the file only says that it is full. */
const MAX_BYTES = 4 << 20;

export interface LogOptions {
  /** Undefined: nowhere. */
  readonly path: string | undefined;
  readonly level: LogLevel;
  readonly isJson: boolean;
  /** HOST:PORT of a console; its own level counts for what it gets. */
  readonly console: string | undefined;
}

export interface Log extends AsyncDisposable {
  (line: string): void;
  at(level: LogLevel, line: string): void;
  /** Is anybody there who wants lines of this level? */
  isOn(level: LogLevel): boolean;
  /** Resolves when it is known what a console wants, or that none answers. */
  settled(): Promise<void>;
}

/** `who` tells our processes apart in one file. */
export function openLog(options: LogOptions, who: string): Log {
  const file = new LogFile(options, who);
  const sender = options.console ? new ConsoleSender(options.console, who) : undefined;
  const at = (level: LogLevel, line: string) => {
    if (isWanted(level, options.level)) file.write(level, line);
    sender?.send(level, line);
  };
  return Object.assign((line: string) => at("info", line), {
    at,
    isOn: (level: LogLevel) => options.path !== undefined && isWanted(level, options.level) || !!sender?.wants(level),
    settled: () => sender?.settled() ?? Promise.resolve(),
    async [Symbol.asyncDispose]() {
      file.close();
      await sender?.close();
    },
  });
}

/** Does who wants lines up to `most` want this one? */
export function isWanted(level: LogLevel, most: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(most);
}

class LogFile {
  readonly #options: LogOptions;
  readonly #who: string;
  readonly #encoder = new TextEncoder();
  #file: Deno.FsFile | undefined;
  #left: number;

  constructor(options: LogOptions, who: string) {
    this.#options = options;
    this.#who = who;
    this.#left = options.path ? MAX_BYTES : 0;
  }

  write(level: LogLevel, line: string): void {
    if (this.#left <= 0) return;
    const text = this.#encoder.encode(`${this.#format(level, line)}\n`);
    this.#left -= text.length;
    try {
      this.#file ??= Deno.openSync(this.#options.path!, { append: true, create: true, mode: 0o600 });
      this.#file.writeSync(text);
      if (this.#left <= 0) this.#file.writeSync(this.#encoder.encode(`${this.#format("warn", "(the log is full)")}\n`));
    } catch {
      this.#left = 0;
    }
  }

  close(): void {
    this.#left = 0;
    this.#file?.close();
    this.#file = undefined;
  }

  #format(level: LogLevel, line: string): string {
    const timestamp = new Date().toISOString();
    const from = `${this.#who}[${Deno.pid}]`;
    if (this.#options.isJson) return JSON.stringify({ timestamp, level, process: from, message: line });
    return `${timestamp} ${level} ${from} ${line.replaceAll("\n", "\n  ")}`;
  }
}
