/**
 * What `mirrord exec` does: check all that can be checked, get an agent, become the program.
 *
 *   1. the program: found, looked at; nothing is started for a typing error
 *   2. the session: a private directory, and the intproxy starting in it while
 *   3. the target is found and its agent made (Kubernetes), or checked (a process of this machine)
 *   4. the intproxy reaches the agent and tells who the target is
 *   5. environment, summary, execve(2)
 *
 * A failure or a signal at any step undoes the steps before it, last first; `undo` in start() is the list of
 * who undoes what.
 */
import { fromUtf8, joinNul, utf8 } from "../base/bytes.ts";
import { ERRNO, UserError } from "../base/errors.ts";
import { FS_MODES } from "../config/options.ts";
import { pathMappingTable } from "../config/path_mapping.ts";
import { pathRulesTable, unixSocketsTable } from "../config/path_rules.ts";
import type { Config } from "../config/resolve.ts";
import { skippedIn } from "../config/skipped.ts";
import { environmentFor, unpackShim, withoutShim } from "../layer/inject.ts";
import { holdSession, makeSessionDirectory } from "../layer/session_directory.ts";
import { becomeProgram, type StartingLimits, workingDirectory } from "../sys/process.ts";
import { announce } from "./announce.ts";
import type { ReachableAgent } from "./cluster.ts";
import type { RunSettings } from "./control.ts";
import type { LoadedConfig } from "./configuration.ts";
import { composeEnvironment, type Environment, formatEnvironment, parseEnvironment, textOf } from "./environment.ts";
import { missesLibraries } from "./libraries.ts";
import { withMagic } from "./magic.ts";
import { adviseOnProbes } from "./probes.ts";
import { findProgram, type Program, whyNoSupervisor } from "./program.ts";
import { loggingOf } from "./logging.ts";
import { type Progress, startProgress } from "./progress.ts";
import { startingLimits, supervisorPath, userArguments, userEnvironment } from "./self.ts";
import { type Session, startSession, type TargetFacts } from "./session.ts";
import { StartSignals } from "./start_signals.ts";
import shim from "../../native/out/shim.so" with { type: "bytes" };

/** Becomes the program. Returns an exit code only for a signal that came before; errors are thrown. */
export async function runProgram(said: LoadedConfig, name: string, args: readonly string[]): Promise<number> {
  const environment = userEnvironment();
  const loaded = { ...said, config: withMagic(withoutOwnTraffic(said.config), environment, [name, ...args]) };
  const { config } = loaded;
  refuseNested(environment);
  const program = findProgram(name, textOf(environment, "PATH"));
  const fileVariables = await variablesOfFile(config);
  const limits = startingLimits();
  using signals = new StartSignals(limits.ignoredSignals);
  using progress = startProgress(textOf(environment, "MIRRORD_PROGRESS_MODE"), "mirrord exec");
  announce(progress, loaded, program, args);
  try {
    await start({
      config,
      program,
      args: userArguments(args.length),
      environment,
      fileVariables,
      limits,
      progress,
      signal: signals.signal,
      letSignalsThrough: () => signals.letThrough(),
    });
  } catch (error) {
    if (signals.exitCode === undefined) throw error;
    progress[Symbol.dispose](); // the last word on the terminal
    await signals.raise();
    return signals.exitCode;
  }
  throw new Error("start() neither threw nor became the program");
}

/** Of the file that `feature.env.env_file` names. */
export async function variablesOfFile({ env }: Config): Promise<Environment> {
  return env.file === undefined ? new Map() : (await import("./env_file.ts")).readEnvFile(env.file);
}

interface Run {
  readonly config: Config;
  readonly program: Program;
  readonly args: readonly Uint8Array[];
  /** The user's. */
  readonly environment: Environment;
  /** Of the file that `feature.env.env_file` names. */
  readonly fileVariables: Environment;
  readonly limits: StartingLimits;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** As `StartSignals` does it. */
  readonly letSignalsThrough: () => Promise<void>;
}

