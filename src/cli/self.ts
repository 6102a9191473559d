/**
 * Who we are: how to start ourselves again, and what the user's shell gave us before the launcher and the runtime changed
 * it. The packed executable leaves that in MIRRORD_LAUNCHER and MIRRORD_KEPT_* (native/launcher/launcher.c); run from
 * source (`deno run -A main.ts`) there is nothing to put back.
 */
import { splitNul } from "../base/bytes.ts";
import type { StartingLimits } from "../sys/process.ts";
import { type Environment, parseEnvironment } from "./environment.ts";

const LAUNCHER = "MIRRORD_LAUNCHER";
const KEPT = "MIRRORD_KEPT_";
/** Variables that the launcher gives our runtime; the user's own stand under KEPT. */
const RUNTIME = ["DENO_DIR", "DENO_NO_UPDATE_CHECK", "DENO_NO_PACKAGE_JSON"];

/** SIGPIPE's bit in a signal mask; the runtime always ignores it, whatever it found. */
const PIPE_BIT = 1n << 12n;

interface Launch {
  readonly softFiles: bigint;
  readonly hardFiles: bigint;
  readonly isPipeIgnored: boolean;
  readonly closedDescriptors: number;
  readonly path: string;
}

let launch: Launch | undefined | null = null;

/** "soft:hard:sigpipe:closed:path"; undefined when we run from source. */
function launchOf(): Launch | undefined {
  if (launch !== null) return launch;
  const match = /^([0-9]+):([0-9]+):([01]):([0-7]):(.*)$/s.exec(Deno.env.get(LAUNCHER) ?? "");
  const [, soft, hard, sigpipe, closed, path] = match ?? [];
  if (soft === undefined) return launch = undefined;
  return launch = {
    softFiles: BigInt(soft),
    hardFiles: BigInt(hard!),
    isPipeIgnored: sigpipe === "1",
    closedDescriptors: Number(closed),
    path: path!,
  };
}

/** What to put back before the user's program starts. To be asked before anybody listens to signals. */
export function startingLimits(): StartingLimits {
  const launch = launchOf();
  const ignored = /^SigIgn:\s*([0-9a-f]+)/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1] ?? "0";
  return {
    softFiles: launch?.softFiles ?? 0n,
    hardFiles: launch?.hardFiles ?? 0n,
    ignoredSignals: BigInt(`0x${ignored}`) & ~PIPE_BIT | (launch?.isPipeIgnored ? PIPE_BIT : 0n),
    closedDescriptors: launch?.closedDescriptors ?? 0,
  };
}

/** The program that runs what the shim cannot enter (native/supervisor): unpacked beside our own code. */
export function supervisorPath(): string {
  const place = launchOf() ? "./supervisor" : "../../native/out/supervisor";
  return new URL(place, import.meta.url).pathname;
}

/** The command that starts us again with other arguments. */
export function ownCommand(args: readonly string[]): string[] {
  const path = launchOf()?.path;
  if (path !== undefined) return [path, ...args];
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  return [Deno.execPath(), "run", "-A", "--quiet", "--no-lock", "--config", config, main, ...args];
}

/** What the user's shell gave us, none of our own additions in it. */
export function userEnvironment(): Environment {
  const packed = launchOf() !== undefined;
  const kept: Environment = new Map();
  const environment: Environment = new Map();
  for (const [name, value] of parseEnvironment(Deno.readFileSync("/proc/self/environ"))) {
    if (name === LAUNCHER || (packed && RUNTIME.includes(name))) continue;
    if (name.startsWith(KEPT)) kept.set(name.slice(KEPT.length), value);
    else environment.set(name, value);
  }
  return new Map([...environment, ...kept]);
}

/** The last `count` words of our command line, as bytes: they need not be UTF-8. */
export function userArguments(count: number): Uint8Array[] {
  return count === 0 ? [] : splitNul(Deno.readFileSync("/proc/self/cmdline")).slice(-count);
}
