/** What every match of an expression must contain. */
import assert from "node:assert/strict";
import { matches } from "./match.ts";
import { compileRegex } from "./program.ts";
import { requiredTexts } from "./required.ts";
import { utf8 } from "../../base/bytes.ts";

const HEADER = ": \t";

Deno.test("the most telling text is required, of a header rather of its value", () => {
  const cases: [string, string, string[] | undefined][] = [
    ["^x-user: ann$", HEADER, ["ANN"]],
    ["^x-user: a$", HEADER, ["X-U"]],
    ["^baggage: .*mirrord-run=b0b.*", HEADER, ["MIRRORD-RUN=B0B"]],
    ["^/api/v[12]/(orders|users)$", "", ["/API/V"]],
    ["^/(orders|items)$", "", ["ORDER", "ITEM"]],
    ["^/a(nn)+b", "", ["/A"]],
    ["(foo|b)ar", "", ["AR"]],
    ["^(GET|POST)$", "", ["GET", "PO"]],
    [".*", "", undefined],
    ["[0-9]+", "", undefined],
    ["^/mine(x?)", "", ["/MINE"]],
    ["a|bcd", "", undefined],
    ["(?-i)Mine", "", ["MINE"]],
    ["\\.log$", "", [".LOG"]],
    ["sksk", "", undefined],
    ["über-alles", "", ["BER-ALLE"]],
  ];
  for (const [source, separators, texts] of cases) assert.deepEqual(requiredTexts(source, separators), texts, source);
});

Deno.test("whatever matches has it", () => {
  const sources = ["^x-user: (ann|bob)", "a(b|cd)+e", "(ab){2}c?", "^/x{2,}y|zz", "(a|b)c(d|e)", "k?ab.cd"];
  const alphabet = "abcdexyzk/ :-";
  let found = 0;
  for (let turn = 0; turn < 8_000; turn++) {
    let [text, rest] = ["", turn * 2654435761 % 2 ** 32];
    for (; text.length < 8; rest = Math.floor(rest / 3) * 7 + turn) text += alphabet[rest % alphabet.length];
    for (const source of sources) {
      if (!matches(compiled(source), utf8(text))) continue;
      found++;
      const texts = requiredTexts(source);
      assert.ok(!texts || texts.some((it) => text.toUpperCase().includes(it)), `${source} ${text}`);
    }
  }
  assert.ok(found > 5, `${found} matches`);
});

const programs = new Map<string, ReturnType<typeof compileRegex>>();
function compiled(source: string) {
  const known = programs.get(source) ?? compileRegex(source, { isCaseIgnored: true });
  programs.set(source, known);
  return known;
}
