import assert from "node:assert/strict";
import { Departed } from "./departed.ts";

Deno.test("a file that went after a moment has gone since, one before has not", () => {
  const departed = new Departed();
  departed.add("before");
  const moment = departed.moment();
  departed.add("after");
  assert.deepEqual(["before", "after", "never"].map((key) => departed.hasSince(key, moment)), [false, true, false]);
  assert.equal(departed.hasSince("after", departed.moment()), false);
});

Deno.test("what is not known any more may have gone since", () => {
  const departed = new Departed();
  const moment = departed.moment();
  for (let count = 0; count < 1100; count++) departed.add(`file ${count}`);
  assert.equal(departed.hasSince("file 3", moment), true);
  assert.equal(departed.hasSince("file 3", departed.moment()), false);
});