async function start(run: Run): Promise<void> {
  const { program, args, limits, progress, signal } = run;
  await using undo = new AsyncDisposableStack();
  const { directory, session, shimPath, target } = await beginRun(run, undo);
  const all = await variablesFor(run, target, shimPath, directory);
  const variables = program.isSupervised === "alone" ? withoutShim(all, shimPath) : all;
  signal.throwIfAborted();
  await session.go();
  await run.letSignalsThrough();
  signal.throwIfAborted();
  progress.finish("ready to launch process");
  throw notBecome(program, [...program.words.map(utf8), ...args], variables, limits);
}

export interface BegunRun {
  readonly directory: string;
  readonly session: Session;
  readonly shimPath: string;
  /** The target's variables. */
  readonly target: Environment;
}

/** Steps 2 to 4, for whatever is to be the program; `undo` takes all of it back. */
export async function beginRun(
  run: Beginning,
  undo: AsyncDisposableStack,
): Promise<BegunRun> {
  const { config, progress, signal } = run;
  const build = await buildId();
  let place = await openSession(run, undo);
  const shimPath = await unpackShim(shim, build);
  let agent = await reachableAgent(config, progress, undo, signal);
  const target = await reachAgent(run, { ...place, agent, shimPath, build }).catch(async (error) => {
    if (!agent.replaced || signal.aborted) throw error;
    // The intproxy that has met the agent that went is gone as well.
    progress.info("the agent that was kept has gone meanwhile");
    place = await openSession(run, undo);
    agent = await agent.replaced();
    return await reachAgent(run, { ...place, agent, shimPath, build });
  });
  for (const warning of target.warnings) progress.warning(warning);
  return { ...place, shimPath, target: parseEnvironment(target.environ) };
}

type Beginning = Pick<Run, "config" | "environment" | "progress" | "signal"> & {
  readonly program: Program | undefined;
};

/** The private directory, and the intproxy starting in it. */
async function openSession({ config, environment, progress }: Beginning, undo: AsyncDisposableStack) {
  const directory = await makeSessionDirectory();
  undo.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
  undo.use(await holdSession(directory));
  const run8 = directory.slice(-8);
  const logging = loggingOf(config.internalProxy, environment, fromUtf8(workingDirectory()), run8);
  if (logging.path !== undefined) progress.info(`log: ${logging.path}`);
  return { directory, session: undo.use(startSession(directory, environment, logging)) };
}

interface Meeting {
  readonly session: Session;
  readonly agent: ReachableAgent;
  readonly shimPath: string;
  readonly build: string;
}

async function reachAgent(run: Beginning, { session, agent, shimPath, build }: Meeting): Promise<TargetFacts> {
  const { config, program, environment, progress, signal } = run;
  return await progress.step("reaching the agent", async (step) => {
    step.done = "agent ready";
    const settings = runSettings(config, program, environment, shimPath, agent.mounts);
    const { pathMapping, network } = config;
    const advice = adviseOnProbes(config.incoming, agent.probes);
    for (const warning of advice.warnings) progress.warning(warning);
    const incoming = { ...advice.incoming, who: whoRuns(environment) };
    const rules = { settings, pathMapping, network, incoming };
    const hostname = textOf(environment, "MIRRORD_OVERRIDE_HOSTNAME") || undefined;
    const root = { rootPid: Deno.pid, isRootWaiting: program === undefined, hostname };
    const message = { type: "start", agent: agent.source, build, ...root, ...rules } as const;
    return await agent.explained(session.connect(message, signal));
  });
}

