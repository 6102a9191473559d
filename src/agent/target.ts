/**
 * Whom the agent stands in for: a process (by its PID, or by the id of the container it is the first process of), or
 * nobody but the agent's own pod.
 *
 * A container is found through /proc alone: its id is part of the cgroup path of its processes, in cgroup v1 and v2 and
 * for every container runtime; the PIDs of the node must be visible (hostPID).
 */
import { joinNul, utf8 } from "../base/bytes.ts";
import { ERRNO, UserError } from "../base/errors.ts";
import { canTakeRights, openRoot, type PackedRights, packRights, type Rights, setNetworkFiles } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { enterNetworkOf, hostnameOf } from "../sys/namespaces.ts";

export type TargetChoice =
  | { kind: "pid"; pid: number }
  | { kind: "container"; id: string }
  /** The container that an ephemeral container was made for. */
  | { kind: "neighbour"; id: string }
  | { kind: "none" };

/** How long a container that was just started may take to show up. */
const CONTAINER_WAIT_MS = 5000;
const CONTAINER_POLL_MS = 200;

export interface Target {
  /** Undefined: no process, the agent's own pod. */
  pid: number | undefined;
  /** Tells this process from a later one of the same number: start time in ticks since boot. */
  startTicks: string;
  /** O_PATH descriptor of the target's root directory. */
  root: number;
  rights: PackedRights;
  /** Host name as the target sees it. */
  hostname(): string | number;
  /** NUL-terminated variables; rejects when the process is gone. */
  environ(): Promise<Uint8Array>;
}

