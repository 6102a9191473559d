import assert from "node:assert/strict";
import { listenersOn } from "../../sys/relay.ts";
import { Listeners, listenersByProc } from "./listeners.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** Undefined without IPv6. */
function listenOn(hostname: string): Deno.TcpListener | undefined {
  try {
    return Deno.listen({ port: 0, hostname });
  } catch {
    return undefined;
  }
}

function has(family: number[], address: Uint8Array, port: number): boolean {
  return new Listeners(() => new Set(family)).has([address], port);
}

Deno.test("a port belongs to the run only while a process of its family listens on that address", () => {
  const listener = listenOn("127.0.0.1")!;
  const { port } = listener.addr;
  assert.equal(has([Deno.pid], LOOPBACK, port), true);
  assert.equal(has([1], LOOPBACK, port), false);
  assert.equal(has([Deno.pid], Uint8Array.of(127, 0, 0, 2), port), false);
  assert.equal(has([Deno.pid], LOOPBACK6, port), false);
  listener.close();
  assert.equal(has([Deno.pid], LOOPBACK, port), false);
});

Deno.test("nobody's processes are looked at while nobody listens, nor twice for the same listener", () => {
  let looks = 0;
  const listeners = new Listeners(() => (looks++, new Set([Deno.pid])));
  const listener = listenOn("127.0.0.1")!;
  const { port } = listener.addr;
  for (let round = 0; round < 3; round++) assert.equal(listeners.has([LOOPBACK], port), true);
  assert.equal(looks, 1);
  listener.close();
  assert.equal(listeners.has([LOOPBACK], port), false);
  assert.equal(looks, 1);
});

Deno.test("a listener on every address serves each of them, IPv4 ones of an IPv6 socket too", () => {
  const cases = [["0.0.0.0", LOOPBACK, true], ["0.0.0.0", LOOPBACK6, false], ["::", LOOPBACK, true], [
    "::",
    LOOPBACK6,
    true,
  ]];
  for (const [hostname, address, isServed] of cases as [string, Uint8Array, boolean][]) {
    const listener = listenOn(hostname);
    if (!listener) continue;
    assert.equal(has([Deno.pid], address, listener.addr.port), isServed, hostname);
    listener.close();
  }
});

Deno.test("sock_diag and /proc tell the same", () => {
  for (const hostname of ["127.0.0.1", "0.0.0.0", "::1", "::"]) {
    const listener = listenOn(hostname);
    if (!listener) continue;
    const byProc = listenersByProc(listener.addr.port);
    const told = listenersOn(listener.addr.port);
    assert.equal(byProc.length, 1);
    if (typeof told !== "number") assert.deepEqual(told, byProc);
    listener.close();
  }
});
