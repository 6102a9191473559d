/** The syntax, the machine that decides and the one that finds groups, each against the runtime's own expressions. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { compileTable, MAX_TABLE_BYTES, runTable } from "./dfa.ts";
import { find, matches, replace } from "./match.ts";
import { RegexError } from "./parse.ts";
import { compileRegex } from "./program.ts";

function table(...ranks: string[][]): Uint8Array {
  return compileTable(ranks.map((it) => it.map((source) => compileRegex(source, { isCaseIgnored: true }))));
}

/** Expressions that mean the same here and in JavaScript (with its flag u). */
const SAME = [
  String.raw`^/data/`,
  String.raw`\.log$`,
  String.raw`^/app/(logs|cache)/.*\.(txt|log)$`,
  String.raw`/[^/]+/x`,
  String.raw`a{2,3}b`,
  String.raw`(a|ab)(c|bcd)(d*)`,
  String.raw`^$`,
  String.raw`x*`,
  String.raw`(?:foo|bar)+`,
  String.raw`^/[a-c]{2}(/|$)`,
  String.raw`\d\d?`,
  String.raw`\bdata\b`,
  String.raw`\Bata`,
  String.raw`a.c`,
  String.raw`é+`,
  String.raw`[à-ü]b`,
  String.raw`[^a-z/]`,
  String.raw`(a+?)(a*)`,
  String.raw`(a??)b|c`,
  String.raw`^(([^/]*/)*)([^/]*)$`,
  String.raw`\x61\u0062`,
  String.raw`\w+\s\S`,
  String.raw`(x)|(y)z`,
  String.raw`..$`,
];

const TEXTS = [
  "",
  "/",
  "/data/x",
  "/data",
  "/Data/X.LOG",
  "/app/logs/a/b.txt",
  "/app/cache/",
  "/etc/x",
  "aab",
  "aaaab",
  "abcd",
  "abcbcd",
  "foobarfoo",
  "/ab",
  "/ab/c",
  "12",
  "the data of",
  "database",
  "a\nc",
  "aéc",
  "éé",
  "àb",
  "Üb",
  "a b",
  "yz",
  "x",
  "日本語/ログ",
  "/a/b/c",
  "𝒳c",
];

Deno.test("expressions match what the runtime's own match, and their groups are the same", () => {
  for (const source of SAME) {
    const program = compileRegex(source);
    const own = new RegExp(source, "u");
    const decided = compileTable([[program]]);
    for (const text of TEXTS) {
      const expected = own.exec(text);
      const what = `${source} on ${JSON.stringify(text)}`;
      const slots = find(program, utf8(text));
      const groups = slots && Array.from({ length: slots.length / 2 }, (_, index) => {
        const [from, to] = [slots[2 * index]!, slots[2 * index + 1]!];
        return from < 0 ? undefined : fromUtf8(utf8(text).subarray(from, to));
      });
      // A group in a loop that took no part in the last round is emptied there and kept here.
      const isLoop = source.includes(")*)");
      if (isLoop) assert.equal(groups?.[0], expected?.[0], what);
      else assert.deepEqual(groups, expected ? [...expected] : undefined, what);
      assert.equal(runTable(decided, utf8(text)), expected ? 1 : 0, what);
    }
  }
});

