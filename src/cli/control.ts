/**
 * The conversation between `mirrord exec` and the intproxy it starts: JSON lines on the Unix socket `control` in the
 * session's directory. It ends when the CLI becomes the program (its end closes on exec).
 *
 *   CLI --start--> intproxy --ready--> CLI --go--> (CLI becomes the program) --end of stream-->
 *                  intproxy --failed-> CLI
 *
 * Where the CLI stays (`mirrord ext`), it hears `attended` when a first process of the run is there.
 *
 * The end of the stream before `go` means that the CLI died or gave up: the intproxy leaves and nothing stays behind. So
 * does `stop`, which the CLI sends when it could not become the program after all.
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { UserError } from "../base/errors.ts";
import type { Config } from "../config/resolve.ts";
import type { PathMapping } from "../config/path_mapping.ts";
import type { AgentAddress } from "../kube/port_forward.ts";
import type { IncomingWishes } from "../layer/mod.ts";

/** How the intproxy gets its agent. */
export type AgentSource =
  | { readonly kind: "process"; readonly pid: number }
  | {
    readonly kind: "port-forward";
    readonly address: AgentAddress;
    readonly secret: string;
    /** Of an agent that is this run's alone. */
    readonly job: string | undefined;
  };

export interface Start {
  readonly type: "start";
  readonly agent: AgentSource;
  readonly build: string;
  /** The process that becomes the program: the run lasts at least as long as it. */
  readonly rootPid: number;
  /** It does not become the program: it waits for what others start. */
  readonly isRootWaiting: boolean;
  /** What programs are told the host's name is, where the user has said so. */
  readonly hostname: string | undefined;
  readonly settings: RunSettings;
  readonly pathMapping: PathMapping;
  readonly network: Config["network"];
  readonly incoming: IncomingWishes;
}

/** What the shim has to know and the CLI knows; paths are base64, since they are bytes. */
export interface RunSettings {
  readonly fsMode: number;
  readonly isDnsRemote: boolean;
  readonly isHostnameRemote: boolean;
  readonly isTcpRemote: boolean;
  readonly isUdpRemote: boolean;
  readonly isEnvironmentHere: boolean;
  readonly launchDirectory: string;
  readonly home: string;
  readonly temporaryDirectory: string;
  readonly program: string;
  readonly shim: string;
  readonly supervisor: string;
  readonly mounts: readonly string[];
  readonly pathRules: string;
  readonly pathMappings: string;
  readonly isIpv6Off: boolean;
  readonly isIpv6Hidden: boolean;
  readonly unixSockets: string;
  readonly skipProcesses: readonly string[];
  readonly buildTools: readonly string[];
}

export interface Failed {
  readonly type: "failed";
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly exitCode: number;
}

export type FromCli = Start | { readonly type: "go" } | { readonly type: "stop" };
export type FromIntproxy =
  | {
    readonly type: "ready";
    readonly hostname: string;
    readonly environ: string;
    readonly warnings: readonly string[];
  }
  | { readonly type: "attended" }
  | Failed;

export const CONTROL_SOCKET = "control";
/** Where the intproxy finds it: not on its command line, which all users see. */
export const DIRECTORY_VARIABLE = "MIRRORD_INTPROXY_DIRECTORY";
/** A message longer than this is no message of ours. An environment has at most 6 MB (ARG_MAX), more in base64. */
const MAX_LINE = 16 << 20;

export function failedFrom(error: UserError): Failed {
  return { type: "failed", code: error.code, message: error.message, hint: error.hint, exitCode: error.exitCode };
}

export async function sendControl(conn: Deno.Conn, message: FromCli | FromIntproxy): Promise<void> {
  const bytes = utf8(`${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

/** Messages as they come; ends with the stream. Throws when a line is too long or is no JSON. */
export async function* controlMessages<M extends FromCli | FromIntproxy>(conn: Deno.Conn): AsyncGenerator<M> {
  let pending = new Uint8Array(0);
  const chunk = new Uint8Array(64 << 10);
  while (true) {
    const count = await conn.read(chunk);
    if (count === null) return;
    const joined = new Uint8Array(pending.length + count);
    joined.set(pending);
    joined.set(chunk.subarray(0, count), pending.length);
    let from = 0;
    for (let end = joined.indexOf(10, pending.length); end !== -1; end = joined.indexOf(10, from)) {
      yield JSON.parse(fromUtf8(joined.subarray(from, end))) as M;
      from = end + 1;
    }
    pending = joined.slice(from);
    if (pending.length > MAX_LINE) throw new RangeError("A control message is too long");
  }
}
