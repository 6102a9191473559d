/**
 * What `mirrord port-forward` does: ports here are opened, the agent is made and reached, ports of the target are taken, and
 * connections go both ways until a signal comes or the agent is lost.
 */
import type { Config } from "../config/resolve.ts";
import { Forwarder } from "../layer/intproxy/forwarder.ts";
import { type Arrival, connectHere, Receiver } from "../layer/intproxy/receiver.ts";
import { formatDestination, type Forward, type ReverseForward } from "./forwards.ts";
import { reachOwnAgent, untilLost } from "./own_agent.ts";
import { adviseOnProbes } from "./probes.ts";
import { startProgress } from "./progress.ts";
import { checkTraffic, whoRuns } from "./run.ts";
import { userEnvironment } from "./self.ts";
import { complain, printLine } from "./terminal.ts";
import { untilSignal } from "./until_signal.ts";

export interface Forwards {
  readonly local: readonly Forward[];
  readonly reverse: readonly ReverseForward[];
}

/** Resolves with the exit code, when a signal has come. Throws `UserError` when there is no agent, or none any more. */
export function forwardPorts(config: Config, forwards: Forwards): Promise<number> {
  if (forwards.reverse.length > 0) checkTraffic(config);
  const { incoming } = config;
  const needed: Config = forwards.reverse.length > 0 ? config : { ...config, incoming: { ...incoming, mode: "off" } };
  return untilSignal((signal) => forwardUntil(needed, forwards, signal));
}

async function forwardUntil(config: Config, { local, reverse }: Forwards, signal: AbortSignal): Promise<void> {
  await using undo = new AsyncDisposableStack();
  using progress = startProgress(Deno.env.get("MIRRORD_PROGRESS_MODE"), "mirrord port-forward");
  const onFailure = (text: string) => complain(`warning: ${text}\n`);
  const ports = await Forwarder.open(local, onFailure);
  undo.defer(() => ports.close()); // for a start that fails
  let receiver: Receiver | undefined;
  undo.defer(() => receiver?.settled()); // behind the client
  const { client, found } = await reachOwnAgent("port-forward", config, progress, undo, signal);
  undo.defer(() => ports.close()); // before the client
  if (reverse.length > 0) {
    const remotePorts = reverse.map((it) => it.remotePort);
    const advice = adviseOnProbes(config.incoming, found.probes, remotePorts);
    for (const warning of advice.warnings) progress.warning(warning);
    const wishes = { ...advice.incoming, who: whoRuns(userEnvironment()) };
    receiver = await Receiver.open(client, remotePorts, wishes, receiveAt(reverse, onFailure)).catch((error) => {
      signal.throwIfAborted();
      throw error;
    });
  }
  ports.begin(client);
  progress.finish("ready");
  for (const it of local) printLine(`127.0.0.1:${it.localPort} leads to ${formatDestination(it)} of the target`);
  const how = config.incoming.mode === "steal" ? "stolen for" : "mirrored to";
  for (const it of reverse) printLine(`port ${it.remotePort} of the target is ${how} 127.0.0.1:${it.localPort}`);
  await untilLost(client, "forward", signal);
  receiver?.close();
}

/** Connects to this machine's port for each connection; tells of a port where nobody listens. */
function receiveAt(reverse: readonly ReverseForward[], onFailure: (text: string) => void) {
  return async ({ port }: Arrival) => {
    const { localPort } = reverse.find((it) => it.remotePort === port)!;
    const end = await connectHere(localPort);
    if (typeof end !== "string") return end;
    const because = end === "ECONNREFUSED" ? "nobody listens there" : end;
    onFailure(`a connection to port ${port} of the target did not reach port ${localPort} here: ${because}`);
    return undefined;
  };
}