/** The program's variables; or, when every process is to take the target's itself, the user's own and a file of the others. */
export async function variablesFor(
  { config, environment, fileVariables }: Pick<Run, "config" | "environment" | "fileVariables">,
  target: Environment,
  shimPath: string,
  directory: string,
): Promise<Uint8Array[]> {
  if (!config.env.isLoadedByProcess) {
    const merged = composeEnvironment(environment, target, fileVariables, config.env);
    return environmentFor(formatEnvironment(merged), shimPath, directory);
  }
  const added = formatEnvironment(composeEnvironment(new Map(), target, fileVariables, config.env));
  const entries = joinNul([...config.env.unset.map(utf8), ...added]);
  await Deno.writeFile(`${directory}/environment`, entries, { mode: 0o600 });
  return environmentFor(formatEnvironment(environment), shimPath, directory);
}

const ENV = "/usr/bin/env";

/**
 * What libraries it has from the target it gets from a shim that is there before it: that of env(1), which starts it. The errno when
 * that did not happen.
 */
function becomeEntered(
  program: Program,
  argv: readonly Uint8Array[],
  variables: readonly Uint8Array[],
  limits: StartingLimits,
): number {
  const name = utf8("LD_LIBRARY_PATH=");
  const entry = variables.find((it) => name.every((byte, at) => it[at] === byte));
  const isStranger = program.obstacle !== undefined || program.path.includes("=");
  if (!isStranger && missesLibraries(program.path, entry && fromUtf8(entry.subarray(name.length)))) {
    becomeProgram(utf8(ENV), [utf8("env"), utf8("--"), utf8(program.path), ...argv.slice(1)], variables, limits);
  }
  return -becomeProgram(utf8(program.path), argv, variables, limits);
}

/** execve(2); what comes back is why it did not happen. */
function notBecome(
  program: Program,
  argv: readonly Uint8Array[],
  variables: readonly Uint8Array[],
  limits: StartingLimits,
): UserError {
  const errno = program.isSupervised
    ? -becomeProgram(
      utf8(supervisorPath()),
      [utf8("mirrord-supervisor"), utf8(program.path), ...argv],
      variables,
      limits,
    )
    : becomeEntered(program, argv, variables, limits);
  const reasons: Record<number, [string, string, number]> = {
    [ERRNO.ENOENT]: ["its loader is not there", "is it for another C library or another distribution?", 127],
    [ERRNO.E2BIG]: [
      "its arguments and variables are too long",
      "leave variables out: --override-env-vars-exclude",
      126,
    ],
    [ERRNO.ENOEXEC]: ["it is not for this machine", "was it built for another architecture?", 126],
  };
  const [reason, hint, exitCode] = reasons[errno] ??
    [`error ${errno} of the system`, "can it be run without mirrord?", 126];
  return new UserError("PROGRAM_NOT_STARTED", `Cannot run "${program.path}": ${reason}`, { hint, exitCode });
}

/** One run inside another would send the agent's own traffic through itself. */
export function refuseNested(environment: Environment): void {
  if (textOf(environment, "MIRRORD_DONT_LOAD")) {
    throw new UserError("RUN_FORBIDDEN", "Cannot run: MIRRORD_DONT_LOAD is set, so nothing is to be run in a target", {
      hint: "unset MIRRORD_DONT_LOAD, if that is what you want",
      exitCode: 2,
    });
  }
  if (!environment.has("MIRRORD_SESSION_DIR")) return;
  throw new UserError("NESTED_RUN", "Cannot run: this shell is already inside a run of mirrord", {
    hint: "start the program without `mirrord exec`, it already runs in the target's context",
  });
}

/** Shim and intproxy of one run come from one build: the shim's hash names it. */
export async function buildId(): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", shim as Uint8Array<ArrayBuffer>)).subarray(0, 8).toHex();
}

