import assert from "node:assert/strict";
import { whenLate } from "./late.ts";

Deno.test("what came in time, while the process stood still, is read before the limit is over", async () => {
  const mark = await Deno.makeTempFile();
  const child = new Deno.Command("sh", { args: ["-c", `echo said; echo > ${mark}`], stdin: "null", stdout: "piped" })
    .spawn();
  const order: string[] = [];
  const reader = child.stdout.getReader();
  const reading = reader.read().then(() => void order.push("said"));
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const limitMs = 30;
  whenLate(limitMs, () => {
    order.push("late");
    resolve();
  });
  // Nothing else of this process goes on meanwhile.
  const since = performance.now();
  while (Deno.statSync(mark).size === 0 || performance.now() - since < 2 * limitMs);
  await Promise.all([reading, late]);
  assert.deepEqual(order, ["said", "late"]);
  await reader.cancel();
  await child.status;
  await Deno.remove(mark);
});

Deno.test("a limit that is ended in time calls nobody", async () => {
  whenLate(0, () => assert.fail("it was ended"))();
  await new Promise<void>((resolve) => whenLate(1, resolve));
});
