/**
 * What `mirrord up` does: a `mirrord exec` for each service, whose lines are printed with its name before them, until all have
 * ended. A signal ends them: who has had Ctrl-C from the terminal gets time to end by itself, then SIGTERM, then SIGKILL.
 */
import { UserError } from "../base/errors.ts";
import { fromUtf8 } from "../base/bytes.ts";
import { readUpFile, type UpService } from "../config/up_file.ts";
import { ownCommand, userEnvironment } from "./self.ts";
import { complain, OutputQueue } from "./terminal.ts";
import { untilSignal } from "./until_signal.ts";

export interface Up {
  readonly file: string;
  readonly key: string | undefined;
  readonly context: string | undefined;
  /** None: all. */
  readonly names: readonly string[];
}

/** After a signal, until SIGTERM, and from there until SIGKILL. */
const PATIENCE_MS = 3000;
const GRACE_MS = 7000;

/** Resolves with the exit code. */
export async function runServices({ file, key, context, names }: Up): Promise<number> {
  const { services, key: used } = await readUpFile(file, key, names);
  const directory = await Deno.makeTempDir({ prefix: "mirrord-up-" }); // 0700
  let failed = 0;
  try {
    const code = await untilSignal(async (signal) => {
      const output = new OutputQueue();
      const flags = ["--key", used, ...context === undefined ? [] : ["--context", context]];
      complain(`session key: ${used}\n`);
      const files = await Promise.all(services.map((it) => writeConfiguration(directory, it, context)));
      signal.throwIfAborted();
      const width = Math.max(...services.map((it) => it.name.length));
      const running = services.map((it, at) => {
        const command = ["exec", "--config-file", files[at]!, ...flags, "--", ...it.command];
        return new RunningService(it.name.padEnd(width), command, output);
      });
      using _ending = endOnAbort(running, signal);
      const codes = await Promise.all(running.map((it) => it.ended));
      failed = codes.filter((it) => it !== 0).length;
      await output.settled();
    });
    return code !== 0 ? code : failed > 0 ? 1 : 0;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function writeConfiguration(directory: string, service: UpService, context: string | undefined): Promise<string> {
  const path = `${directory}/${crypto.randomUUID()}.json`;
  const { configuration, isTargetMissing } = service;
  const target = isTargetMissing
    ? { ...configuration["target"] as object, path: await targetNamed(service, context) }
    : configuration["target"];
  await Deno.writeTextFile(path, JSON.stringify({ ...configuration, target }), { mode: 0o600 });
  return path;
}

/** In this order, as the reference tool looks. */
const KINDS = ["deployment", "statefulset", "rollout", "pod"] as const;

/** What bears the service's name in the cluster. Throws `UserError`. */
async function targetNamed(
  { name, configuration, namespace }: UpService,
  context: string | undefined,
): Promise<string> {
  const { openCluster } = await import("./open_cluster.ts");
  const { listTargets } = await import("../kube/listing.ts");
  const { resolveConfig } = await import("../config/resolve.ts");
  const named = context ?? configuration["kube_context"];
  const said = typeof named === "string" ? [{ key: "kube_context", text: named, from: "--context" } as const] : [];
  const kube = await openCluster(resolveConfig(said));
  using client = kube.client;
  const place = namespace ?? kube.namespace;
  const { targets } = await listTargets(client, { namespace: place });
  const kind = KINDS.find((it) => targets.some((target) => target.kind === it && target.name === name));
  if (kind) return `${kind}/${name}`;
  throw new UserError(
    "TARGET_NOT_FOUND",
    `Cannot run service "${name}": nothing of this name is in namespace "${place}"`,
    {
      hint: `name its target: services.${name}.target.path`,
    },
  );
}

class RunningService {
  readonly ended: Promise<number>;
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  #isReady = false;

  constructor(name: string, args: readonly string[], output: OutputQueue) {
    this.#name = name;
    const [command, ...words] = ownCommand(args);
    const env = Object.fromEntries([...userEnvironment()].map(([it, value]) => [it, fromUtf8(value)]));
    this.#child = new Deno.Command(command!, {
      args: words,
      env: { ...env, MIRRORD_PROGRESS_MODE: "json" },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const put = (line: string) => output.put(new TextEncoder().encode(`${name} | ${line}\n`));
    this.ended = this.#run(put);
  }

  kill(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
  }

  async #run(put: (line: string) => Promise<void>): Promise<number> {
    await Promise.all([
      eachLine(this.#child.stdout, put),
      eachLine(this.#child.stderr, (line) => Promise.resolve(this.#complain(line))),
    ]);
    const { code, signal } = await this.#child.status;
    this.#say(signal === null ? `ended with exit code ${code}` : `ended by ${signal}`);
    return code;
  }

  /** Until the program begins, lines are mirrord's: docs/json.md. */
  #complain(line: string): void {
    const it = this.#isReady ? undefined : parsed(line);
    switch (it?.["type"]) {
      case undefined:
        return this.#say(line);
      case "Warning":
        return this.#say(`warning: ${it!["message"]}`);
      case "Error":
        this.#say(`error: ${it!["message"]}`);
        return it!["help"] ? this.#say(` hint: ${it!["help"]}`) : undefined;
      case "FinishedTask":
        if (it!["name"] !== "mirrord exec" || it!["success"] !== true) return;
        this.#isReady = true;
        return this.#say("ready");
    }
  }

  #say(text: string): void {
    complain(`${this.#name} | ${text}\n`);
  }
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : undefined;
  } catch {
    return undefined;
  }
}

async function eachLine(stream: ReadableStream<Uint8Array<ArrayBuffer>>, take: (line: string) => Promise<void>) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) await take(line);
  }
  if (rest !== "") await take(rest);
}

function endOnAbort(running: readonly RunningService[], signal: AbortSignal): Disposable {
  const timers: ReturnType<typeof setTimeout>[] = [];
  const all = (name: Deno.Signal) => running.forEach((it) => it.kill(name));
  const end = () => {
    timers.push(
      setTimeout(() => all("SIGTERM"), PATIENCE_MS),
      setTimeout(() => all("SIGKILL"), PATIENCE_MS + GRACE_MS),
    );
    // The terminal tells all of us; another than the terminal has told us alone.
    if (!(signal.reason instanceof DOMException && /SIGINT/.test(signal.reason.message))) all("SIGTERM");
  };
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return {
    [Symbol.dispose]() {
      signal.removeEventListener("abort", end);
      timers.forEach(clearTimeout);
    },
  };
}
