/**
 * An agent that one command has for itself, without an intproxy: port-forward, dump and diagnose. What was made is undone
 * last first.
 */
import type { Duplex } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import { AgentClient } from "../layer/intproxy/agent_client.ts";
import type { ReachableAgent } from "./cluster.ts";
import type { AgentSource } from "./control.ts";
import { openLog } from "./log.ts";
import { loggingOf } from "./logging.ts";
import type { Progress } from "./progress.ts";
import { reachableAgent } from "./run.ts";
import { userEnvironment } from "./self.ts";
import { complain } from "./terminal.ts";
import { VERSION } from "./version.ts";

export interface OwnAgent {
  readonly client: AgentClient;
  readonly found: ReachableAgent;
}

/** What the agent warns of is shown, from now on too; `command` names us in the log. Throws `UserError`. */
export async function reachOwnAgent(
  command: string,
  config: Config,
  progress: Progress,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<OwnAgent> {
  // An agent that is kept would be forgotten when this ends: it is for runs.
  const own = { ...config, agent: { ...config.agent, keepAliveSeconds: 0 } };
  const environment = userEnvironment();
  const run = crypto.getRandomValues(new Uint8Array(4)).toHex();
  const logging = loggingOf(config.internalProxy, environment, Deno.cwd(), run);
  if (logging.path !== undefined) progress.info(`log: ${logging.path}`);
  const log = undo.use(openLog(logging, command));
  const found = await reachableAgent(own, progress, undo, signal);
  const client = await progress.step("reaching the agent", async (step) => {
    step.done = "agent ready";
    return await found.explained(shakeHands(found.source, undo, signal, log));
  });
  for (const warning of client.warnings) progress.warning(warning);
  client.onWarning = (text) => complain(`warning: ${text}\n`);
  return { client, found };
}

/** Resolves when it is to stop; throws when the agent is lost before. `act` is what goes on with it. */
export async function untilLost(client: AgentClient, act: string, signal: AbortSignal): Promise<void> {
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  signal.addEventListener("abort", () => resolve(undefined), { once: true });
  if (signal.aborted) resolve(undefined);
  const reason = await Promise.race([stopped, client.lost]);
  if (reason === undefined) return;
  throw new UserError("AGENT_LOST", `Cannot ${act} any longer: the agent was lost (${reason.message})`, {
    hint: "start it again; `kubectl logs -l app=mirrord` may tell why",
  });
}

/** The client of an agent that is there; `undo` lets go of it. Throws `UserError`. */
export async function shakeHands(
  source: AgentSource,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
  log: (line: string) => void = () => {},
): Promise<AgentClient> {
  const { duplex, secret, refusal } = await reach(source, undo, signal, log);
  const client = new AgentClient(duplex, { log });
  undo.defer(() => client.close());
  await client.shakeHands(VERSION, secret).catch(async (error) => {
    throw await refusal() ?? error;
  });
  signal.throwIfAborted();
  return client;
}

interface Reached {
  readonly duplex: Duplex;
  readonly secret: Uint8Array;
  /** Why it could not begin, when it told us. */
  refusal(): Promise<UserError | undefined>;
}

async function reach(
  source: AgentSource,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<Reached> {
  if (source.kind === "process") {
    const { startLocalAgent } = await import("./local_agent.ts");
    const agent = undo.use(startLocalAgent(source.pid, log));
    return { duplex: agent.duplex, secret: new Uint8Array(32), refusal: () => agent.refusal() };
  }
  const { openPortForward } = await import("../kube/port_forward.ts");
  const duplex = undo.use(await openPortForward(source.address, { signal }));
  return { duplex, secret: Uint8Array.fromHex(source.secret), refusal: () => Promise.resolve(undefined) };
}