/** Finds the target and moves this process's new sockets into its network. Throws `UserError`. */
export async function becomeTarget(
  choice: TargetChoice,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<Target> {
  if (choice.kind === "none") {
    tellNetworkFiles("self", log);
    return targetless();
  }
  const pid = choice.kind === "pid"
    ? choice.pid
    : choice.kind === "container"
    ? await pidOfContainer(choice.id, signal)
    : pidOfNeighbour(choice.id);
  const stat = readStat(pid);
  if (!stat || stat.isDead) {
    throw new UserError("NO_SUCH_PROCESS", `Cannot use process ${pid} as the target: no such process`, {
      hint: "give the PID of a process that runs on this machine, as `ps` shows it",
    });
  }
  const root = openRoot(cString(`/proc/${pid}/root`));
  if (root < 0) throw cannotEnter(pid, "its files", root);
  const status = sharesNetwork(pid) ? 0 : enterNetworkOf(pid);
  if (status < 0) throw cannotEnter(pid, "its network", status);
  tellNetworkFiles(pid, log);
  return {
    pid,
    startTicks: stat.startTicks,
    root,
    rights: rightsTowards(pid, log),
    hostname: () => hostnameOf(pid),
    environ: () => Deno.readFile(`/proc/${pid}/environ`),
  };
}

/** Programs read of their network in /proc/net. */
function tellNetworkFiles(pid: number | "self", log: (line: string) => void): void {
  if (!setNetworkFiles(cString(`/proc/${pid}/net`))) log("Cannot open the target's /proc/net: it is missing there");
}

function sharesNetwork(pid: number): boolean {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/net`) === Deno.readLinkSync("/proc/self/ns/net");
  } catch {
    return false; // entering it will say why
  }
}

function targetless(): Target {
  const root = openRoot(cString("/"));
  if (root < 0) throw cannotEnter("self", "its files", root);
  return {
    pid: undefined,
    startTicks: "",
    root,
    rights: null,
    // Entering even our own UTS namespace takes a capability, and without a target the agent has none.
    hostname: () => Deno.hostname(),
    environ: () => Promise.resolve(ownEnviron()),
  };
}

/** The agent's variables without those that are about the agent. */
function ownEnviron(): Uint8Array {
  const variables = Object.entries(Deno.env.toObject()).filter(([name]) => !/^(MIRRORD|DENO)_/.test(name));
  return joinNul(variables.map(([name, value]) => utf8(`${name}=${value}`)));
}

function cannotEnter(pid: number | "self", what: string, status: number): UserError {
  const reasons = new Map<number, [string, string]>([
    [ERRNO.EPERM, ["not permitted", "the agent must be root, or have CAP_SYS_PTRACE and CAP_SYS_ADMIN"]],
    [ERRNO.EACCES, ["not permitted", "the agent must be root, or have CAP_SYS_PTRACE and CAP_SYS_ADMIN"]],
    [ERRNO.ENOENT, ["the process is gone", "choose a process that keeps running"]],
    [ERRNO.ENOSYS, ["the kernel is too old", "Linux 5.8 or newer is needed"]],
  ]);
  const [reason, hint] = reasons.get(-status) ?? [`error ${-status}`, "the kernel's log may say why"];
  return new UserError("TARGET_NOT_ENTERED", `Cannot enter ${what} of process ${pid}: ${reason}`, { hint });
}

/** What is read of /proc/PID/stat; undefined when there is no such process. */
export function readStat(pid: number): { startTicks: string; isDead: boolean } | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
  // proc(5): "pid (comm) state …"; comm may hold anything, also ")".
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, threads, startTicks] = [fields[0]!, Number(fields[17]), fields[19]!];
  // A first thread that ended shows as a zombie while the others live on.
  const isDead = state === "X" || (state === "Z" && threads <= 1);
  return { startTicks, isDead };
}

function rightsTowards(pid: number, log: (line: string) => void): PackedRights {
  const target = readRights(pid);
  const own = readRights("self");
  // Root stays root, with our capabilities.
  const isSame = target.uid === own.uid && target.gid === own.gid && `${target.groups}` === `${own.groups}`;
  if (target.uid === 0 || isSame) return null;
  const packed = packRights(target, own);
  if (canTakeRights(packed)) return packed;
  log(`Files are read with the agent's own rights: it may not act as user ${target.uid}`);
  return null;
}

function readRights(pid: number | "self"): Rights {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const numbers = (key: string) =>
    (new RegExp(`^${key}:(.*)$`, "m").exec(status)?.[1] ?? "").split(/\s+/).filter(Boolean).map(Number);
  // proc(5): real, effective, saved and file-system ids.
  return { uid: numbers("Uid")[3]!, gid: numbers("Gid")[3]!, groups: numbers("Groups") };
}

/**
 * Of the container whose process list we share. Where the pod's containers share one list too, the cgroup tells them
 * apart; else the target is its first process.
 */
function pidOfNeighbour(id: string): number {
  const pid = findInCgroups(id);
  if (pid !== undefined) return pid;
  if (Deno.pid !== 1) return 1;
  throw new UserError("TARGET_NOT_ENTERED", "Cannot enter the target: this container sees no processes but its own", {
    hint: "the node's container runtime does not share them with ephemeral containers: use the agent as a Job",
  });
}

async function pidOfContainer(id: string, signal: AbortSignal): Promise<number> {
  // Kubernetes writes "containerd://ID".
  const bare = id.replace(/^[a-z-]+:\/\//, "");
  if (!/^[\w.-]{8,}$/.test(bare)) {
    throw new UserError("BAD_CONTAINER_ID", `Cannot use "${id}" as a container id: not 8 or more letters and digits`, {
      hint: "`kubectl get pod NAME -o jsonpath='{.status.containerStatuses[*].containerID}'` prints it",
    });
  }
  const deadline = Date.now() + CONTAINER_WAIT_MS;
  while (true) {
    const pid = findInCgroups(bare);
    if (pid !== undefined) return pid;
    if (signal.aborted || Date.now() > deadline) break;
    await new Promise((resolve) => setTimeout(resolve, CONTAINER_POLL_MS));
  }
  throw new UserError("CONTAINER_NOT_FOUND", `Cannot find container "${bare}": none of its processes is visible`, {
    hint: "it must run on this node, and the agent must see the node's processes (hostPID)",
  });
}

/** The process of the container that started first; of several that did, the one with the smallest number. */
function findInCgroups(id: string): number | undefined {
  const found: { pid: number; startTicks: number }[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const stat = isInCgroup(pid, id) ? readStat(pid) : undefined;
    if (stat && !stat.isDead) found.push({ pid, startTicks: Number(stat.startTicks) });
  }
  found.sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
  return found[0]?.pid;
}

function isInCgroup(pid: number, id: string): boolean {
  try {
    const lines = Deno.readTextFileSync(`/proc/${pid}/cgroup`).split("\n");
    // CRI-O's monitor of a container is not in it, though its cgroup bears the id too.
    return lines.some((line) => line.includes(id) && !line.includes("conmon"));
  } catch {
    return false; // ended meanwhile
  }
}
