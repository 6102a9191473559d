import assert from "node:assert/strict";
import { JqRunner } from "./jq.ts";

const jq = await JqRunner.load();
const LINE = "x-user: Ann";

Deno.test("a jq program matches the lines that make it give true, and errors are no match", () => {
  const lines = ["x-user: Ann", "authorization: Bearer e30.eyJzdWIiOiJhbm4ifQ.x", 'host: é"\\\n\u2028'];
  const programs: [string, boolean[]][] = [
    ["true", [true, true, true]],
    [".", [false, false, false]],
    ["null, false, 1", [false, false, false]],
    ['startswith("x-user")', [true, false, false]],
    ['test("ANN"; "i")', [true, false, false]],
    ['capture("^authorization: Bearer [^.]+\\\\.(?<it>[^.]+)").it | @base64d | fromjson | .sub == "ann"', [
      false,
      true,
      false,
    ]],
    ['false, (. == "x-user: Ann"), error("late")', [true, false, false]],
    ['error("early"), true', [false, false, false]],
    ["fromjson", [false, false, false]],
    ['def of(n): startswith(n + ": "); of("host")', [false, false, true]],
    ['. == "host: é\\"\\\\\\n\\u2028" # and no more', [false, false, true]],
    ['-1 < 0 and startswith("h")', [false, false, true]],
  ];
  for (const [program, expected] of programs) assert.deepEqual(jq.judge(program, lines), expected, program);
});

Deno.test("a jq program has no inputs but its line, no messages, no end of the run, and nothing of this machine", () => {
  for (const program of ["input", "inputs", "halt", "halt_error", '"x" | halt_error(1)', "first(inputs)"]) {
    assert.deepEqual(jq.judge(`(${program}), true`, [LINE, LINE]).length, 2, program);
  }
  assert.deepEqual(jq.judge('"m" | debug | debug("n") | stderr | . == "m"', [LINE]), [true]);
  assert.deepEqual(jq.judge("env | keys | length < 10", [LINE]), [true]);
  assert.deepEqual(jq.judge('$ENV.PATH == env.PATH and env.PATH == "/"', [LINE]), [true]);
});

Deno.test("what is no jq program is said so in jq's words, and what ends in a comment is one", () => {
  for (const program of [".", "def f: 1; f == 1", ". # why", "-1 == .", "if . then true else false end"]) {
    assert.equal(jq.fault(program), undefined, program);
  }
  assert.match(jq.fault("foo")!, /^foo\/0 is not defined at <top-level>, line 1/);
  assert.match(jq.fault(". |")!, /syntax error/);
  assert.match(jq.fault('import "a" as a; .')!, /module not found/);
  for (const program of [") | (.", ". # \\", 'include "x"; .']) assert.notEqual(jq.fault(program), undefined, program);
});

Deno.test("a jq program that takes too much memory breaks jq down, not us", async () => {
  for (const program of ['"x" * 1e9 | length > 1', "[range(1e9)] | length > 1", "def f: [f]; f"]) {
    const victim = await JqRunner.load();
    assert.throws(() => victim.judge(program, [LINE]), Error, program);
  }
});
