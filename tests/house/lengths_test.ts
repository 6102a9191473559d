/** Files of a page or three, functions that fit on a screen; each file says on top what it is for. */
import assert from "node:assert/strict";
import { type SourceFile, sourceFiles } from "./source_files.ts";

const FILE_LINES = { ".ts": 400, ".c": 800 } as const;
const FUNCTION_LINES = 60;
/** Tables may be long: a row is a row. */
const TABLES: Readonly<Record<string, string>> = {};

const CODE = sourceFiles(["src/", "native/", "tasks/", "bench/"], [".ts", ".c", ".h"])
  .filter(({ path }) => !path.endsWith("_test.ts"));

Deno.test("a file is not longer than a page or three", () => {
  const long: string[] = [];
  for (const { path, text } of CODE) {
    const limit = path.endsWith(".ts") ? FILE_LINES[".ts"] : FILE_LINES[".c"];
    const lines = text.split("\n").length - 1;
    if (lines > limit && !(path in TABLES)) long.push(`${path}: ${lines} lines, the limit is ${limit}`);
  }
  assert.deepEqual(long, []);
});

interface Found {
  readonly name: string;
  readonly lines: number;
}

/** Functions and methods by their indentation, which `deno fmt` keeps: from the line that names one to its lone "}". */
function functionsOf({ path, text }: SourceFile): Found[] {
  return path.endsWith(".ts") ? functionsOfTypeScript(text) : functionsOfC(text);
}

function functionsOfTypeScript(text: string): Found[] {
  const lines = text.split("\n");
  const begins =
    /^( *)(?:export )?(?:(?:async |static |get |set |override |\*|private )*)(?:function\*? )?(#?\w+)(?:<[^(]*>)?\(/;
  const found: Found[] = [];
  lines.forEach((line, at) => {
    const match = begins.exec(line);
    if (!match || /^ *(?:if|for|while|switch|return|await|catch|throw)\b/.test(line)) return;
    const isFunction = /\bfunction\b/.test(line) || match[1] === "  ";
    if (!isFunction || line.trimEnd().endsWith(";")) return;
    const end = lines.findIndex((it, index) => index > at && it === `${match[1]}}`);
    if (end !== -1) found.push({ name: match[2]!, lines: end - at + 1 });
  });
  return found;
}

function functionsOfC(text: string): Found[] {
  const lines = text.split("\n");
  const found: Found[] = [];
  lines.forEach((line, at) => {
    if (line !== "{") return;
    const end = lines.indexOf("}", at);
    const name = /(\w+)\(/.exec(lines.slice(Math.max(0, at - 3), at).join(" "))?.[1] ?? "?";
    if (end !== -1) found.push({ name, lines: end - at + 2 });
  });
  return found;
}

Deno.test("a function is not longer than a screen", () => {
  const long = CODE.flatMap((file) =>
    functionsOf(file)
      .filter(({ lines }) => lines > FUNCTION_LINES)
      .map(({ name, lines }) => `${file.path}: ${name} has ${lines} lines, the limit is ${FUNCTION_LINES}`)
  );
  assert.deepEqual(long, []);
});

Deno.test("a file says on its first line what it is for", () => {
  const silent = sourceFiles(["src/", "native/", "tasks/", "tests/", "bench/"], [".ts", ".c", ".h"])
    .filter(({ path, text }) => !path.endsWith("_test.ts") && !/^(?:\/\*|#!)/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(silent, []);
});

Deno.test("a file is named for what it holds", () => {
  const vague = CODE.map(({ path }) => path).filter((path) =>
    /\/(?:util|utils|helper|helpers|manager|misc|common)\b/.test(path)
  );
  assert.deepEqual(vague, []);
});
