/** Which ports of the target's network somebody listens on. Refuses nothing: what cannot be read is listened on. */

const LISTEN = "0A"; // TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp prints it
/** Of this thread's network: the target's. */
const TABLES = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];

/**
 * Those of `ports` on which the kernel does not refuse connections before anything can be asked of them: somebody
 * listens there, or another agent takes them (`shared`; nothing is read for those, for their clients do not wait for us).
 */
export function listenedOn(ports: readonly number[], shared: readonly number[]): readonly number[] {
  if (ports.every((it) => shared.includes(it))) return ports;
  const texts = TABLES.map(readText);
  if (texts.every((it) => it === "")) return ports;
  const found = new Set<number>();
  for (
    const [, own, state] of texts.join("\n").matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} (\w\w) /gm)
  ) {
    if (state === LISTEN) found.add(Number.parseInt(own!, 16));
  }
  return ports.filter((it) => found.has(it) || shared.includes(it));
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
