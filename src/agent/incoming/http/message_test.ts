/** Heads that go on with a header of ours. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../../base/bytes.ts";
import { withHeader } from "./message.ts";

const HEADER = ["Cache-Control", "no-store"] as const;

for (
  const [what, before, after] of [
    ["is added at the end", "A: b\r\n", "A: b\r\nCache-Control: no-store\r\n"],
    [
      "takes the place of others of its name",
      "cache-control: a\r\nA: b\r\nCACHE-CONTROL:b\r\n",
      "A: b\r\nCache-Control: no-store\r\n",
    ],
    [
      "takes the place of folded ones",
      "Cache-Control: a,\r\n\tb\r\nA: b\r\n c\r\n",
      "A: b\r\n c\r\nCache-Control: no-store\r\n",
    ],
    [
      "leaves alone what only begins like it",
      "Cache-Control-X: a\r\n",
      "Cache-Control-X: a\r\nCache-Control: no-store\r\n",
    ],
    ["is the only one", "", "Cache-Control: no-store\r\n"],
  ] as const
) {
  Deno.test(`withHeader(): a header ${what}`, () => {
    const head = withHeader(utf8(`HTTP/1.1 200 OK\r\n${before}\r\n`), HEADER);
    assert.equal(fromUtf8(head), `HTTP/1.1 200 OK\r\n${after}\r\n`);
  });
}

Deno.test("withHeader(): lines without CR stay so", () => {
  assert.equal(
    fromUtf8(withHeader(utf8("HTTP/1.1 200 OK\nA: b\n\n"), HEADER)),
    "HTTP/1.1 200 OK\nA: b\nCache-Control: no-store\r\n\n",
  );
});
