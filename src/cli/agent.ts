/**
 * `mirrord agent`: what runs beside the target. The image's entrypoint starts it in the cluster, `mirrord intproxy` for
 * process/PID on this machine. Arguments that make no sense are refused before anything is opened.
 */
import { UserError } from "../base/errors.ts";
import { type Command, type CommandInput, isGiven, valueOf } from "./command.ts";
import { VERSION } from "./version.ts";

const SECRET_HASH = "MIRRORD_AGENT_SECRET_SHA256";

export const AGENT_COMMAND: Command = {
  name: "agent",
  summary: "Act as a target for a client (what runs in the cluster)",
  doc:
    `Acts for one client as a process of the target would. Not typed by hand: \`mirrord exec\` starts it where the target is.

With --listen, ${SECRET_HASH} must hold the SHA-256 (hex) of the secret that clients have to show.`,
  usage: [
    "mirrord agent (--pid PID | --container-id ID | --neighbour ID | --targetless) (--listen PORT | --stdio) [options]",
  ],
  flags: [
    { flag: "--pid", value: "PID", doc: "The target is this process", group: "Target, one of" },
    {
      flag: "--container-id",
      value: "ID",
      doc: "The target is the first process of this container on this node",
      group: "Target, one of",
    },
    {
      flag: "--neighbour",
      value: "ID",
      doc: "The target is the container whose pod and processes this one shares; ID as for --container-id",
      group: "Target, one of",
    },
    { flag: "--targetless", doc: "There is no target: act as this container would", group: "Target, one of" },
    {
      flag: "--listen",
      value: "PORT",
      doc: "Wait for the client on this port of the loopback interface",
      group: "Transport, one of",
    },
    { flag: "--stdio", doc: "The client is at standard input and output", group: "Transport, one of" },
    {
      flag: "--communication-timeout",
      value: "SECONDS",
      doc: "Leave when no client has come for this long",
      default: "30",
      group: "Options",
    },
    {
      flag: "--keep-alive",
      value: "SECONDS",
      doc: "Stay this long for another client when the last one has left",
      default: "0",
      group: "Options",
    },
    {
      flag: "--client-timeout",
      value: "SECONDS",
      doc: "Leave when the client has been silent for this long",
      default: "60",
      group: "Options",
    },
  ],
  async run(input) {
    const options = {
      target: targetOf(input),
      transport: transportOf(input),
      secretSha256: secretHash(input),
      version: VERSION,
      communicationTimeoutMs: secondsOf(input, "--communication-timeout", 30) * 1000,
      keepAliveMs: secondsOf(input, "--keep-alive", 0) * 1000,
      clientTimeoutMs: secondsOf(input, "--client-timeout", 60) * 1000,
    };
    if (input.rest.length > 0) throw refuse(`"${input.rest[0]}" is too much`);
    const { serveAsAgent } = await import("./agent_process.ts");
    return await serveAsAgent(options);
  },
};

type AgentTarget =
  | { kind: "pid"; pid: number }
  | { kind: "container"; id: string }
  | { kind: "neighbour"; id: string }
  | { kind: "none" };

function targetOf(input: CommandInput): AgentTarget {
  const [pid, container, neighbour] = ["--pid", "--container-id", "--neighbour"].map((it) => valueOf(input, it));
  const given = [pid, container, neighbour].filter((it) => it !== undefined).length;
  if (given + Number(isGiven(input, "--targetless")) !== 1) {
    throw refuse("it needs exactly one of --pid, --container-id, --neighbour, --targetless");
  }
  const id = container ?? neighbour;
  if (pid !== undefined) return { kind: "pid", pid: numberOf("--pid", pid, 1, 1 << 22) };
  if (id === undefined) return { kind: "none" };
  // As the kubelet reports it: containerd://64 hex digits; the runtime's name before it is not needed.
  const bare = id.replace(/^[a-z-]+:\/\//, "");
  if (!/^[0-9a-f]{12,64}$/.test(bare)) throw refuse(`"${id}" is not the id of a container`);
  return { kind: container === undefined ? "neighbour" : "container", id: bare };
}

function transportOf(input: CommandInput): { kind: "stdio" } | { kind: "listen"; port: number } {
  const port = valueOf(input, "--listen");
  if ((port !== undefined) === isGiven(input, "--stdio")) throw refuse("it needs exactly one of --listen, --stdio");
  return port === undefined ? { kind: "stdio" } : { kind: "listen", port: numberOf("--listen", port, 1, 65535) };
}

/** A pipe belongs to whoever started us; a port does not. */
function secretHash(input: CommandInput): Uint8Array<ArrayBuffer> | undefined {
  const text = Deno.env.get(SECRET_HASH);
  if (!text) {
    if (isGiven(input, "--stdio")) return undefined;
    throw refuse(`with --listen, ${SECRET_HASH} has to be set`);
  }
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw refuse(`${SECRET_HASH} is not a SHA-256 in hex`);
  return Uint8Array.fromHex(text);
}

function secondsOf(input: CommandInput, flag: string, fallback: number): number {
  const text = valueOf(input, flag);
  return text === undefined ? fallback : numberOf(flag, text, 1, 86400);
}

function numberOf(flag: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most)) throw refuse(`${flag} "${text}" is not a number from ${least} to ${most}`);
  return value;
}

function refuse(reason: string): UserError {
  const hint = "`mirrord agent --help` says how it is started";
  return new UserError("AGENT_USAGE", `Cannot start the agent: ${reason}`, { hint, exitCode: 2 });
}
