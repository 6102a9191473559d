/** Waiting for a condition, in tests: never for a time. */

/** A busy machine takes ten times as long as a quiet one; who fails may take this long to say so. */
export const PATIENCE_MS = 60_000;

/** Polls until it holds; a condition that throws does not hold yet. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = PATIENCE_MS): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (let last: unknown = "it did not hold";;) {
    // Asked once more after the deadline: it may be this process that has stood still.
    const isLast = Date.now() >= deadline;
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    if (isLast) throw new Error(`Gave up after ${withinMs} ms: ${last}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
