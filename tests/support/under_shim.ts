/**
 * Runs a small C program under the real shim while the test plays the intproxy: a Unix socket and a settings file in a
 * session directory of its own. No agent, no cluster; milliseconds.
 *
 * Requests come out of `expect` in the order of arrival over all connections, or go to `answer` when the test gave one.
 * Whatever the program still runs when the test ends is killed.
 */
import assert from "node:assert/strict";
import { compile } from "../../native/build.ts";
import { makeCodec } from "../../src/proto/codec.ts";
import { readFrames } from "../../src/proto/frames.ts";
import { LAYER, LAYER_LIMITS, type LayerFrame, type LayerMessage } from "../../src/proto/layer.ts";
import type { MessageNamed } from "../../src/proto/schema.ts";
import { PATIENCE_MS } from "./eventually.ts";

const codec = makeCodec(LAYER);
const APPS = new URL("../shim/apps/", import.meta.url);
const OUT = new URL("../../native/out/", import.meta.url);

export type Named<T extends LayerMessage["type"]> = MessageNamed<typeof LAYER, T> & { id: number };
export type Settings = Omit<MessageNamed<typeof LAYER, "Settings">, "type">;
/** What the scripted intproxy says to a request: answers in order, raw bytes, "hang up", or nothing. */
export type Answer = LayerMessage | LayerMessage[] | Uint8Array | "hang up" | undefined;

export interface Options {
  settings?: Partial<Settings>;
  answer?: (request: LayerFrame) => Answer | Promise<Answer>;
  env?: Record<string, string>;
  cwd?: string;
  stdin?: string;
  /** Nobody listens: the socket is gone when the program starts. */
  isIntproxyGone?: boolean;
  /** Puts more into the session directory before the program starts. */
  prepare?: (directory: string) => void;
}

export interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
}

interface Asked {
  frame: LayerFrame;
  connection: Connection;
}

class Connection {
  readonly hello = Promise.withResolvers<Named<"Hello">>();
  constructor(readonly conn: Deno.Conn, readonly number: number) {}

  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }
}

export class AppUnderShim implements AsyncDisposable {
  /** Hellos of all connections so far, and every later frame (not answered ones too). */
  readonly hellos: Named<"Hello">[] = [];
  readonly frames: LayerFrame[] = [];
  readonly #queue: Asked[] = [];
  readonly #answering = new Map<number, Asked>();
  readonly #connections = new Set<Connection>();
  readonly #tasks: Promise<void>[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #output: Promise<Ended>;
  #changed = Promise.withResolvers<void>();
  #hasEnded = false;
  #failure: unknown;

  constructor(
    command: Deno.Command,
    readonly listener: Deno.UnixListener | undefined,
    readonly directory: string,
    readonly options: Options,
  ) {
    if (listener) this.#tasks.push(this.#accept(listener));
    this.#child = command.spawn();
    if (options.stdin !== undefined) this.#tasks.push(feed(this.#child, options.stdin));
    this.#output = this.#collect();
  }

