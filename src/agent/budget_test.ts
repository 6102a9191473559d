import assert from "node:assert/strict";
import { Budget } from "./budget.ts";

Deno.test("what is within the budget goes on at once, what is not waits for its turn", async () => {
  const budget = new Budget(3);
  const order: string[] = [];
  const take = (name: string, amount: number) => budget.take(amount).then(() => order.push(name));
  await take("a", 2);
  const waiting = [take("b", 3), take("c", 1)];
  await Promise.resolve();
  assert.deepEqual(order, ["a"], "c does not overtake b, which would never get its turn");
  budget.give(2);
  await waiting[0];
  budget.give(3);
  await waiting[1];
  assert.deepEqual(order, ["a", "b", "c"]);
});

Deno.test("work that fails gives back what it took", async () => {
  const budget = new Budget(1);
  await assert.rejects(budget.spend(1, () => Promise.reject(new Error("no"))));
  assert.equal(await budget.spend(1, () => Promise.resolve("yes")), "yes");
});
