/**
 * Layer and agent joined in memory: the real shim in real programs, the real intproxy, the real agent's session; no cluster, no
 * namespaces, no rights. The target is a directory tree that stands for its root, on this machine's network.
 */
import assert from "node:assert/strict";
import { compile } from "../../native/build.ts";
import type { Incoming } from "../../src/agent/incoming/incoming.ts";
import type { IncomingClient } from "../../src/agent/incoming/wishes.ts";
import type { Wish } from "../../src/agent/incoming/wishes.ts";
import { Names } from "../../src/agent/names.ts";
import { Session as AgentSession } from "../../src/agent/session.ts";
import { parseAddress } from "../../src/base/addresses.ts";
import type { Duplex } from "../../src/base/duplex.ts";
import type { StreamEnd } from "../../src/base/socket_end.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { environmentFor } from "../../src/layer/inject.ts";
import { holdSession, makeSessionDirectory } from "../../src/layer/session_directory.ts";
import { type Intproxy, type IntproxyOptions, startIntproxy } from "../../src/layer/session.ts";
import { closeFile, openRoot } from "../../src/sys/files.ts";
import { cString } from "../../src/sys/load.ts";
import { duplexPair } from "../../src/base/duplex_pair.ts";
import { Program, USER_SETTINGS } from "./run.ts";
import { spyOn } from "./spy.ts";

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

const HOSTNAME = "whole-target";
let shimPath: Promise<string> | undefined;

/** Stands where the agent's redirects are: everybody is welcome, and connections are the test's. */
export class Subscriptions {
  readonly wishes: Wish[] = [];
  #client: IncomingClient | undefined;

  subscribe(client: IncomingClient, wish: Wish): { errno: number; error: string } {
    this.#client = client;
    this.wishes.push(wish);
    return { errno: 0, error: "" };
  }

  unsubscribe(): void {}
  leave(): void {}

  /** Somebody at `peer` has connected to the port of the target. */
  deliver(port: number, end: StreamEnd, peer: [string, number], own: [string, number]): void {
    const at = ([address, port]: [string, number]) => ({ address: parseAddress(address)!, port });
    assert.ok(this.#client?.deliver({ port, isMirror: false, peer: at(peer), own: at(own) }, end));
  }
}

export class Whole implements AsyncDisposable {
  /** Every message to the agent so far. */
  readonly #sent: string[] = [];
  readonly #root: number;
  readonly #served: Promise<void>;
  readonly #stop = new AbortController();
  #intproxy: Intproxy | undefined;

  /** Ports of the target that the run has asked for; nothing is redirected. */
  readonly subscriptions = new Subscriptions();

