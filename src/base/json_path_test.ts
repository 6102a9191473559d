import assert from "node:assert/strict";
import { parseJsonPath, selectJson } from "./json_path.ts";

const VALUE = {
  user: { name: "ann", tags: ["a", "b", "c", "d"] },
  items: [{ id: 1 }, { id: 2, user: { name: "bob" } }],
  "odd name": { "it's": true },
};

const CASES: readonly [string, readonly unknown[]][] = [
  ["$", [VALUE]],
  ["$.user.name", ["ann"]],
  ["$['user']['name']", ["ann"]],
  ['$["odd name"]["it\'s"]', [true]],
  ["$['odd name']['it\\'s']", [true]],
  ["$.items[0].id", [1]],
  ["$.items[-1].id", [2]],
  ["$.items[5].id", []],
  ["$.items[*].id", [1, 2]],
  ["$.items.*.id", [1, 2]],
  ["$..name", ["ann", "bob"]],
  ["$..user.name", ["ann", "bob"]],
  ["$.user.tags[1:3]", ["b", "c"]],
  ["$.user.tags[::2]", ["a", "c"]],
  ["$.user.tags[::-1]", ["d", "c", "b", "a"]],
  ["$.user.tags[0, -1]", ["a", "d"]],
  ["$.user.tags.name", []],
  ["$.user.name.length", []],
  ["$.constructor", []],
  ["$.nothing..name", []],
];

for (const [path, expected] of CASES) {
  Deno.test(`selectJson() follows ${path}`, () => {
    assert.deepEqual(selectJson(parseJsonPath(path), VALUE), expected);
  });
}

for (const path of ["", "user", "$.", "$[", "$[]", "$.items[?(@.id==1)]", "$x", "$['a]", `$${".a".repeat(4000)}`]) {
  Deno.test(`parseJsonPath() refuses ${JSON.stringify(path.slice(0, 20))}`, () => {
    assert.throws(() => parseJsonPath(path), SyntaxError);
  });
}

Deno.test("selectJson() looks at each container once for a segment, however often a path leads there", () => {
  const deep = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));
  assert.ok(selectJson(parseJsonPath("$..*..*..*..*..[0]"), deep).length <= 20_000);
});