  get pid(): number {
    return this.#child.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Requests that were sent, hellos aside. */
  count(type?: LayerMessage["type"]): number {
    return this.frames.filter((it) => type === undefined || it.type === type).length;
  }

  /** The next request, which must be of this type. */
  async expect<T extends LayerMessage["type"]>(type: T): Promise<Named<T>> {
    await this.#until(() => this.#queue.length > 0 || this.#hasEnded, `a request ${type}`);
    const asked = this.#queue.shift();
    if (!asked) assert.fail(`The program ended without asking ${type}: ${JSON.stringify(await this.#output)}`);
    assert.equal(asked.frame.type, type);
    this.#answering.set(this.frames.indexOf(asked.frame), asked);
    return asked.frame as Named<T>;
  }

  async reply(request: LayerFrame, answer: Answer): Promise<void> {
    const at = this.frames.indexOf(request);
    const asked = this.#answering.get(at);
    assert.ok(asked, "reply() is for a request that expect() gave");
    await this.#send(asked, answer);
  }

  /** The number of the connection that carried a request: 0 is the first one of the run. */
  connectionOf(request: LayerFrame): number {
    return this.#answering.get(this.frames.indexOf(request))?.connection.number ?? -1;
  }

  /** Waits for the end of the program, and for the silence after it. */
  async end(): Promise<Ended> {
    const ended = await withDeadline(this.#output, "the program to end");
    if (this.#failure) throw this.#failure;
    return ended;
  }

  /** The output of a program that succeeded. */
  async output(): Promise<string> {
    const ended = await this.end();
    assert.deepEqual({ code: ended.code, stderr: ended.stderr }, { code: 0, stderr: "" }, ended.stdout);
    return ended.stdout;
  }

  /** Closes every connection and the socket: the intproxy is gone. */
  hangUp(): void {
    this.listener?.close();
    Deno.removeSync(`${this.directory}/socket`);
    for (const { conn } of this.#connections) conn.close();
    this.#connections.clear();
  }

  /** A program may be over before its first frame has been read. */
  async untilHello(): Promise<void> {
    await this.#until(() => this.hellos.length > 0, "a Hello");
  }

  /** Messages that nobody answers may be read after the program is over. */
  async untilCount(type: LayerMessage["type"], count: number): Promise<void> {
    await this.#until(() => this.count(type) >= count, `${count} of ${type}`);
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!condition()) {
      if (this.#failure) throw this.#failure;
      await withDeadline(this.#changed.promise, what, deadline - Date.now());
    }
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #collect(): Promise<Ended> {
    const { code, signal, stdout, stderr } = await this.#child.output();
    this.#hasEnded = true;
    this.#change();
    return { code, signal, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    let number = 0;
    try {
      for await (const conn of listener) this.#tasks.push(this.#serve(new Connection(conn, number++)));
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  async #serve(connection: Connection): Promise<void> {
    this.#connections.add(connection);
    try {
      for await (const bytes of readFrames((into) => connection.conn.read(into), () => LAYER_LIMITS.frameBytes)) {
        this.#take(codec.decode(bytes.slice()), connection);
      }
    } catch (error) {
      const isOver = error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
        error instanceof Deno.errors.ConnectionReset;
      if (!isOver) this.#fail(error);
    } finally {
      if (this.#connections.delete(connection)) connection.conn.close();
    }
  }

  #take(frame: LayerFrame, connection: Connection): void {
    if (frame.type === "Hello") {
      this.hellos.push(frame);
    } else {
      this.frames.push(frame);
      const asked = { frame, connection };
      if (this.options.answer) {
        this.#tasks.push(
          Promise.resolve(this.options.answer(frame)).then((answer) => this.#send(asked, answer)).catch((error) =>
            this.#fail(error)
          ),
        );
      } else this.#queue.push(asked);
    }
    this.#change();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#change();
  }

  async #send({ frame, connection }: Asked, answer: Answer): Promise<void> {
    if (answer === undefined) return;
    if (answer === "hang up") {
      if (this.#connections.delete(connection)) connection.conn.close();
    } else if (answer instanceof Uint8Array) {
      await connection.send(answer);
    } else {
      for (const message of Array.isArray(answer) ? answer : [answer]) {
        await connection.send(codec.encode(message, frame.id));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) {
      try {
        this.#child.kill("SIGKILL");
      } catch { /* it ended meanwhile */ }
    }
    await this.#output;
    try {
      this.listener?.close();
    } catch { /* the test has hung up */ }
    for (const { conn } of this.#connections) conn.close();
    this.#connections.clear();
    await Promise.all(this.#tasks);
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
}

async function withDeadline<T>(promise: Promise<T>, what: string, ms = PATIENCE_MS): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`Waited ${PATIENCE_MS / 1000} s for ${what}`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Settings as a run with everything remote has them. */
export function settingsOf(directory: string, shim: string, changes: Partial<Settings> = {}): Settings {
  const text = (value: string) => new TextEncoder().encode(value);
  return {
    build: "test-build",
    fsMode: 2,
    isDnsRemote: true,
    isHostnameRemote: true,
    isTcpRemote: true,
    isUdpRemote: true,
    hostname: "pod-1",
    launchDirectory: text(Deno.cwd()),
    home: text("/home/someone"),
    temporaryDirectory: text(directory),
    program: text("/opt/program"),
    shim: text(shim),
    supervisor: new Uint8Array(0),
    mounts: new Uint8Array(),
    pathRules: new Uint8Array(),
    pathMappings: new Uint8Array(),
    isIpv6Off: false,
    isIpv6Hidden: false,
    unixSockets: new Uint8Array(),
    streamRelay: new Uint8Array(),
    packetRelay: new Uint8Array(),
    isEnvironmentHere: false,
    skipProcesses: new Uint8Array(),
    buildTools: new Uint8Array(),
    acceptPort4: 0,
    acceptPort6: 0,
    holePort4: 0,
    holePort6: 0,
    datagramRelay: 0,
    asksDestinations: false,
    isIncomingRemote: false,
    isTracing: false,
    ...changes,
  };
}

let shimPath: Promise<string> | undefined;

/**
 * The shim as the build makes it, compiled once for the tests of a run. With SHIM_SANITIZE=undefined or
 * =address,undefined in the environment it is built with these (children of exec cannot load the latter).
 */
export function builtShim(): Promise<string> {
  const output = new URL("shim-tests.so", OUT).pathname;
  return shimPath ??= compile("shim.so", { output, extra: SANITIZE ? sanitizing(SANITIZE) : [] });
}

const SANITIZE = Deno.env.get("SHIM_SANITIZE");

const SUPPRESSIONS = new URL("thread_sanitizer.txt", APPS).pathname;

/** The library that a sanitizer wants to come first. */
function runtimeOf(kinds = ""): string[] {
  if (kinds.includes("thread")) return ["libtsan.so.2"];
  return kinds.includes("address") ? ["libasan.so.8"] : [];
}

function sanitizing(kinds: string): string[] {
  const options = new URL("sanitizer_options.c", APPS).pathname;
  return [`-fsanitize=${kinds}`, "-g", ...kinds.includes("address") ? [options] : []];
}

const apps = new Map<string, Promise<string>>();

/** Path of the compiled tests/shim/apps/NAME.c, made anew when its text has changed. */
export function builtApp(name: string, flags: string[] = []): Promise<string> {
  const key = [name, ...flags].join(" ");
  let app = apps.get(key);
  if (!app) apps.set(key, app = compileApp(name, flags));
  return app;
}

async function compileApp(name: string, flags: string[]): Promise<string> {
  const source = new URL(`${name}.c`, APPS);
  const text = await Deno.readFile(source);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  const variant = flags.join("").replaceAll(/[^a-z0-9]/g, "");
  const output = new URL(`apps/${name}${variant}-${digest.toHex().slice(0, 16)}`, OUT).pathname;
  const isThere = await Deno.stat(output).then(() => true, () => false);
  if (isThere) return output;
  await Deno.mkdir(new URL("apps/", OUT), { recursive: true });
  const scratch = `${output}.${Deno.pid}`;
  const warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations"];
  const args = ["-std=gnu11", "-O1", ...warnings, ...flags, "-o", scratch, source.pathname, "-pthread", "-ldl"];
  const { success, stderr } = await new Deno.Command("gcc", { args, stderr: "piped" }).output();
  if (!success) throw new Error(`gcc ${name}:\n${new TextDecoder().decode(stderr)}`);
  await Deno.rename(scratch, output);
  return output;
}

/** `app` is the name of a program in tests/shim/apps, or a path. */
export async function startUnderShim(app: string, args: string[], options: Options = {}): Promise<AppUnderShim> {
  const [shim, program] = await Promise.all([builtShim(), app.includes("/") ? app : builtApp(app)]);
  const directory = await Deno.makeTempDir({ prefix: "mirrord-shim-test-" });
  const preload = [...runtimeOf(SANITIZE), shim].join(":");
  // ThreadSanitizer's library must come first in programs that are exec'ed, too.
  const settings = settingsOf(directory, SANITIZE?.includes("thread") ? preload : shim, options.settings);
  await Deno.writeFile(`${directory}/settings`, codec.encode({ type: "Settings", ...settings }, 0));
  options.prepare?.(directory);
  const listener = options.isIntproxyGone ? undefined : Deno.listen({ transport: "unix", path: `${directory}/socket` });
  if (listener) await Deno.chmod(`${directory}/socket`, 0o666);
  const command = new Deno.Command(program, {
    args,
    env: {
      LD_PRELOAD: preload,
      ...(SANITIZE ? { ASAN_OPTIONS: "detect_leaks=0", TSAN_OPTIONS: `suppressions=${SUPPRESSIONS}` } : {}),
      MIRRORD_SESSION_DIR: directory,
      ...options.env,
    },
    cwd: options.cwd ?? directory,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  });
  return new AppUnderShim(command, listener as Deno.UnixListener | undefined, directory, options);
}