  private constructor(
    readonly tree: string,
    readonly directory: string,
    readonly shim: string,
    [near, far]: readonly [Duplex, Duplex?],
  ) {
    this.#root = openRoot(cString(tree));
    this.#served = far ? this.#serve(far) : Promise.resolve();
    this.near = spyOn(near, this.#sent);
  }

  #serve(far: Duplex): Promise<void> {
    const target = {
      pid: undefined,
      startTicks: "",
      root: this.#root,
      rights: null,
      hostname: () => HOSTNAME,
      environ: () => Promise.resolve(utf8("FROM_TARGET=1\0")),
    };
    const agent = new AgentSession(far, {
      target,
      incoming: this.subscriptions as unknown as Incoming,
      names: new Names(this.#root, () => HOSTNAME),
      expectedSecret: undefined,
      version: "test",
      helloTimeoutMs: 60_000,
      clientTimeoutMs: 30_000,
      log: () => {},
    });
    return agent.serve(() => {});
  }

  readonly near: ReturnType<typeof spyOn>;

  /** `files` by their paths at the target; `now` is the intproxy's clock, and with one of a test's own nothing is swept by
   * time; `settings` differ from USER_SETTINGS, `options` from those below; `link` joins intproxy and agent, which is somebody else's when its end is not there. */
  static async start(
    files: Record<string, string | Uint8Array>,
    now?: () => number,
    settings: Partial<typeof USER_SETTINGS> = {},
    options: Partial<IntproxyOptions> = {},
    link: readonly [Duplex, Duplex?] = duplexPair(),
  ): Promise<Whole> {
    const tree = await Deno.makeTempDir();
    for (const [path, contents] of Object.entries(files)) {
      await Deno.mkdir(`${tree}${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeFile(`${tree}${path}`, typeof contents === "string" ? utf8(contents) : contents);
    }
    const output = new URL("../../native/out/shim-session.so", import.meta.url).pathname;
    // First the shim, which takes long: a directory that nobody holds yet must not grow old.
    const shim = await (shimPath ??= compile("shim.so", { output }));
    const whole = new Whole(tree, await makeSessionDirectory(), shim, link);
    await whole.#begin(now, settings, options);
    return whole;
  }

  /** Runs a program to its end and counts what it asked the agent. */
  async run(command: readonly string[]): Promise<Ended & { messages: string[] }> {
    const from = this.#sent.length;
    const [program, ...args] = command;
    const { code, stdout, stderr } = await new Deno.Command(program!, { args, ...this.#environment() }).output();
    const text = new TextDecoder();
    const messages = this.#sent.slice(from);
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr), messages };
  }

  /** Starts a program to talk with; it is killed when it is disposed of. */
  start(command: readonly string[]): Talk {
    const [program, ...args] = command;
    const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    return new Talk(new Deno.Command(program!, { args, ...piped, ...this.#environment() }).spawn(), this.#sent);
  }

  #environment() {
    const variables = environmentFor([utf8(`PATH=${Deno.env.get("PATH")}`)], this.shim, this.directory);
    const texts = variables.map((variable) => new TextDecoder().decode(variable).split(/=(.*)/s, 2));
    return { clearEnv: true, env: Object.fromEntries(texts) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#intproxy?.finished;
    this.#hold[Symbol.dispose]();
    await this.#served;
    await closeFile(this.#root);
    await this.#keeper[Symbol.asyncDispose]();
    await Deno.remove(this.tree, { recursive: true });
  }

  /** Keeps the run alive between programs. */
  #keeper!: Program;
  /** Without it any other session that begins may take the directory away. */
  #hold!: Disposable;

  async #begin(
    now: (() => number) | undefined,
    settings: Partial<typeof USER_SETTINGS>,
    options: Partial<IntproxyOptions>,
  ): Promise<void> {
    this.#hold = await holdSession(this.directory);
    this.#keeper = new Program(this.directory);
    this.#intproxy = await startIntproxy({
      agent: this.near,
      secret: new Uint8Array(32),
      version: "test",
      build: "b",
      directory: this.directory,
      settings: {
        ...USER_SETTINGS,
        launchDirectory: utf8(Deno.cwd()),
        home: utf8(Deno.env.get("HOME") ?? "/root"),
        shim: utf8(this.shim),
        supervisor: new Uint8Array(0),
        ...settings,
      },
      rootPid: this.#keeper.pid,
      log: () => {},
      signal: this.#stop.signal,
      ...(now && { times: { now, sweepMs: 2 ** 30 } }),
      ...options,
    });
  }
}

/** A program that runs, line by line. */
export class Talk implements AsyncDisposable {
  readonly lines: AsyncGenerator<string, undefined>;
  readonly stderr: Promise<string>;
  readonly #child: Deno.ChildProcess;
  readonly #sent: string[];
  readonly #from: number;

  constructor(child: Deno.ChildProcess, sent: string[]) {
    this.#child = child;
    this.#sent = sent;
    this.#from = sent.length;
    this.lines = linesOf(child.stdout);
    this.stderr = new Response(child.stderr).text();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What the agent was asked since the program was started. */
  get messages(): string[] {
    return this.#sent.slice(this.#from);
  }

  async say(text: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(utf8(text)).catch(() => {});
    writer.releaseLock();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await this.lines.return(undefined);
    await this.#child.stdin.close().catch(() => {});
    await this.stderr;
    await this.#child.status;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
