/**
 * The CLI's side of a session: starts the intproxy early, hands it the agent once there is one, and lets go of it when
 * the program starts.
 */
import { utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import { spawnDetached } from "../sys/process.ts";
import { listenUnnamed } from "../layer/session_directory.ts";
import {
  CONTROL_SOCKET,
  controlMessages,
  DIRECTORY_VARIABLE,
  type FromIntproxy,
  sendControl,
  type Start,
} from "./control.ts";
import { type Environment, formatEnvironment } from "./environment.ts";
import { type Logging, loggingVariables } from "./logging.ts";
import { ownCommand } from "./self.ts";

/** How often to look whether the intproxy still lives, while it has not come to the control socket. */
const LOOK_MS = 50;

export interface TargetFacts {
  readonly hostname: string;
  readonly environ: Uint8Array;
  /** What the agent wants the user to know. */
  readonly warnings: readonly string[];
}

export interface Session extends AsyncDisposable {
  /** Resolves when the intproxy has reached the agent. Throws the `UserError` it met. */
  connect(start: Start, signal: AbortSignal): Promise<TargetFacts>;
  /** The program is about to start: from now on the intproxy stays until the program's processes are gone. */
  go(): Promise<void>;
  /**
   * Resolves when the intproxy has gone: the run is over, or its agent was lost. `onAttended` is called when a first process of
   * the run is there. To be called once, behind `go`.
   */
  over(onAttended: () => void): Promise<void>;
}

/** Starts the intproxy in the session's directory. */
export function startSession(directory: string, environment: Environment, logging: Logging): Session {
  const listener = listenUnnamed(directory, CONTROL_SOCKET, 0o600);
  const argv = ownCommand(["intproxy"]).map(utf8);
  const told = new Map([...environment, ...loggingVariables(logging), [DIRECTORY_VARIABLE, utf8(directory)]]);
  const pid = spawnDetached(argv, formatEnvironment(told));
  if (pid < 0) {
    listener.close();
    throw new UserError("INTPROXY_NOT_STARTED", `Cannot start the intproxy: error ${-pid} of the system`, {
      hint: "are there enough processes and memory left?",
    });
  }
  return new StartedSession(listener, pid);
}

class StartedSession implements Session {
  readonly #listener: Deno.UnixListener;
  readonly #pid: number;
  #conn: Deno.UnixConn | undefined;
  #isGone = false;

  constructor(listener: Deno.UnixListener, pid: number) {
    this.#listener = listener;
    this.#pid = pid;
  }

  async connect(start: Start, signal: AbortSignal): Promise<TargetFacts> {
    const conn = await this.#accept(signal);
    using _abort = onAbort(signal, () => this.#close());
    await sendControl(conn, start).catch(() => {}); // what it said last is still to be read
    for await (const message of messagesOf(conn)) {
      signal.throwIfAborted();
      if (message.type === "ready") {
        const { hostname, environ, warnings } = message;
        return { hostname, environ: Uint8Array.fromBase64(environ), warnings };
      }
      if (message.type === "attended") continue;
      const { code, hint, exitCode } = message;
      throw new UserError(code, message.message, { exitCode, ...hint === undefined ? {} : { hint } });
    }
    signal.throwIfAborted();
    throw intproxyGone();
  }

  async go(): Promise<void> {
    await sendControl(this.#conn!, { type: "go" });
  }

  async over(onAttended: () => void): Promise<void> {
    for await (const { type } of messagesOf(this.#conn!)) if (type === "attended") onAttended();
  }

  /** The end of the stream tells the intproxy; `stop` does where it has been told to go. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#conn && !this.#isGone) await sendControl(this.#conn, { type: "stop" }).catch(() => {});
    this.#close();
    if (!this.#conn) endProcess(this.#pid);
  }

  async #accept(signal: AbortSignal): Promise<Deno.UnixConn> {
    const looking = setInterval(() => {
      if (!isAlive(this.#pid)) this.#close();
    }, LOOK_MS);
    using _abort = onAbort(signal, () => this.#close());
    try {
      return this.#conn = await this.#listener.accept();
    } catch {
      signal.throwIfAborted();
      throw intproxyGone();
    } finally {
      clearInterval(looking);
    }
  }

  #close(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#listener.close();
    this.#conn?.close();
  }
}

/** A stream that breaks has ended. */
async function* messagesOf(conn: Deno.Conn): AsyncGenerator<FromIntproxy> {
  try {
    yield* controlMessages<FromIntproxy>(conn);
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
  }
}

function intproxyGone(): UserError {
  return new UserError("INTPROXY_DIED", "Cannot go on: the intproxy ended while it was starting", {
    hint: "MIRRORD_LOG=FILE makes it write down why",
  });
}

/** A process that has ended but that its parent has not noticed (a zombie) is not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

function endProcess(pid: number): void {
  try {
    Deno.kill(pid, "SIGTERM");
  } catch {
    // Gone already.
  }
}

function onAbort(signal: AbortSignal, run: () => void): Disposable {
  if (signal.aborted) run();
  signal.addEventListener("abort", run);
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", run) };
}
