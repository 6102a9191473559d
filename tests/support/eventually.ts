/** Waiting for a condition, in tests: never for a time. */

/** Polls until it holds; a condition that throws does not hold yet. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (let last: unknown = "it did not hold"; Date.now() < deadline;) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (Date.now() >= deadline) throw new Error(`Gave up after ${withinMs} ms: ${last}`);
  }
}
