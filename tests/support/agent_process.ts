/**
 * The agent as a process of its own, as it must be where it enters namespaces. Run as a program it is that process:
 * `deno run -A tests/support/agent_process.ts '{"target": …, "transport": …}'`.
 */
import { type Duplex, duplexOf } from "../../src/base/duplex.ts";
import { runAgent, type TargetChoice } from "../../src/agent/mod.ts";
import { AgentClient, TEST_SECRET } from "./agent_client.ts";

interface Settings {
  target: TargetChoice;
  /** On a free port of loopback; else stdio. */
  isListening?: boolean;
  communicationTimeoutMs?: number;
  clientTimeoutMs?: number;
}

export class AgentProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #isPiped: boolean;
  readonly #logging: Promise<void>;
  /** What it has logged so far. */
  log = "";
  #wake = Promise.withResolvers<void>();

  /** `below` runs it inside something else, as in ["ip", "netns", "exec", NAME]. */
  constructor(settings: Settings, below: string[] = []) {
    const [command, ...args] = [...below, Deno.execPath(), "run", "-A", "-q", import.meta.filename!];
    const stdio = settings.isListening ? "null" : "piped";
    this.#child = new Deno.Command(command!, {
      args: [...args, JSON.stringify(settings)],
      stdin: stdio,
      stdout: stdio,
      stderr: "piped",
    }).spawn();
    this.#isPiped = stdio === "piped";
    this.#logging = this.#readLog();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The client at the agent's stdin and stdout. */
  client(): AgentClient {
    const reader = this.#child.stdout.getReader();
    const writer = this.#child.stdin.getWriter();
    let rest = new Uint8Array(0);
    const duplex: Duplex = {
      async read(into) {
        if (rest.length === 0) {
          const { value } = await reader.read();
          if (!value) return null;
          rest = value;
        }
        const count = Math.min(into.length, rest.length);
        into.set(rest.subarray(0, count));
        rest = rest.subarray(count);
        return count;
      },
      writeAll: (bytes) => writer.write(bytes),
      close() {
        writer.close().catch(() => {});
        reader.cancel().catch(() => {});
      },
      [Symbol.dispose]() {
        this.close();
      },
    };
    return new AgentClient(duplex);
  }

  /** A client over loopback; waits until the agent listens. */
  async connect(): Promise<AgentClient> {
    return new AgentClient(duplexOf(await Deno.connect({ hostname: "127.0.0.1", port: await this.port() })));
  }

  /** Where it listens. */
  async port(): Promise<number> {
    return Number((await this.logged(/Ready on 127\.0\.0\.1:(\d+)/))[1]);
  }

  /** Waits until the log holds this. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    while (true) {
      const match = pattern.exec(this.log);
      if (match) return match;
      if (this.log.endsWith("\0")) throw new Error(`The agent ended without saying ${pattern}:\n${this.log}`);
      await this.#wake.promise;
    }
  }

  /** Waits for its end. */
  async status(): Promise<Deno.CommandStatus> {
    await this.#logging;
    return await this.#child.status;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async #readLog(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.log += text;
      this.#stir();
    }
    this.log += "\0";
    this.#stir();
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // Has ended.
    }
    await this.status();
    for (const stream of this.#isPiped ? [this.#child.stdin, this.#child.stdout] : []) {
      try {
        await (stream instanceof WritableStream ? stream.abort() : stream.cancel());
      } catch {
        // Locked by a client, which has closed it.
      }
    }
  }
}

async function main(settings: Settings): Promise<void> {
  const ending = new AbortController();
  Deno.addSignalListener("SIGTERM", () => ending.abort());
  const { target, isListening, communicationTimeoutMs = 10_000, clientTimeoutMs = 30_000 } = settings;
  const log = (line: string) => Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", TEST_SECRET));
  try {
    await runAgent({
      target,
      transport: isListening ? { kind: "listen", port: 0 } : { kind: "stdio" },
      secretSha256: isListening ? digest : undefined,
      version: "test",
      communicationTimeoutMs,
      clientTimeoutMs,
      log,
      signal: ending.signal,
    });
  } catch (error) {
    log(`${(error as { code?: string }).code}: ${(error as Error).message}`);
    Deno.exit(1);
  }
  Deno.exit(0);
}

if (import.meta.main) await main(JSON.parse(Deno.args[0]!));
