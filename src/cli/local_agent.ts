/** An agent on this machine, for process/PID: our child, reached through its standard input and output. */
import type { Duplex } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import { fromUtf8 } from "../base/bytes.ts";
import { ownCommand, userEnvironment } from "./self.ts";

export interface LocalAgent extends AsyncDisposable {
  readonly duplex: Duplex;
  /** Why the agent could not begin, when it said so; to be asked once its stream has ended. */
  refusal(): Promise<UserError | undefined>;
}

/** How long an agent whose stream was closed may take to leave by itself: it sees its connections off. */
const GRACE_MS = 10_000;
/** Of what the agent writes to its log, kept to find its error in. */
const KEPT_CHARACTERS = 8192;

/** Starts it with the user's variables. */
export function startLocalAgent(pid: number, log: (line: string) => void): LocalAgent {
  const env = Object.fromEntries([...userEnvironment()].map(([name, value]) => [name, fromUtf8(value)]));
  const [command, ...args] = ownCommand(["agent", "--stdio", "--pid", String(pid)]);
  // A session of its own, for its share of the processor: the kernel shares it out by sessions (sched(7), autogroups).
  const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const options = { args, env, clearEnv: true, detached: true, ...piped };
  const child = new Deno.Command(command!, options).spawn();
  let said = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said = (said + text).slice(-KEPT_CHARACTERS);
      for (const line of text.split("\n")) if (line !== "") log(`agent: ${line}`);
    }
  })().catch(() => {});
  const duplex = duplexOfChild(child);
  return {
    duplex,
    async refusal() {
      await child.status;
      await reading;
      return parseRefusal(said);
    },
    async [Symbol.asyncDispose]() {
      duplex.close();
      const timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
      await child.status;
      clearTimeout(timer);
      await reading;
    },
  };
}

/** Reads back what report.ts prints. */
function parseRefusal(said: string): UserError | undefined {
  const match = /^error: (.*)\n(?:caused by: .*\n)*(?: hint: (.*?) +\(code (\w+)\)$)/m.exec(said);
  if (!match) return undefined;
  return new UserError(match[3]!, match[1]!, { hint: match[2]! });
}

/** A child whose three streams are pipes. */
export function duplexOfChild(child: Deno.ChildProcess): Duplex {
  const reader = child.stdout.getReader({ mode: "byob" });
  const writer = child.stdin.getWriter();
  let scratch = new ArrayBuffer(256 << 10);
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    reader.cancel().catch(() => {});
    writer.abort().catch(() => {});
  };
  return {
    async read(into) {
      // A BYOB read takes its buffer away and gives it back: one of ours goes to and fro.
      const view = new Uint8Array(scratch, 0, Math.min(into.length, scratch.byteLength));
      const { value, done } = await reader.read(view);
      if (value) {
        into.set(value);
        scratch = value.buffer;
      }
      return done || isClosed ? null : value.length;
    },
    writeAll: (bytes) => writer.write(bytes.slice()),
    close,
    [Symbol.dispose]: close,
  };
}
