/**
 * What `mirrord ext` does: a run is begun, its variables are printed, and it is waited for.
 *
 * State     event                                                        action > next
 * WAITING   a process of the run is there                                > RUNNING
 * WAITING   none for start_idle_timeout, or who started us has ended     > gone
 * RUNNING   none for idle_timeout                                        > gone
 * any       a signal                                                     > gone; programs keep the run
 * any       the intproxy has gone                                        AGENT_LOST > gone
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import { SESSION_VARIABLE } from "../layer/inject.ts";
import { processesWithVariable } from "../layer/intproxy/processes.ts";
import { announceContext } from "./announce.ts";
import type { LoadedConfig } from "./configuration.ts";
import { type Environment, parseEnvironment, unsetBy } from "./environment.ts";
import { withMagic } from "./magic.ts";
import { type Progress, startJsonProgress } from "./progress.ts";
import { beginRun, type BegunRun, refuseNested, variablesFor, variablesOfFile, withoutOwnTraffic } from "./run.ts";
import { userEnvironment } from "./self.ts";
import { untilSignal } from "./until_signal.ts";

/** Plugins of editors look for a task of this name. */
const TITLE = "mirrord preparing to launch";
const LOOK_MS = 250;

/** Resolves with the exit code once the run is over. Throws `UserError` when it does not begin, or loses its agent. */
export async function prepareForEditor(said: LoadedConfig): Promise<number> {
  const environment = userEnvironment();
  const config = withMagic(withoutOwnTraffic(said.config), environment, []);
  let isPrepared = false;
  const code = await untilSignal(async (signal) => {
    using progress = startJsonProgress(TITLE);
    refuseNested(environment);
    announceContext(progress, { ...said, config });
    await using undo = new AsyncDisposableStack();
    const run = await beginRun({ config, program: undefined, environment, progress, signal }, undo);
    const execution = await executionOf(config, run, environment, progress);
    signal.throwIfAborted();
    await run.session.go();
    progress.finish(JSON.stringify(execution));
    isPrepared = true;
    // Programs keep the run from now on: nothing of it is to be undone here.
    undo.move();
    await untilOver(config, run, signal);
  });
  return isPrepared ? 0 : code;
}

/** What the editor is to start the program with; by the names of the reference tool's. */
interface Execution {
  readonly environment: Readonly<Record<string, string>>;
  readonly patched_path: null;
  readonly env_to_unset: readonly string[];
  readonly uses_operator: false;
}

async function executionOf(
  config: Config,
  { directory, shimPath, target }: BegunRun,
  environment: Environment,
  progress: Progress,
): Promise<Execution> {
  // The editor has an environment of its own: only what differs from it by our doing is told.
  const fileVariables = await variablesOfFile(config);
  const preload = new Map([...environment].filter(([name]) => name === "LD_PRELOAD"));
  const entries = await variablesFor({ config, environment: preload, fileVariables }, target, shimPath, directory);
  const told = parseEnvironment(joinEntries(entries));
  const isUnset = unsetBy(config.env.unset);
  const odd = [...told].filter(([name, value]) => !isText(value) || !isText(latin1Bytes(name))).map(([name]) => name);
  for (const name of odd) progress.warning(`the variable ${name} is left out: it is no UTF-8, which JSON cannot tell`);
  return {
    environment: Object.fromEntries(
      [...told].filter(([name]) => !odd.includes(name)).map(([name, value]) => [name, fromUtf8(value)]),
    ),
    patched_path: null,
    env_to_unset: [...environment.keys()].filter((name) => isUnset(name) && !told.has(name)),
    uses_operator: false,
  };
}

function joinEntries(entries: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(entries.reduce((sum, it) => sum + it.length + 1, 0));
  let at = 0;
  for (const entry of entries) {
    joined.set(entry, at);
    at += entry.length + 1;
  }
  return joined;
}

function latin1Bytes(name: string): Uint8Array {
  return Uint8Array.from(name, (it) => it.charCodeAt(0));
}

function isText(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

async function untilOver(config: Config, { directory, session }: BegunRun, signal: AbortSignal): Promise<void> {
  const mark = utf8(`${SESSION_VARIABLE}=${directory}`);
  const parent = Deno.ppid;
  const { startIdleMs, idleMs } = config.internalProxy;
  let isLost = false;
  let hasRun = false;
  const lost = session.over(() => hasRun = true).then(() => isLost = true);
  const stopped = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  for (let aloneSince = performance.now(); !signal.aborted && !isLost;) {
    const isAlone = processesWithVariable(mark).length === 0;
    if (!isAlone) {
      hasRun = true;
      aloneSince = performance.now();
    } else if (performance.now() - aloneSince > (hasRun ? idleMs : startIdleMs) || Deno.ppid !== parent) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const pause = new Promise((resolve) => timer = setTimeout(resolve, LOOK_MS));
    await Promise.race([pause, lost, stopped]).finally(() => clearTimeout(timer));
  }
  if (!isLost || signal.aborted) return;
  throw new UserError("AGENT_LOST", "Cannot go on: the agent was lost", {
    hint: "start it again; `kubectl logs -l app=mirrord` may tell why",
  });
}
