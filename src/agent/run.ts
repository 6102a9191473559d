/**
 * The agent's life: open the way in, become the target, serve clients, leave.
 *
 * It leaves (resolves) when the last client that had proved itself has left (and no other came while it was kept), when nobody has come in time, when the
 * target has ended, or when told to by the signal; a guest does not stay longer than its host and its reason.
 */
import { Clients } from "./clients.ts";
import { Incoming } from "./incoming/incoming.ts";
import type { JqCommand } from "./incoming/judge.ts";
import { Names } from "./names.ts";
import { rehearse } from "./rehearsal.ts";
import { becomeTarget, type TargetChoice } from "./target.ts";
import { watchTarget } from "./target_watch.ts";
import { openTransport, type TransportChoice } from "./transport.ts";

export interface AgentOptions {
  target: TargetChoice;
  /** Listening is on loopback of the network namespace the agent was started in, before the target's is entered. */
  transport: TransportChoice;
  /** Undefined only with stdio. */
  secretSha256: Uint8Array | undefined;
  version: string;
  /** Nobody has connected and proved itself in this time: the agent leaves. */
  communicationTimeoutMs: number;
  /** How long to stay for another client when the last one has left. */
  keepAliveMs?: number;
  /** Nothing heard of a client for this long: its session ends. Clients ping every 10 s. */
  clientTimeoutMs: number;
  /** For filters with programs of jq. */
  jq?: JqCommand;
  log: (line: string) => void;
  signal: AbortSignal;
}

/** For a new connection to bring its Hello. */
const HELLO_TIMEOUT_MS = 5000;

/** Runs until there is no reason to stay. Throws `UserError` when it cannot begin. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { secretSha256, transport: way, log } = options;
  if (secretSha256 === undefined && way.kind === "listen") throw new TypeError("An agent that listens needs a secret");
  using transport = openTransport(way);
  // Who is on this machine waits for us, and not for the network. A neighbour is in the target's network from the beginning.
  if (way.kind === "listen" && options.target.kind !== "neighbour") await rehearse(log);
  const target = await becomeTarget(options.target, log, options.signal);
  const incoming = target.pid === undefined ? undefined : new Incoming(log, { jq: options.jq });
  const clients = new Clients({
    target,
    ...incoming && { incoming },
    names: new Names(target.root, target.hostname),
    expectedSecret: secretSha256,
    version: options.version,
    helloTimeoutMs: Math.min(HELLO_TIMEOUT_MS, options.communicationTimeoutMs),
    clientTimeoutMs: options.clientTimeoutMs,
    log,
  });
  using _watch = watchTarget(target, () => clients.leave("The target process has ended"));
  log(`Ready on ${transport.name} for ${target.pid === undefined ? "no target" : `process ${target.pid}`}`);
  const waits = { firstMs: options.communicationTimeoutMs, nextMs: options.keepAliveMs ?? 0 };
  const reason = await clients.serve(transport, waits, options.signal);
  await incoming?.close();
  log(`${reason}: the agent leaves`);
}
