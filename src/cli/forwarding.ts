/**
 * What `mirrord port-forward` does: ports are opened, the agent is made and reached, and connections go through it until a
 * signal comes or the agent is lost. What was made is undone last first: ports, the agent's client, the agent.
 */
import type { Duplex } from "../base/duplex.ts";
import { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import { AgentClient } from "../layer/intproxy/agent_client.ts";
import { Forwarder } from "../layer/intproxy/forwarder.ts";
import type { AgentSource } from "./control.ts";
import { formatDestination, type Forward } from "./forwards.ts";
import { type Progress, startProgress } from "./progress.ts";
import { reachableAgent } from "./run.ts";
import { startingLimits } from "./self.ts";
import { StartSignals } from "./start_signals.ts";
import { complain, printLine } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Signal 1 in StartSignals' mask. */
const HANG_UP = 1n;

/** Resolves with the exit code, when a signal has come. Throws `UserError` when there is no agent, or none any more. */
export async function forwardPorts(config: Config, forwards: readonly Forward[]): Promise<number> {
  // Ctrl-C ends it in the background of a script too, where it is ignored; nohup's hang-up does not.
  const ignored = startingLimits().ignoredSignals & HANG_UP;
  using signals = new StartSignals(ignored);
  const onHangUp = () => {};
  if (ignored) Deno.addSignalListener("SIGHUP", onHangUp); // without a listener it would end us
  try {
    await forwardUntil(config, forwards, signals.signal);
  } catch (error) {
    if (signals.exitCode === undefined) throw error;
  } finally {
    if (ignored) Deno.removeSignalListener("SIGHUP", onHangUp);
  }
  return signals.exitCode ?? 0;
}

async function forwardUntil(config: Config, forwards: readonly Forward[], signal: AbortSignal): Promise<void> {
  await using undo = new AsyncDisposableStack();
  using progress = startProgress(Deno.env.get("MIRRORD_PROGRESS_MODE"), "mirrord port-forward");
  const onFailure = (text: string) => complain(`warning: ${text}\n`);
  const ports = await Forwarder.open(forwards, onFailure);
  undo.defer(() => ports.close()); // for a start that fails
  const client = await reachAgent(config, progress, undo, signal);
  undo.defer(() => ports.close()); // before the client
  ports.begin(client);
  progress.finish("ready");
  for (const it of forwards) printLine(`127.0.0.1:${it.localPort} leads to ${formatDestination(it)} of the target`);
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  signal.addEventListener("abort", () => resolve(undefined), { once: true });
  if (signal.aborted) resolve(undefined);
  const reason = await Promise.race([stopped, client.lost]);
  if (reason === undefined) return;
  throw new UserError("AGENT_LOST", `Cannot forward any longer: the agent was lost (${reason.message})`, {
    hint: "start it again; `kubectl logs -l app=mirrord` may tell why",
  });
}

async function reachAgent(
  config: Config,
  progress: Progress,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<AgentClient> {
  // An agent that is kept would be forgotten when this ends: it is for runs.
  const own = { ...config, agent: { ...config.agent, keepAliveSeconds: 0 } };
  const agent = await reachableAgent(own, progress, undo, signal);
  const client = await progress.step("reaching the agent", async (step) => {
    step.done = "agent ready";
    return await agent.explained(shakeHands(agent.source, undo, signal));
  });
  for (const warning of client.warnings) progress.warning(warning);
  return client;
}

async function shakeHands(source: AgentSource, undo: AsyncDisposableStack, signal: AbortSignal): Promise<AgentClient> {
  const { duplex, secret, refusal } = await reach(source, undo, signal);
  const client = new AgentClient(duplex, { log: () => {} });
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

async function reach(source: AgentSource, undo: AsyncDisposableStack, signal: AbortSignal): Promise<Reached> {
  if (source.kind === "process") {
    const { startLocalAgent } = await import("./local_agent.ts");
    const agent = undo.use(startLocalAgent(source.pid, () => {}));
    return { duplex: agent.duplex, secret: new Uint8Array(32), refusal: () => agent.refusal() };
  }
  const { openPortForward } = await import("../kube/port_forward.ts");
  const duplex = undo.use(await openPortForward(source.address, { signal }));
  return { duplex, secret: Uint8Array.fromHex(source.secret), refusal: () => Promise.resolve(undefined) };
}
