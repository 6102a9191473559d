/** What commands do that go on until Ctrl-C. */
import { startingLimits } from "./self.ts";
import { StartSignals } from "./start_signals.ts";

/** Signal 1 in StartSignals' mask. */
const HANG_UP = 1n;

/** Resolves with the exit code once `run` has, which `signal` ends. */
export async function untilSignal(run: (signal: AbortSignal) => Promise<void>): Promise<number> {
  // Ctrl-C ends it in the background of a script too, where it is ignored; nohup's hang-up does not.
  const ignored = startingLimits().ignoredSignals & HANG_UP;
  using signals = new StartSignals(ignored);
  try {
    await run(signals.signal);
  } catch (error) {
    if (signals.exitCode === undefined) throw error;
  }
  return signals.exitCode ?? 0;
}
