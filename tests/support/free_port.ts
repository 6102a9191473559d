/**
 * Ports of this machine that a test gives to a program. None of those that the kernel hands out by itself (32768 and up): between
 * asking for one and using it, any connection of the tests beside may get it.
 */
const FIRST = 10_000;
const LAST = 32_000;
const given = new Set<number>();

export function freePort(): number {
  while (true) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (given.has(port)) continue;
    try {
      using _free = Deno.listen({ hostname: "0.0.0.0", port });
    } catch {
      continue;
    }
    given.add(port);
    return port;
  }
}
