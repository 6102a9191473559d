/**
 * What `mirrord console` does: listens, tells each process of a run which level it wants, prints its lines. The conversation is
 * in console_sender.ts. Whoever connects may be anybody: lines are bounded, and nothing of them does anything to the terminal.
 */
import { UserError } from "../base/errors.ts";
import { LOG_LEVELS, type LogLevel } from "../config/proxy_options.ts";
import { complain, OutputQueue } from "./terminal.ts";
import { untilSignal } from "./until_signal.ts";

const MOST_LINE = 64 << 10;

interface Sender {
  readonly name: string;
}

/** Resolves with the exit code, when a signal has come or nobody reads any more. */
export function serveConsole(
  hostname: string,
  port: number,
  level: LogLevel,
  format: "text" | "json",
): Promise<number> {
  return untilSignal(async (signal) => {
    const listener = listen(hostname, port);
    const output = new OutputQueue();
    const connections = new Map<Deno.Conn, Promise<void>>();
    const close = () => listener.close();
    const stop = AbortSignal.any([signal, output.isClosed]);
    stop.addEventListener("abort", close, { once: true });
    if (stop.aborted) close();
    const { addr } = listener;
    const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
    complain(`runs come with MIRRORD_CONSOLE_ADDR=${host}:${addr.port}\n`);
    for await (const conn of listener) {
      connections.set(conn, serve(conn, level, format, output).finally(() => connections.delete(conn)));
    }
    for (const conn of connections.keys()) closeQuietly(conn);
    await Promise.all(connections.values());
    await output.settled();
  });
}

function listen(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (error) {
    const because = error instanceof Deno.errors.AddrInUse ? "somebody listens there" : (error as Error).message;
    throw new UserError("PORT_NOT_OPENED", `Cannot listen on ${hostname}:${port}: ${because}`, {
      hint: "another address can be named: --listen 127.0.0.1:11234",
    });
  }
}

async function serve(conn: Deno.Conn, level: LogLevel, format: "text" | "json", output: OutputQueue): Promise<void> {
  let sender: Sender | undefined;
  const put = (text: string) => output.put(new TextEncoder().encode(`${text}\n`));
  try {
    await conn.write(new TextEncoder().encode(`${JSON.stringify({ level })}\n`));
    for await (const text of linesOf(conn)) {
      const it = JSON.parse(text) as Record<string, unknown>;
      if (!sender) sender = { name: `${plain(it["process"])}[${plain(it["pid"])}]` };
      else {
        const known = LOG_LEVELS.find((name) => name === it["level"]) ?? "info";
        await put(format === "json" ? jsonLine(it, known, sender) : textLine(it, known, sender));
      }
    }
  } catch {
    // It has gone, or is none of ours: what it said until then stands.
  } finally {
    closeQuietly(conn);
  }
}

function textLine(it: Record<string, unknown>, level: LogLevel, { name }: Sender): string {
  return `${plain(it["time"])} ${level.padEnd(5)} ${name} ${plain(it["message"])}`;
}

function jsonLine(it: Record<string, unknown>, level: LogLevel, { name }: Sender): string {
  return JSON.stringify({ time: String(it["time"]), level, process: name, message: String(it["message"]) });
}

function plain(value: unknown): string {
  const escaped = (it: string) => `\\x${it.charCodeAt(0).toString(16).padStart(2, "0")}`;
  // deno-lint-ignore no-control-regex
  return String(value).replaceAll("\n", "\n  ").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, escaped);
}

/** Throws for a line that is too long. */
async function* linesOf(conn: Deno.Conn): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(16 << 10);
  let pending = "";
  for (let count = await conn.read(chunk); count !== null; count = await conn.read(chunk)) {
    const lines = (pending + decoder.decode(chunk.subarray(0, count), { stream: true })).split("\n");
    pending = lines.pop()!;
    if (pending.length > MOST_LINE) throw new RangeError("A line is too long");
    yield* lines;
  }
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed already.
  }
}
