/**
 * Runs the intproxy in this process: hears from the CLI what to do, reaches the agent, serves the program's processes until
 * the last one is gone. It has no terminal (src/sys/process.ts starts it so), and leaves for these reasons only:
 *
 *   the CLI died or gave up before it became the program     the control stream ends before `go`, or says `stop`
 *   the last process of the run is gone                      the layer says so
 *   the agent is lost                                        the layer tells the program's terminal and ends the program
 *   SIGTERM
 */
import { joinNul, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import type { UserSettings } from "../layer/mod.ts";
import { holdSession } from "../layer/session_directory.ts";
import {
  type AgentSource,
  CONTROL_SOCKET,
  controlMessages,
  failedFrom,
  type FromCli,
  sendControl,
  type Start,
} from "./control.ts";
import { startLocalAgent } from "./local_agent.ts";
import { type Log, openLog } from "./log.ts";
import { loggingIn } from "./logging.ts";
import { formatError } from "./report.ts";
import { userEnvironment } from "./self.ts";
import { VERSION } from "./version.ts";

const EARLY_MS = 30;
/** For the API server to delete what is left of a lost agent. */
const REMOVE_MS = 5000;

/** Resolves with the exit code. Whatever happens, the session's directory is gone then. */
export async function serveAsIntproxy(directory: string): Promise<number> {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGHUP"] as const) Deno.addSignalListener(name, () => {});
  Deno.addSignalListener("SIGTERM", () => controller.abort());
  await using log = openLog(loggingIn(userEnvironment()), "intproxy");
  try {
    using _hold = await holdSession(directory);
    using control = await Deno.connect({ transport: "unix", path: `${directory}/${CONTROL_SOCKET}` });
    return await followAndServe(directory, control, log, controller);
  } catch (error) {
    log(formatError(error));
    return 1;
  } finally {
    await Deno.remove(directory, { recursive: true }).catch(() => {});
  }
}

async function followAndServe(directory: string, control: Deno.Conn, log: Log, controller: AbortController) {
  const messages = controlMessages<FromCli>(control);
  // Somebody waits for a cluster: what will be needed is read meanwhile, and rehearsed. An agent of this machine is quicker than that.
  let rehearsal: Promise<unknown> | undefined;
  const early = setTimeout(() => {
    import("../kube/port_forward.ts").catch(() => {});
    rehearsal = import("../layer/mod.ts").then(({ rehearse }) => rehearse(log)).catch(() => {});
  }, EARLY_MS);
  const first = await messages.next().finally(() => clearTimeout(early));
  if (first.done || first.value.type !== "start") return 0;
  const following = followCli(messages, controller);
  try {
    await serve(directory, first.value, control, log, controller.signal);
    return 0;
  } catch (error) {
    if (controller.signal.aborted) return 0;
    if (!following.hasGone()) await sendControl(control, failedFrom(asUserError(error))).catch(() => {});
    throw error;
  } finally {
    await rehearsal;
  }
}

/** Listens to the CLI until it has become the program. */
function followCli(messages: AsyncGenerator<FromCli>, controller: AbortController) {
  let hasGone = false;
  const following = async () => {
    for await (const { type } of messages) {
      if (type === "go") hasGone = true;
      else if (type === "stop") controller.abort();
    }
  };
  // The stream also breaks when the control socket is closed at the end of the run: nothing depends on it then.
  following().catch(() => {}).finally(() => hasGone || controller.abort());
  return { hasGone: () => hasGone };
}

/** From reaching the agent to the end of the run. */
async function serve(
  directory: string,
  start: Start,
  control: Deno.Conn,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const reaching = reachAgent(start.agent, log, signal);
  await log.settled();
  // Read while the agent starts.
  const [layer, reached] = await Promise.allSettled([import("../layer/mod.ts"), reaching]);
  if (reached.status === "rejected") throw reached.reason;
  await using agent = reached.value;
  if (layer.status === "rejected") throw layer.reason;
  const session = await layer.value.startIntproxy({
    agent: agent.duplex,
    secret: agent.secret,
    version: VERSION,
    build: start.build,
    directory,
    settings: settingsOf(start),
    pathMapping: start.pathMapping,
    network: start.network,
    incoming: start.incoming,
    rootPid: start.rootPid,
    isRootWaiting: start.isRootWaiting,
    ...(start.hostname === undefined ? {} : { hostname: start.hostname }),
    log,
    ...(log.isOn("debug") ? { trace: log.at, isTracing: log.isOn("trace") } : {}),
    signal,
  }).catch(async (error: unknown) => {
    throw await agent.refusal() ?? error;
  });
  const { target: { hostname, environ }, warnings } = session;
  await sendControl(control, { type: "ready", hostname, environ: environ.toBase64(), warnings });
  session.attended.then(() => sendControl(control, { type: "attended" })).catch(() => {}); // the CLI may be gone
  if (await session.finished === "agent lost") await agent.cleanUp();
}

interface ReachedAgent extends AsyncDisposable {
  readonly duplex: Duplex;
  readonly secret: Uint8Array;
  /** Why it could not begin, when it told us. */
  refusal(): Promise<UserError | undefined>;
  /** For an agent that was lost: nothing of it shall stay. */
  cleanUp(): Promise<void>;
}

async function reachAgent(source: AgentSource, log: Log, signal: AbortSignal): Promise<ReachedAgent> {
  if (source.kind === "process") {
    return { ...startLocalAgent(source.pid, log), secret: new Uint8Array(32), cleanUp: () => Promise.resolve() };
  }
  const { openPortForward } = await import("../kube/port_forward.ts");
  const duplex = await openPortForward(source.address, { signal });
  return {
    duplex,
    secret: Uint8Array.fromHex(source.secret),
    refusal: () => Promise.resolve(undefined),
    cleanUp: () => removeJob(source, log),
    [Symbol.asyncDispose]: () => Promise.resolve(duplex.close()),
  };
}

/** A pod that somebody deletes is made anew by its Job's controller, and would wait for a client that has gone. */
async function removeJob(
  { address: { server, namespace }, job }: Extract<AgentSource, { kind: "port-forward" }>,
  log: Log,
): Promise<void> {
  if (job === undefined) return;
  const { KINDS, KubeClient } = await import("../kube/client.ts");
  using client = new KubeClient(server);
  try {
    await client.delete(KINDS.jobs, namespace, job, AbortSignal.timeout(REMOVE_MS));
  } catch (error) {
    log(`the agent's Job stays until the cluster removes it: ${error instanceof Error ? error.message : error}`);
  }
}

/** What the intproxy is told, as the shim reads it. */
export function settingsOf({ settings }: Pick<Start, "settings">): UserSettings {
  const bytes = (text: string) => Uint8Array.fromBase64(text);
  return {
    fsMode: settings.fsMode,
    isDnsRemote: settings.isDnsRemote,
    isHostnameRemote: settings.isHostnameRemote,
    isTcpRemote: settings.isTcpRemote,
    isUdpRemote: settings.isUdpRemote,
    isEnvironmentHere: settings.isEnvironmentHere,
    launchDirectory: bytes(settings.launchDirectory),
    home: bytes(settings.home),
    temporaryDirectory: bytes(settings.temporaryDirectory),
    program: bytes(settings.program),
    shim: bytes(settings.shim),
    supervisor: bytes(settings.supervisor),
    mounts: joinNul(settings.mounts.map(utf8)),
    pathRules: bytes(settings.pathRules),
    pathMappings: bytes(settings.pathMappings),
    isIpv6Off: settings.isIpv6Off,
    isIpv6Hidden: settings.isIpv6Hidden,
    unixSockets: bytes(settings.unixSockets),
    skipProcesses: joinNul(settings.skipProcesses.map(utf8)),
    buildTools: joinNul(settings.buildTools.map(utf8)),
  };
}

function asUserError(error: unknown): UserError {
  if (error instanceof UserError) return error;
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return new UserError("INTPROXY_FAILED", `Cannot go on: the intproxy failed: ${text}`, {
    hint: "report it, with what you typed",
  });
}
