/** Each row of tests/conformance/rows.ts has its test, or a decision that says why not. */
import assert from "node:assert/strict";
import { claims, stateOf } from "../../tasks/conformance.ts";
import { ROWS } from "../conformance/rows.ts";
import { sourceText } from "./source_files.ts";

/** Issues that are done: none of their rows may be open. */
const DONE: readonly number[] = [3, 4, 5];

Deno.test("rows have ids of their own, and tests name rows that exist, above a sentence", () => {
  const ids = ROWS.map((it) => it.id);
  assert.deepEqual(ids, [...new Set(ids)]);
  const wrong = claims().filter(({ row, name }) => !ids.includes(row) || name === "");
  assert.deepEqual(wrong, []);
});

Deno.test("every row of an issue that is done is held by a test, or a decision says why not", () => {
  const found = claims();
  const open = ROWS.filter((row) => DONE.includes(row.issue) && stateOf(row, found) === "not yet");
  assert.deepEqual(open.map(({ id, holds }) => `${id}: ${holds}`), []);
});

Deno.test("a decision that a row names is there", () => {
  for (const { decided } of ROWS) {
    const file = /\]\((decisions\/[^)]+)\)/.exec(decided ?? "")?.[1];
    if (file) assert.match(sourceText(`docs/${file}`), /\*\*Decision\.\*\*/);
  }
});
