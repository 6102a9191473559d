/** Tells when the target process has ended. Polls: Deno cannot wait for a process that is not its child. */
import { readStat, type Target } from "./target.ts";

const POLL_MS = 500;

/** Calls `onEnd` once, when the process is gone or its number belongs to another. Dispose to stop watching. */
export function watchTarget(target: Target, onEnd: () => void): Disposable {
  const { pid, startTicks } = target;
  if (pid === undefined) return { [Symbol.dispose]() {} };
  const timer = setInterval(() => {
    const stat = readStat(pid);
    if (stat && !stat.isDead && stat.startTicks === startTicks) return;
    clearInterval(timer);
    onEnd();
  }, POLL_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
