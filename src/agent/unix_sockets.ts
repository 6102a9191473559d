/**
 * Connections to Unix sockets as the target would make them: below its root, with its user's rights, and for abstract names
 * in its network. Who serves there is told by the numbers that the target knows.
 */
import { ERRNO } from "../base/errors.ts";
import type { PackedRights } from "../sys/files.ts";
import { connectUnix, type UnixConnection, type UnixKind } from "../sys/unix.ts";

/** Whose sockets: a target's, as far as they are concerned. */
export interface UnixPlace {
  readonly root: number;
  readonly rights: PackedRights;
}

/** Of a path in sun_path (unix(7)) or, from a working directory, longer; and of an abstract name. */
const MOST_NAME_BYTES = 4095;
const MOST_ABSTRACT_BYTES = 108;
const PAUSES_MS = [1, 5, 20, 100];

/** The connection, or an errno. `isBlocking`: waits while who serves there has too many waiting, until `signal` says stop. */
export async function reachUnix(
  name: Uint8Array,
  options: { kind: UnixKind; isBlocking: boolean; place: UnixPlace; signal: AbortSignal },
): Promise<UnixConnection | number> {
  const { kind, isBlocking, place: { root, rights }, signal } = options;
  const isAbstract = name[0] === 0;
  if (name.length === 0 || name.length > (isAbstract ? MOST_ABSTRACT_BYTES : MOST_NAME_BYTES)) return ERRNO.EINVAL;
  if (!isAbstract && name.includes(0)) return ERRNO.EINVAL;
  for (let tries = 0; !signal.aborted; tries++) {
    const made = await connectUnix(name, kind, root, rights);
    if (typeof made !== "number") return { ...made, peer: { ...made.peer, pid: numberInside(made.peer.pid) } };
    if (made !== -ERRNO.EAGAIN || !isBlocking) return -made;
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]));
  }
  return ERRNO.ECONNABORTED;
}

/** The process's number in its own PID namespace, which is the target's where they share one; 0: nobody we see. */
function numberInside(pid: number): number {
  try {
    const numbers = /^NSpid:\s*(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1]?.split(/\s+/);
    return Number(numbers?.at(-1) ?? pid);
  } catch {
    return pid;
  }
}
