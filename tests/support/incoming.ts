/** Servers of the user's under `mirrord exec`, standing in for a port of a sandbox; and who answers there. */
import { spawnMirrord } from "./mirrord.ts";
import { eventually } from "./eventually.ts";
import type { Sandbox } from "./sandbox.ts";

export const SERVER: string = new URL("../incoming/programs/server.py", import.meta.url).pathname;
const TABLES = new URL("../incoming/programs/tables.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

export interface RunOptions {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly configuration?: unknown;
}

/** A program under `mirrord exec`, until it is disposed. */
export class LocalServer implements AsyncDisposable {
  readonly #target: number;
  readonly #child: Deno.ChildProcess;
  readonly #files: string[];
  readonly #lines: AsyncIterator<string>;
  readonly #errors: Promise<string>;
  #directory: string | undefined;
  #reading: Promise<void> | undefined;
  #onError = (_text: string) => {};
  #isGone = false;

  private constructor(target: number, child: Deno.ChildProcess, files: string[]) {
    this.#target = target;
    this.#child = child;
    this.#files = files;
    this.#lines = linesOf(child.stdout);
    this.#errors = this.#readErrors(child.stderr);
  }

  static async start(sandbox: Sandbox, command: readonly string[], options: RunOptions = {}): Promise<LocalServer> {
    const files: string[] = [];
    const flags = [...options.flags ?? []];
    if (options.configuration !== undefined) {
      const file = await Deno.makeTempFile({ suffix: ".json" });
      await Deno.writeTextFile(file, JSON.stringify(options.configuration));
      files.push(file);
      flags.push("--config-file", file);
    }
    const args = ["exec", "--target", `process/${sandbox.pid}`, ...flags, "--", ...command];
    const child = spawnMirrord(args, { env: { MIRRORD_PROGRESS_MODE: "off", ...options.env } });
    return new LocalServer(sandbox.pid, child, files);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The next line it prints; fails with what it complained of, when it has ended. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`The program has ended: ${await this.#errors}`);
    return value;
  }

  /** Matches of the lines that it prints from now on, on either stream; instead of `line`. */
  seen(pattern: RegExp): RegExpExecArray[] {
    const found: RegExpExecArray[] = [];
    this.#reading = (async () => {
      for (let line; !(line = await this.#lines.next()).done;) {
        const match = pattern.exec(line.value);
        if (match) found.push(match);
      }
    })();
    let rest = "";
    this.#onError = (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const match = pattern.exec(line);
        if (match) found.push(match);
      }
    };
    return found;
  }

  /** What it wrote to standard error; it has to have ended. */
  async complaint(): Promise<string> {
    await this.#child.status;
    return await this.#errors;
  }

  async exitCode(): Promise<number> {
    return (await this.#child.status).code;
  }

  /** Writes to its standard input. */
  async say(text: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  }

  /** The directory of its session; while it lives. */
  get directory(): string {
    return this.#directory ??= Deno.readTextFileSync(`/proc/${this.pid}/environ`).split("\0")
      .find((it) => it.startsWith("MIRRORD_SESSION_DIR="))!.split("=")[1]!;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isGone) return;
    this.#isGone = true;
    for (const pid of this.#descendants()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    await this.#child.status;
    await this.#errors;
    await this.#reading;
    await this.#lines.return?.();
    await this.#child.stdout.cancel().catch(() => {}); // nobody may have read it
    await this.#child.stdin.abort().catch(() => {});
    for (const file of this.#files) await Deno.remove(file);
  }

  async #readErrors(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
    let all = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      all += text;
      this.#onError(text);
    }
    return all;
  }

  /** Its workers and the like, which would keep its streams open. */
  #descendants(): number[] {
    const all = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
    const parentOf = (pid: number) => Number(readText(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ")[1]);
    const family = new Set([this.pid]);
    for (let size = 0; size !== family.size;) {
      size = family.size;
      for (const pid of all) if (family.has(parentOf(pid))) family.add(pid);
    }
    return [...family];
  }

  /** The intproxy of its run, and the agent that it started: of the only run with this target. */
  processes(): { intproxy: number; agent: number } {
    const pids = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
    const agent = pids.find((pid) =>
      readText(`/proc/${pid}/cmdline`).includes(`\0agent\0--stdio\0--pid\0${this.#target}\0`)
    )!;
    const intproxy = Number(readText(`/proc/${agent}/stat`).split(") ").at(-1)?.split(" ")[1]);
    return { intproxy, agent };
  }
}

/** The user's Python server, when it listens. */
export async function startServer(
  sandbox: Sandbox,
  options: RunOptions & { host?: string; port?: number; label?: string } = {},
): Promise<LocalServer> {
  const { host = "0.0.0.0", port = 80, label = "local" } = options;
  const server = await LocalServer.start(sandbox, ["python3", SERVER, host, String(port), label], options);
  try {
    const line = await server.line();
    if (line !== `listening ${host} ${port}`) throw new Error(`It says "${line}"`);
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** What curl gets inside the sandbox; the answer of either server. */
export async function askThere(sandbox: Sandbox, ...args: string[]): Promise<Record<string, unknown>> {
  const text = await sandbox.inNetwork(["curl", "-sS", "--max-time", "60", ...args]);
  try {
    return JSON.parse(text);
  } catch {
    return { by: "nobody", text };
  }
}

/** "local", or "target" for the sandbox's own server. */
export async function whoAnswers(sandbox: Sandbox, ...args: string[]): Promise<string> {
  const answer = await askThere(sandbox, ...args);
  return "by" in answer ? String(answer["by"]) : "target";
}

/**
 * Resolves when nothing is left of the runs with this target whose runtime directory (XDG_RUNTIME_DIR) was `runtime`: no rule, no
 * process, no session directory; and the target's own program answers.
 */
export async function nothingIsLeft(sandbox: Sandbox, runtime: string): Promise<void> {
  const isTheirs = (pid: string) =>
    readText(`/proc/${pid}/environ`).split("\0").includes(`XDG_RUNTIME_DIR=${runtime}`) ||
    readText(`/proc/${pid}/cmdline`).includes(`\0--pid\0${sandbox.pid}\0`);
  await eventually(async () => {
    const processes = [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name) && isTheirs(name));
    const left = processes.map(({ name }) => readText(`/proc/${name}/cmdline`).replaceAll("\0", " "));
    left.push(...await tablesOf(sandbox));
    if (exists(`${runtime}/mirrord`)) left.push(...[...Deno.readDirSync(`${runtime}/mirrord`)].map(({ name }) => name));
    if (left.length > 0) throw new Error(`left behind: ${left.join("; ")}`);
    return true;
  });
  await eventually(async () => await whoAnswers(sandbox, "http://127.0.0.1/") === "target");
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Our tables in the sandbox's network. */
export async function tablesOf(sandbox: Sandbox): Promise<string[]> {
  const text = await sandbox.inNetwork([Deno.execPath(), "run", "-A", "--quiet", "--config", CONFIG, TABLES]);
  return text.split("\n").filter((line) => line !== "");
}

export async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
