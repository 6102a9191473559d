/**
 * A turn for everybody else. Reads that find bytes at once are answered within the same turn of the event loop, so a loop over a
 * peer that never stops to talk would keep all other connections waiting.
 */
import { setImmediate } from "node:timers";

/** Resolves when whatever else is ready has had its turn. */
export function othersTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}
