/**
 * Which processes belong to a run, and whether any of them still lives.
 *
 * The kernel is asked, nothing is kept in step: /proc/PID/stat tells state, parent and start time. A pid with another start time
 * is another process (proc(5): field 22); a zombie has ended, even if its parent has not yet asked.
 */
import { equalBytes, splitNul } from "../../base/bytes.ts";

interface ProcessState {
  readonly isZombie: boolean;
  readonly parent: number;
  readonly startTime: string;
}

/** Null when there is no such process. */
export function processState(pid: number): ProcessState | null {
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return null;
  }
  // The name, in parentheses, may hold anything: fields are counted from the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { isZombie: fields[0] === "Z" || fields[0] === "X", parent: Number(fields[1]), startTime: fields[19] ?? "" };
}

/** The processes that ever showed themselves in a run: the program itself, and every process the shim entered. */
export class RunProcesses {
  readonly #startTimes = new Map<number, string>();

  /** A pid that is of this run; nothing happens for one that has ended already. */
  add(pid: number): void {
    const state = processState(pid);
    if (state && !state.isZombie) this.#startTimes.set(pid, state.startTime);
  }

  /** Pids of those that live, after forgetting those that have ended. */
  living(): number[] {
    for (const [pid, startTime] of this.#startTimes) {
      const state = processState(pid);
      if (!state || state.isZombie || state.startTime !== startTime) this.#startTimes.delete(pid);
    }
    return [...this.#startTimes.keys()];
  }

  /** The living and all that descend from them, forked children without a connection of their own included. */
  family(): Set<number> {
    const family = new Set(this.living());
    const parents = new Map<number, number>();
    for (const pid of pidsOfThisMachine()) {
      const state = processState(pid);
      if (state && !state.isZombie) parents.set(pid, state.parent);
    }
    for (let grew = true; grew;) {
      grew = false;
      for (const [pid, parent] of parents) {
        if (family.has(pid) || !family.has(parent)) continue;
        family.add(pid);
        grew = true;
      }
    }
    return family;
  }
}

/** Living processes that were started with this "NAME=value" in their environment; other users' are passed over. */
export function processesWithVariable(variable: Uint8Array): number[] {
  return pidsOfThisMachine().filter((pid) => pid !== Deno.pid && hasVariable(pid, variable));
}

/** Whether this process was started with this "NAME=value" in its environment. */
export function hasVariable(pid: number, variable: Uint8Array): boolean {
  try {
    const entries = splitNul(Deno.readFileSync(`/proc/${pid}/environ`));
    return entries.some((entry) => equalBytes(entry, variable));
  } catch {
    return false;
  }
}

function pidsOfThisMachine(): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter(Number.isInteger);
}

const LISTEN = "0A"; // TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp prints it

/**
 * Whether a process of `family` listens on this address (4 or 16 bytes) and TCP port of this machine. Costs nothing but two
 * reads when nobody does.
 */
export function isListenerOf(address: Uint8Array, port: number, family: () => Set<number>): boolean {
  const inodes = new Set(
    [...listenerInodes("/proc/net/tcp", port), ...listenerInodes("/proc/net/tcp6", port)]
      .filter(([bound]) => serves(bound, address)).map(([, inode]) => inode),
  );
  if (inodes.size === 0) return false;
  return [...family()].some((pid) => holdsSocket(pid, inodes));
}

/** The listeners of a port: what they are bound to, as hexadecimal text, and the inode of the socket. */
function listenerInodes(table: string, port: number): [bound: string, inode: string][] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  let text: string;
  try {
    text = Deno.readTextFileSync(table);
  } catch {
    return [];
  }
  const rows = text.split("\n").slice(1).map((line) => line.trim().split(/\s+/));
  const listeners = rows.filter((row) => row[1]?.endsWith(suffix) && row[3] === LISTEN);
  return listeners.map((row) => [row[1]!.slice(0, -suffix.length), row[9]!]);
}

/** A socket bound to this reaches `address`: it is the same, or a wildcard. */
function serves(bound: string, address: Uint8Array): boolean {
  return /^0+$/.test(bound) || bound.endsWith(hexOfWords(address));
}

/** As the kernel prints an address there: words of 32 bits in the machine's order (little-endian on all that we run on). */
function hexOfWords(address: Uint8Array): string {
  const words = Array.from(
    { length: address.length / 4 },
    (_, at) => address.slice(at * 4, at * 4 + 4).reverse().toHex(),
  );
  return words.join("").toUpperCase();
}

function holdsSocket(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    for (const entry of Deno.readDirSync(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${entry.name}`))?.[1];
      if (inode && inodes.has(inode)) return true;
    }
  } catch {
    // The process has ended, or is another user's now.
  }
  return false;
}

function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
