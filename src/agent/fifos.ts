/**
 * Ends of FIFOs of the target, opened as its user would, without ever waiting in the kernel: open(2) of one end waits for the
 * other, and a thread that waits there could not be called back. So it is looked again and again, which the target's programs cannot tell.
 */
import { ERRNO } from "../base/errors.ts";
import type { AGENT } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { closeFifo, closeFound, findFifo, hasWriter, openFound } from "../sys/fifo.ts";
import type { Sockets } from "../sys/sockets.ts";
import { pathOf } from "./files.ts";
import type { UnixPlace } from "./unix_sockets.ts";

type OpenFifo = MessageNamed<typeof AGENT, "OpenFifo">;

const LEAST_PAUSE_MS = 1;
const MOST_PAUSE_MS = 40;

/** A descriptor, once there is another end; or -errno. `isWaiting` false: -ENXIO where there is none now. */
export async function reachFifo(
  { path: bytes, dev, ino, isWriting, isWaiting }: OpenFifo,
  { root, rights }: UnixPlace,
  sockets: Sockets,
  signal: AbortSignal,
): Promise<number> {
  const path = pathOf(bytes);
  if (typeof path === "number") return -path;
  const found = await findFifo(root, path, { dev, ino }, rights);
  if (found < 0) return found;
  let fd = -ERRNO.ENXIO;
  try {
    for (let pauseMs = LEAST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MOST_PAUSE_MS)) {
      if (fd < 0) fd = await openFound(found, isWriting, rights);
      const isJoined = fd >= 0 && (isWriting || hasWriter(fd));
      if (isJoined && !signal.aborted) return fd;
      if (fd < 0 && fd !== -ERRNO.ENXIO) return fd;
      if (!isWaiting) break;
      await pause(pauseMs, fd, sockets, signal);
    }
  } finally {
    await closeFound(found);
  }
  if (fd >= 0) closeFifo(fd);
  return signal.aborted ? -ERRNO.ECONNABORTED : -ERRNO.ENXIO;
}

/** Bytes are told by the kernel, and that a writer has gone; but not that one has come. */
async function pause(ms: number, fd: number, sockets: Sockets, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  const timer = setTimeout(stop, ms);
  signal.addEventListener("abort", stop);
  if (fd >= 0) sockets.watch(fd, { onReady: stop });
  await promise;
  if (fd >= 0) sockets.forget(fd);
  signal.removeEventListener("abort", stop);
  clearTimeout(timer);
}
