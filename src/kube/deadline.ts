/** Waiting for something at most so long, and not beyond the caller's wish. */

/** A wait was longer than it may be. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * What `work` promises. Rejects with `DeadlineError` after `ms`, and with the signal's reason when it is aborted;
 * `work` sees both in the signal that it is given, and what it opens too late is handed to `discard`.
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  options: { ms: number; signal?: AbortSignal | undefined; discard?: (late: T) => void },
): Promise<T> {
  const { ms, signal, discard } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const stopped = Promise.withResolvers<never>();
  const stop = (reason: unknown) => {
    stopped.reject(reason);
    controller.abort(reason);
  };
  const onAbort = () => stop(signal!.reason);
  const timer = setTimeout(() => stop(new DeadlineError(`There was no answer within ${ms / 1000} s`)), ms);
  signal?.addEventListener("abort", onAbort, { once: true });
  let isLate = false;
  const working = work(controller.signal);
  working.then((late) => isLate && discard?.(late), () => {});
  try {
    return await Promise.race([working, stopped.promise]);
  } catch (error) {
    isLate = true;
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Resolves after `ms`; rejects with the signal's reason when it is aborted before. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) return Promise.reject(signal.reason);
  const timer = setTimeout(() => {
    signal?.removeEventListener("abort", onAbort);
    resolve();
  }, ms);
  const onAbort = () => {
    clearTimeout(timer);
    reject(signal!.reason);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}
