/**
 * What `mirrord dump` does: an agent is made and reached, ports are mirrored, and what their peers say is printed until a
 * signal comes, the agent is lost or nobody reads any more. A reader that is slow holds up its own copies only: the agent cuts
 * off those that wait too long, and says so.
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import type { StreamEnd } from "../base/socket_end.ts";
import type { Config } from "../config/resolve.ts";
import { type Arrival, Receiver } from "../layer/intproxy/receiver.ts";
import { type Dumper, dumperFor } from "./dump_format.ts";
import { type OwnAgent, reachOwnAgent, untilLost } from "./own_agent.ts";
import { startProgress } from "./progress.ts";
import { checkTraffic, whoRuns } from "./run.ts";
import { userEnvironment } from "./self.ts";
import { complain, OutputQueue } from "./terminal.ts";
import { untilSignal } from "./until_signal.ts";

/** Resolves with the exit code. `named` empty: the ports of the target. */
export function dumpTraffic(config: Config, named: readonly number[], format: "text" | "json"): Promise<number> {
  const mirroring: Config = { ...config, incoming: { ...config.incoming, mode: "mirror" } };
  checkTraffic(mirroring);
  return untilSignal((signal) => dumpUntil(mirroring, named, format, signal));
}

async function dumpUntil(
  config: Config,
  named: readonly number[],
  format: "text" | "json",
  signal: AbortSignal,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  using progress = startProgress(Deno.env.get("MIRRORD_PROGRESS_MODE"), "mirrord dump");
  const output = new OutputQueue();
  undo.defer(() => output.settled()); // behind the client
  const agent = await reachOwnAgent("dump", config, progress, undo, signal);
  const ports = named.length > 0 ? named : await portsOfTarget(config, agent);
  let connections = 0;
  const receive = (arrival: Arrival) => Promise.resolve(new DumpEnd(arrival, ++connections, dumperFor(format), output));
  const wishes = { ...config.incoming, who: whoRuns(userEnvironment()) };
  const receiver = await Receiver.open(agent.client, ports, wishes, receive).catch((error) => {
    signal.throwIfAborted();
    throw error;
  });
  progress.finish("ready");
  const list = ports.join(", ");
  if (format === "text") complain(`watching port${ports.length === 1 ? "" : "s"} ${list} of the target\n`);
  else output.put(utf8(`${JSON.stringify({ type: "ready", ports })}\n`));
  await untilLost(agent.client, "dump", AbortSignal.any([signal, output.isClosed]));
  receiver.close();
  await receiver.settled();
}

/** Those of its spec; else those on which something listens in its network. Throws `UserError` when there are none. */
async function portsOfTarget({ target }: Config, { client, found }: OwnAgent): Promise<readonly number[]> {
  if (found.ports.length > 0) return found.ports;
  const own = found.source.kind === "port-forward" ? found.source.address.port : 0;
  const read = target.kind === "process"
    ? (name: string) => Deno.readTextFile(`/proc/${target.pid}/net/${name}`).catch(() => "")
    : (name: string) =>
      client.ask(
        { type: "Open", path: utf8(`/proc/1/net/${name}`), flags: 0, inlineBytes: 1 << 20 },
        (it) => it?.errno === 0 ? fromUtf8(it.data.slice()) : "",
      );
  const tables = await Promise.all(["tcp", "tcp6"].map(read));
  const ports = [...new Set(tables.flatMap(listeningPorts))].filter((it) => it !== own).toSorted((a, b) => a - b);
  if (ports.length > 0) return ports;
  throw new UserError("PORT_NOT_NAMED", "Cannot dump: the target's spec names no port, and nothing listens there", {
    hint: "name one: --ports 80",
    exitCode: 2,
  });
}

const LISTEN = "0A"; // TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp prints it

export function listeningPorts(table: string): number[] {
  return table.split("\n").slice(1).map((row) => row.trim().split(/\s+/)).filter((it) => it[3] === LISTEN)
    .map((it) => parseInt(it[1]!.split(":")[1]!, 16));
}

/** The copy of one connection, on its way to standard output. */
class DumpEnd implements StreamEnd {
  readonly #dumper: Dumper;
  readonly #output: OutputQueue;
  #isEnded = false;

  constructor({ port, peer, own }: Arrival, connection: number, dumper: Dumper, output: OutputQueue) {
    this.#dumper = dumper;
    this.#output = output;
    this.#put(dumper.opened(connection, port, peer, own));
  }

  /** Nothing is said to the peer. */
  read(): Promise<null> {
    return Promise.resolve(null);
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    return this.#isEnded ? Promise.resolve() : this.#put(this.#dumper.data(bytes));
  }

  closeWrite(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    this.#isEnded = true;
    return this.#put(this.#dumper.ended());
  }

  reset(): void {
    this.close();
  }

  close(): void {
    this.closeWrite();
  }

  #put(bytes: Uint8Array): Promise<void> {
    return bytes.length === 0 ? Promise.resolve() : this.#output.put(bytes);
  }
}
