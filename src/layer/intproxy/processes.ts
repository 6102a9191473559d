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
