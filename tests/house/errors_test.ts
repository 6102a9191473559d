/** What docs/errors.md lists is what the program can say, and the other way round. */
import assert from "node:assert/strict";
import { sourceFiles, sourceText } from "./source_files.ts";

const FILES = [...sourceFiles(["src/"], [".ts"]), ...sourceFiles(["native/"], [".c"])]
  .filter(({ path }) => !path.endsWith("_test.ts"));

/** Codes as they are given to an error, or kept in a table of errors, or printed by the launcher. */
function codesIn(text: string): string[] {
  const places = /(?:new \w*Error\(\s*|\bcode: |\brefusal\(\s*)"([A-Z][A-Z0-9_]+)"|\(code ([A-Z][A-Z0-9_]+)\)/g;
  return [...text.matchAll(places)].map((match) => (match[1] ?? match[2])!);
}

/** Rows of the table: | `CODE` | meaning | what to do | */
function documented(): string[] {
  return [...sourceText("docs/errors.md").matchAll(/^\| `?([A-Z][A-Z0-9_]+)`? \|/gm)].map((match) => match[1]!);
}

Deno.test("every error code is documented", () => {
  const known = new Set(documented());
  const missing = FILES.flatMap(({ path, text }) =>
    codesIn(text).filter((code) => !known.has(code)).map((code) => `${code} of ${path}`)
  );
  assert.deepEqual([...new Set(missing)], []);
});

Deno.test("every documented code can happen, and is listed once, in order", () => {
  const all = FILES.map(({ text }) => text).join("\n");
  const codes = documented();
  assert.deepEqual(codes.filter((code) => !new RegExp(`"${code}"|\\(code ${code}\\)`).test(all)), []);
  assert.deepEqual(codes, [...new Set(codes)].sort());
});

Deno.test("messages say what cannot be done and do not end with a full stop", () => {
  const wrong: string[] = [];
  for (const { path, text } of FILES) {
    for (const [, message] of text.matchAll(/new UserError\(\s*"[A-Z_0-9]+",\s*[`"]([^`"$]*)/g)) {
      if (!message!.startsWith("Cannot ")) wrong.push(`${path}: ${message}`);
    }
    for (const [, message] of text.matchAll(/new UserError\(\s*"[A-Z_0-9]+",\s*"([^"]*)"/g)) {
      if (/[.!]$/.test(message!)) wrong.push(`${path}: ${message}`);
    }
  }
  assert.deepEqual(wrong, []);
});