/** Of a process of this machine, or in the cluster; `undo` removes it. */
export async function reachableAgent(
  config: Config,
  progress: Progress,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ReachableAgent> {
  const { target } = config;
  if (target.kind === "process") {
    checkProcess(target.pid);
    const source = { kind: "process", pid: target.pid } as const;
    return { source, mounts: [], ports: [], probes: [], explained: (work) => work };
  }
  const { agentInCluster } = await import("./cluster.ts");
  return await agentInCluster(config, target, progress, undo, signal);
}

/** In a network of one's own there is nobody to take traffic from: it would go round in circles. */
export function withoutOwnTraffic(config: Config): Config {
  const { target, incoming } = config;
  if (target.kind !== "process" || networkOf(String(target.pid)) !== networkOf("self")) return config;
  return { ...config, incoming: { ...incoming, mode: "off" } };
}

/** Throws `UserError` (exit code 2) where there is no traffic of a target's to take. */
export function checkTraffic(config: Config): void {
  const refuse = (why: string, hint: string) =>
    new UserError("OPTIONS_CONFLICT", `Cannot take the target's traffic: ${why}`, { hint, exitCode: 2 });
  if (config.target.kind === "targetless") throw refuse("there is no target", "name a --target");
  if (config.incoming.mode === "off") {
    throw refuse("feature.network.incoming is off", "leave it out, or say mirror or steal");
  }
  if (withoutOwnTraffic(config) !== config) {
    throw refuse("its network is this machine's own", "its ports are reached here as they are");
  }
}

/** Names the network namespace of a process; undefined where that is not to be known. */
function networkOf(pid: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** For others to read who find the target's port taken. */
export function whoRuns(environment: Environment): string {
  const user = textOf(environment, "USER") || textOf(environment, "LOGNAME") || `user ${Deno.uid()}`;
  return `${user}@${Deno.hostname()}`;
}

function checkProcess(pid: number): void {
  try {
    Deno.statSync(`/proc/${pid}`);
  } catch {
    throw new UserError("NO_SUCH_PROCESS", `Cannot use target "process/${pid}": there is no such process`, {
      hint: "`ps -e` lists the processes of this machine",
    });
  }
  if (Deno.uid() !== 0) {
    throw new UserError("ROOT_NEEDED", `Cannot use target "process/${pid}": entering a process needs root`, {
      hint: "run the same command with sudo",
    });
  }
}

/** What the user typed is no build tool of this run. */
function skipSettings(config: Config, program: Program | undefined): Pick<RunSettings, "skipProcesses" | "buildTools"> {
  const names = program ? [...program.words, program.path, Deno.realPathSync(program.path)] : [];
  const { processes, buildTools } = skippedIn(config, names);
  return { skipProcesses: processes, buildTools };
}

/** `program` undefined: it is not known which, as in `mirrord explain`. */
export function runSettings(
  config: Config,
  program: Program | undefined,
  environment: Environment,
  shimPath: string,
  mounts: readonly string[],
): RunSettings {
  const base64 = (bytes: Uint8Array | undefined) => (bytes ?? new Uint8Array()).toBase64();
  return {
    fsMode: FS_MODES.indexOf(config.fsMode),
    isDnsRemote: config.isDnsRemote,
    isHostnameRemote: config.isHostnameRemote,
    isTcpRemote: config.isTcpRemote,
    isUdpRemote: config.isUdpRemote,
    isEnvironmentHere: config.env.isLoadedByProcess,
    launchDirectory: base64(workingDirectory()),
    home: base64(environment.get("HOME")),
    temporaryDirectory: base64(environment.get("TMPDIR")),
    program: base64(program && utf8(Deno.realPathSync(program.path))),
    shim: base64(utf8(shimPath)),
    supervisor: base64(whyNoSupervisor() === undefined ? utf8(supervisorPath()) : undefined),
    mounts: config.isAutoMounting ? mounts : [],
    pathRules: base64(pathRulesTable(config.paths)),
    pathMappings: base64(pathMappingTable(config.pathMapping)),
    isIpv6Off: config.isIpv6Off,
    isIpv6Hidden: config.isIpv6Hidden,
    unixSockets: base64(unixSocketsTable(config.unixSockets)),
    ...skipSettings(config, program),
  };
}
