/**
 * A run with everything real but its program and its agent: the intproxy in this process, a shell that lives until it is
 * told to go in the program's place, and a scripted agent.
 */
import { holdSession, makeSessionDirectory } from "../../src/layer/session_directory.ts";
import { type Intproxy, type IntproxyOptions, startIntproxy } from "../../src/layer/session.ts";
import { SESSION_VARIABLE } from "../../src/layer/inject.ts";
import { duplexPair } from "../../src/base/duplex_pair.ts";
import { type Answering, ScriptedAgent } from "./scripted_agent.ts";
import { ShimClient } from "./shim_client.ts";

export const USER_SETTINGS: IntproxyOptions["settings"] = {
  fsMode: 2,
  isDnsRemote: true,
  isHostnameRemote: true,
  isTcpRemote: true,
  isUdpRemote: true,
  launchDirectory: new Uint8Array(0),
  home: new Uint8Array(0),
  temporaryDirectory: new Uint8Array(0),
  program: new Uint8Array(0),
  shim: new Uint8Array(0),
  supervisor: new Uint8Array(0),
  mounts: new Uint8Array(0),
  pathRules: new Uint8Array(0),
  pathMappings: new Uint8Array(0),
  isIpv6Off: false,
  isIpv6Hidden: false,
  unixSockets: new Uint8Array(0),
  isEnvironmentHere: false,
  skipProcesses: new Uint8Array(0),
  buildTools: new Uint8Array(0),
};

/** A process that belongs to a run, and lives until it is let go. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  #isGone = false;

  constructor(directory: string, script = "read line", stderr: "null" | "piped" = "null") {
    this.#child = new Deno.Command("sh", {
      args: ["-c", script],
      env: { [SESSION_VARIABLE]: directory },
      stdin: "piped",
      stdout: "null",
      stderr,
    }).spawn();
  }

  get pid(): number {
    return this.#child.pid;
  }

  async leave(): Promise<Deno.CommandStatus> {
    if (!this.#isGone) await this.#child.stdin.close().catch(() => {});
    this.#isGone = true;
    return await this.#child.status;
  }

  async status(): Promise<Deno.CommandStatus> {
    return await this.#child.status;
  }

  async stderr(): Promise<string> {
    return await new Response(this.#child.stderr).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }
}

export class Run implements AsyncDisposable {
  readonly #stop: AbortController;
  readonly #hold: Disposable;

  private constructor(
    readonly directory: string,
    readonly program: Program,
    readonly agent: ScriptedAgent,
    readonly intproxy: Intproxy,
    readonly log: string[],
    stop: AbortController,
    hold: Disposable,
  ) {
    this.#stop = stop;
    this.#hold = hold;
  }

  static async start(
    options: Partial<IntproxyOptions> & { answer?: Answering; program?: (directory: string) => Program } = {},
  ): Promise<Run> {
    const directory = await makeSessionDirectory();
    const hold = await holdSession(directory);
    const [near, far] = duplexPair();
    const agent = new ScriptedAgent(far, options.answer);
    const program = options.program?.(directory) ?? new Program(directory);
    const stop = new AbortController();
    const log: string[] = [];
    const { answer: _answer, program: _program, ...overrides } = options;
    const starting = startIntproxy({
      agent: near,
      secret: new Uint8Array(32).fill(7),
      version: "test",
      build: "b",
      directory,
      settings: USER_SETTINGS,
      rootPid: program.pid,
      log: (line) => log.push(line),
      signal: stop.signal,
      ...overrides,
    });
    try {
      return new Run(directory, program, agent, await starting, log, stop, hold);
    } catch (error) {
      hold[Symbol.dispose]();
      await agent[Symbol.asyncDispose]();
      await program[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
      throw error;
    }
  }

  async shim(hello?: { build?: string; pid?: number; isLifeline?: boolean }): Promise<ShimClient> {
    return await ShimClient.connect(this.directory, hello);
  }

  abort(): void {
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _hold = this.#hold;
    this.abort();
    await this.intproxy.finished;
    await this.agent[Symbol.asyncDispose]();
    await this.program[Symbol.asyncDispose]();
  }
}

/** Of a Connect: the program has not bound the socket. */
export const NOT_BOUND = { boundInode: 0n, boundAddress: new Uint8Array(0), boundPort: 0 };
