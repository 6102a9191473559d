import assert from "node:assert/strict";
import { chosenFor, isConflict } from "./listener_choice.ts";

const at = (address: number[], isV6Only = false) => ({ address: new Uint8Array(address), isV6Only });
const SIX = (last: number) => [...new Array(15).fill(0), last];
const POD = [10, 1, 2, 3];
const any4 = at([0, 0, 0, 0]), any6 = at(SIX(0)), only6 = at(SIX(0), true), pod = at(POD), near = at([127, 0, 0, 1]);

Deno.test("a connection goes to the socket that is bound to its address, else of its family, else of both", () => {
  const own = new Uint8Array(POD);
  assert.equal(chosenFor(own, [any4, only6]), any4);
  assert.equal(chosenFor(new Uint8Array(SIX(1)), [any4, only6]), only6);
  assert.equal(chosenFor(own, [pod, any4]), pod);
  assert.equal(chosenFor(own, [any4, any6]), any4);
  assert.equal(chosenFor(own, [only6, any6]), any6);
  assert.equal(chosenFor(own, [near, any4]), any4);
});

Deno.test("of several alike a connection goes to the last, and to any rather than to none", () => {
  const reloaded = at([0, 0, 0, 0]);
  assert.equal(chosenFor(new Uint8Array(POD), [any4, reloaded]), reloaded);
  assert.equal(chosenFor(new Uint8Array(SIX(1)), [any4]), any4);
  assert.equal(chosenFor(new Uint8Array(POD), [near]), near);
  assert.equal(chosenFor(new Uint8Array(POD), []), undefined);
});

Deno.test("two sockets on one port conflict as the kernel has it", () => {
  assert.ok(isConflict(any4, pod) && isConflict(pod, pod) && isConflict(any4, any6) && isConflict(only6, any6));
  assert.ok(!isConflict(pod, near) && !isConflict(any4, only6) && !isConflict(at(SIX(1)), any4));
});
