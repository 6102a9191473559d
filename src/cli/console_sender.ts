/**
 * What a process of ours sends to `mirrord console`, over TCP: lines of JSON. The console begins by telling what it wants; the
 * process tells who it is, and then its lines.
 *
 *   console --{"level":"debug"}--> process
 *   process --{"process":"intproxy","pid":7,"program":"node app.js","version":"…"}--> console
 *   process --{"time":"…","level":"info","message":"…"}--> console
 */
import type { LogLevel } from "../config/proxy_options.ts";
import { LOG_LEVELS } from "../config/proxy_options.ts";
import { VERSION } from "./version.ts";

/** Lines that wait for the console: more are dropped, and counted. */
const MOST_WAITING = 10_000;
/** For a console to tell what it wants; one that does not gets nothing. */
const HELLO_MS = 2000;
/** For the last lines to leave, when the run is over. */
const LAST_MS = 2000;

export class ConsoleSender {
  readonly #who: string;
  readonly #waiting: { readonly level: LogLevel; readonly text: string }[] = [];
  readonly #known = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #level: LogLevel = "trace";
  #dropped = 0;
  #isClosed = false;
  #conn: Deno.TcpConn | undefined;
  #wake: (() => void) | undefined;

  /** `address` is HOST:PORT. */
  constructor(address: string, who: string) {
    this.#who = who;
    this.#running = this.#run(address).catch(() => {}).finally(() => {
      this.#level = "off";
      this.#waiting.length = 0;
      this.#known.resolve();
    });
  }

  wants(level: LogLevel): boolean {
    return this.#level !== "off" && LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(this.#level);
  }

  send(level: LogLevel, message: string): void {
    if (this.#isClosed || !this.wants(level)) return;
    if (this.#waiting.length >= MOST_WAITING) this.#dropped++;
    else this.#waiting.push({ level, text: line({ time: new Date().toISOString(), level, message }) });
    this.#wake?.();
  }

  /** Resolves when it is known what the console wants, or that there is none. */
  settled(): Promise<void> {
    return this.#known.promise;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake?.();
    const timer = setTimeout(() => this.#conn?.close(), LAST_MS);
    await this.#running;
    clearTimeout(timer);
  }

  async #run(address: string): Promise<void> {
    const colon = address.lastIndexOf(":");
    const hostname = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
    const port = Number(address.slice(colon + 1));
    const conn = this.#conn = await Deno.connect({ hostname, port, signal: AbortSignal.timeout(HELLO_MS) });
    const timer = setTimeout(() => conn.close(), HELLO_MS);
    try {
      await this.#hear(conn).finally(() => clearTimeout(timer));
      this.#known.resolve();
      await write(conn, line({ process: this.#who, pid: Deno.pid, version: VERSION }));
      while (this.#waiting.length > 0 || !this.#isClosed) {
        if (this.#waiting.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
        const text = this.#waiting.splice(0).filter((it) => this.wants(it.level)).map((it) => it.text).join("");
        const dropped = this.#dropped;
        this.#dropped = 0;
        const note = `${dropped} lines are lost: the console is slow`;
        await write(
          conn,
          dropped === 0 ? text : text + line({ time: new Date().toISOString(), level: "warn", message: note }),
        );
      }
    } finally {
      try {
        conn.close();
      } catch {
        // Closed by who waited for us.
      }
    }
  }

  /** Which lines it wants. */
  async #hear(conn: Deno.TcpConn): Promise<void> {
    const bytes = new Uint8Array(256);
    const count = await conn.read(bytes) ?? 0;
    const { level } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, count))) as { level?: unknown };
    const known = LOG_LEVELS.find((it) => it === level);
    if (!known) throw new Error("this is no console of ours");
    this.#level = known;
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

async function write(conn: Deno.TcpConn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
