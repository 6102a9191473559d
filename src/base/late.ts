/**
 * A time limit for what comes from others. A process that has stood still, as on a busy machine, finds its limits over and what
 * had come in time unread: it reads that first.
 */

/** Turns of the event loop, each with a look at what has come (which those of turn.ts are not), and some to pass it on. */
const TURNS = 3;

/** Calls `then` after `ms`, unless what it returns was called before. */
export function whenLate(ms: number, then: () => void): () => void {
  let isOff = false;
  const timer = setTimeout(async () => {
    for (let turn = 0; turn < TURNS && !isOff; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    if (!isOff) then();
  }, ms);
  return () => {
    isOff = true;
    clearTimeout(timer);
  };
}