Deno.test("random expressions are decided as the runtime's own decide them", () => {
  let seed = 4711;
  const random = (below: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  const atoms = ["a", "b", "/", ".", "[ab]", "[^a]", "é", "\\d", "(?:a|b/)", "(b)", "\\b", "^", "$"];
  const counts = ["", "", "", "*", "+", "?", "{2}", "{1,2}", "*?"];
  const alphabet = ["a", "b", "/", "é", "1", "\n"];
  const isAssertion = (atom: string) => ["\\b", "^", "$"].includes(atom);
  for (let round = 0; round < 400; round++) {
    const branch = () =>
      Array.from({ length: 1 + random(5) }, () => {
        const atom = atoms[random(atoms.length)]!;
        return isAssertion(atom) ? atom : atom + counts[random(counts.length)]!;
      }).join("");
    const source = Array.from({ length: 1 + random(2) }, branch).join("|");
    // Beyond ASCII, what begins a word is not the same.
    const letters = source.includes("\\b") ? alphabet.filter((it) => it !== "é") : alphabet;
    const own = new RegExp(source, "u");
    const program = compileRegex(source);
    const decided = compileTable([[], [program]]);
    for (let text = 0; text < 20; text++) {
      const it = Array.from({ length: random(8) }, () => letters[random(letters.length)]!).join("");
      const what = `${source} on ${JSON.stringify(it)}`;
      assert.equal(runTable(decided, utf8(it)), own.test(it) ? 2 : 0, what);
      assert.equal(matches(program, utf8(it)), own.test(it), what);
    }
  }
});

Deno.test("the first rank that matches wins, however late its match ends", () => {
  const ranked = table(["secret$"], ["^/data/"], ["/logs/"], ["."]);
  const cases = { "/data/secret": 1, "/data/x": 2, "/var/logs/x": 3, "/var/logs/secret": 1, "/x": 4, "": 0 };
  for (const [text, rank] of Object.entries(cases)) assert.equal(runTable(ranked, utf8(text)), rank, text);
});

Deno.test("flags, Unicode and names that are not UTF-8 are as in Rust", () => {
  const yes: [string, string | Uint8Array][] = [
    ["(?i)ÄPFEL", "/äpfel"],
    ["(?i)k", "\u212a"],
    ["(?s)a.c", "a\nc"],
    ["(?m)^b$", "a\nb\nc"],
    ["a(?i)b", "aB"],
    ["a(?i:b)c", "aBc"],
    ["(?x) a b # comment\n c", "abc"],
    [String.raw`^\w+$`, "größe_1"],
    [String.raw`^\p{Greek}+$`, "αβγ"],
    [String.raw`^\p{Lu}\pL`, "Éa"],
    [String.raw`^[[:alpha:]&&[^x]]+$`, "abc"],
    [String.raw`^[a-z--[aeiou]]+$`, "xyz"],
    [String.raw`^[\d\-.]+$`, "1-2.3"],
    [String.raw`^[]a]+$`, "a]"],
    [String.raw`\Aab\z`, "ab"],
    [String.raw`^a{2}$`, "aa"],
    [String.raw`(?P<one>a)(?<two>b)`, "ab"],
    ["^/d/.*\\.log$", Uint8Array.of(0x2f, 0x64, 0x2f, 0xe9, 0x2e, 0x6c, 0x6f, 0x67)],
    ["^/d/[^/]+$", Uint8Array.of(0x2f, 0x64, 0x2f, 0xff, 0xfe)],
    ["(?-u:\\w)", "a"],
    ["^[^a]$", "é"],
  ];
  for (const [source, text] of yes) {
    const bytes = typeof text === "string" ? utf8(text) : text;
    assert.ok(matches(compileRegex(source), bytes), `${source} on ${text}`);
    assert.equal(runTable(compileTable([[compileRegex(source)]]), bytes), 1, `${source} on ${text}`);
  }
  const no: [string, string][] = [
    ["ab", "AB"],
    ["a(?i:b)c", "aBC"],
    ["a.c", "a\nc"],
    ["^b$", "a\nb"],
    ["a$", "a\n"],
    ["^.$", "éé"],
    ["^..$", "é"],
    [String.raw`(?-u)^\w+$`, "größe"],
    [String.raw`^[[:alpha:]&&[^x]]+$`, "abx"],
  ];
  for (const [source, text] of no) {
    assert.ok(!matches(compileRegex(source), utf8(text)), `${source} on ${text}`);
    assert.equal(runTable(compileTable([[compileRegex(source)]]), utf8(text)), 0, `${source} on ${text}`);
  }
});

Deno.test("what is no expression, or would take more than one pass, is refused with a reason", () => {
  const wrong: [string, RegExp][] = [
    ["(", /"\(" is not closed/],
    ["a)", /no "\("/],
    ["[a", /"\[" is not closed/],
    ["*a", /nothing before it/],
    ["a{1", /no count/],
    ["a{3,2}", /backwards/],
    ["a{2000}", /1000/],
    ["(?=a)", /look-around/],
    ["(?<!a)b", /look-around/],
    [String.raw`(a)\1`, /back-references/],
    [String.raw`\q`, /no such escape/],
    [String.raw`\p{Klingonish}`, /no such property/],
    ["(?z)a", /no flag "z"/],
    ["(?P<a>x)(?P<a>y)", /two groups/],
    ["[z-a]", /backwards/],
    ["a\\", /stands at the end/],
    ["(".repeat(300), /nested/],
    ["((a{900}){900}){9}", /too big/],
  ];
  for (const [source, reason] of wrong) {
    assert.throws(
      () => compileRegex(source),
      (error) => error instanceof RegexError && reason.test(error.message),
      source,
    );
  }
});

Deno.test("expressions that no small table can decide are refused", () => {
  assert.throws(() => table(["(a|b)*a(a|b){18}"]), RegexError);
  assert.ok(table(["^/data/.*", "\\.log$", String.raw`\w+`, "(foo|bar|baz)/[0-9]{1,4}"]).length < MAX_TABLE_BYTES);
});

Deno.test("a match is replaced once, with its groups by number and by name", () => {
  const cases: [string, string, string, string | undefined][] = [
    ["^/a/(.*)$", "/b/$1", "/a/x/y", "/b/x/y"],
    ["/a", "/b", "/x/a/a", "/x/b/a"],
    ["^/(?P<who>[^/]+)/", "/home/${who}/", "/me/f", "/home/me/f"],
    ["^/(?P<who>[^/]+)", "/h/$who-x", "/me/f", "/h/me-x/f"],
    ["^/(a)", "/$1x", "/a/f", "//f"], // there is no group "1x"
    ["^/(a)", "/${1}x", "/a/f", "/ax/f"],
    ["^/(a)", "/$$1 $0$", "/a", "/$1 /a$"],
    ["^/(a)|^/(b)", "/[$1|$2]", "/b", "/[|b]"],
    ["^/c", "/d", "/a", undefined],
  ];
  for (const [source, replacement, text, expected] of cases) {
    const result = replace(compileRegex(source), utf8(text), utf8(replacement));
    assert.equal(result && fromUtf8(result), expected, `${source} ${replacement}`);
  }
});
