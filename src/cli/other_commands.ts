/**
 * Commands of the reference tool's that this one does not have: each is answered by one sentence, and what to use instead.
 */
import { UserError } from "../base/errors.ts";

const OPERATOR = "it needs the operator, which this tool does not have";
const PROCESSES = "a program here is a process of yours, and ends as any other";

interface OtherCommand {
  readonly names: readonly string[];
  readonly why: string;
  readonly instead: string;
}

const OTHERS: readonly OtherCommand[] = [
  {
    names: ["container", "container-ext"],
    why: "programs in containers cannot be entered",
    instead: "`mirrord exec` runs the program itself, outside of its container",
  },
  {
    names: ["ui", "wizard"],
    why: "there is no web page",
    instead: "mirrord-schema.json completes configuration files in editors; `mirrord explain` tells what they mean",
  },
  {
    names: ["session", "sessions", "kill"],
    why: PROCESSES,
    instead: "`ps -e`; `mirrord console` shows what its runs do",
  },
  {
    names: ["chaos"],
    why: "there is no fault injection",
    instead: "`tc qdisc … netem` on this machine delays and loses what programs send",
  },
  {
    names: ["vpn"],
    why: "a whole machine cannot stand in for a target",
    instead: "`mirrord exec` for programs, `mirrord port-forward` for ports",
  },
  {
    names: ["operator", "preview", "queues", "qs", "db-branches", "subscribe"],
    why: OPERATOR,
    instead: "`mirrord exec` works without it",
  },
  {
    names: ["ci"],
    why: OPERATOR,
    instead: "`mirrord exec` works in a pipeline as it does anywhere: it needs a kubeconfig and no terminal",
  },
  {
    names: ["teams", "newsletter"],
    why: "it opens no web pages",
    instead: "`mirrord --help` lists the commands",
  },
  {
    names: ["attach", "pitm", "crash-monitor", "cleanup-guardian", "extproxy"],
    why: "it is of a part that this tool does not have, or not on Linux",
    instead: "`mirrord --help` lists the commands",
  },
];

/** Throws `UserError` (exit code 2) for a command that others have. */
export function refuseOther(name: string): void {
  const other = OTHERS.find(({ names }) => names.includes(name));
  if (!other) return;
  throw new UserError("COMMAND_UNSUPPORTED", `Cannot run "mirrord ${name}": ${other.why}`, {
    hint: other.instead,
    exitCode: 2,
  });
}
