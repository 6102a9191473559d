import assert from "node:assert/strict";
import { utf8 } from "../base/bytes.ts";
import {
  composeEnvironment,
  EXCLUDED_BY_DEFAULT,
  formatEnvironment,
  parseEnvironment,
  selectVariables,
  textOf,
} from "./environment.ts";

function environmentOf(names: readonly string[]): Map<string, Uint8Array> {
  return new Map(names.map((name) => [name, utf8("x")]));
}

function selected(names: readonly string[], rules: { include?: string[]; exclude?: string[] }): string[] {
  return [...selectVariables(environmentOf(names), { include: rules.include, exclude: rules.exclude ?? [] }).keys()];
}

Deno.test("parseEnvironment() keeps bytes that are not UTF-8, empty values and equal signs in values", () => {
  const bytes = new Uint8Array([...utf8("A=\0B=b=c\0C="), 0xff, 0]);
  const environment = parseEnvironment(bytes);
  assert.deepEqual([...environment.keys()], ["A", "B", "C"]);
  assert.equal(textOf(environment, "B"), "b=c");
  assert.deepEqual(formatEnvironment(environment).at(-1), new Uint8Array([...utf8("C="), 0xff]));
});

Deno.test("parseEnvironment() takes the first of two equal names and skips what is no variable", () => {
  const environment = parseEnvironment(utf8("A=1\0A=2\0nonsense\0=x\0"));
  assert.deepEqual([...environment.keys()], ["A"]);
  assert.equal(textOf(environment, "A"), "1");
});

Deno.test("formatEnvironment() gives back a name that is not ASCII as it was", () => {
  const bytes = utf8("GRÖSSE=1");
  assert.deepEqual(formatEnvironment(parseEnvironment(bytes)), [bytes]);
});

Deno.test("selectVariables() leaves out what would break a program here", () => {
  const excluded = EXCLUDED_BY_DEFAULT.map((name) => name.replace("*", "X"));
  assert.deepEqual(selected([...excluded, "SHOP", "PATHS", "LD_PRELOAD", "LD_AUDIT", "MIRRORD_X"], {}), [
    "SHOP",
    "PATHS",
  ]);
});

// Row U07
Deno.test("selectVariables() takes only what is included, even what is left out by default, but never the loader's", () => {
  assert.deepEqual(selected(["HOME", "A1", "A22", "B", "LD_PRELOAD"], { include: ["HOME", "A?", "LD_*"] }), [
    "HOME",
    "A1",
  ]);
  assert.deepEqual(selected(["A", "B"], { include: [] }), []);
});

Deno.test("composeEnvironment() adds to LD_LIBRARY_PATH what the target names and is not here", () => {
  const composed = (user: string, target: string) => {
    const changes = { include: undefined, exclude: [], unset: [], mapping: {}, override: {} };
    const [own, theirs] = [user, target].map((it) => new Map(it ? [["LD_LIBRARY_PATH", utf8(it)]] : []));
    return textOf(composeEnvironment(own!, theirs!, new Map(), changes), "LD_LIBRARY_PATH");
  };
  assert.equal(composed("", "/usr:/none/lib:relative::/none/too"), "/none/lib:/none/too");
  assert.equal(composed("/mine", "/none/lib"), "/mine:/none/lib");
  assert.equal(composed("/mine", "/usr/lib"), "/mine");
  assert.equal(composed("/mine", ""), "/mine");
  assert.equal(composed("", "/usr/lib"), undefined);
});

Deno.test("selectVariables() leaves out what is excluded; a star alone is everything", () => {
  assert.deepEqual(selected(["A.B", "AxB", "C"], { exclude: ["A.B"] }), ["AxB", "C"]);
  assert.deepEqual(selected(["A", "B"], { exclude: ["*"] }), []);
});

// Row U07
Deno.test("composeEnvironment() lets the target win over the user, then file, mapping, override, each over the one before", () => {
  const of = (variables: Record<string, string>) => parseEnvironment(utf8(formatted(variables)));
  const composed = composeEnvironment(
    of({ ALL: "user", HOME: "/root", Aws_Profile: "mine", AWS_REGION: "mine", MAPPED: "user" }),
    of({ ALL: "target", FILE: "target", MAPPED: "target", AWS_PROFILE: "the pod's", SKIPPED: "target" }),
    of({ ALL: "file", FILE: "file", MAPPED_2: "file" }),
    {
      include: undefined,
      exclude: ["SKIPPED"],
      unset: ["aws_profile", "AWS_REGION"],
      mapping: { "^MAPPED": "mapped", "(?i)_2$": "too late" },
      override: { ALL: "override", "GRÖSSE": "ü" },
    },
  );
  assert.deepEqual(formatEnvironment(composed).map((it) => new TextDecoder().decode(it)).sort(), [
    "ALL=override",
    "AWS_PROFILE=the pod's",
    "FILE=file",
    "GRÖSSE=ü",
    "HOME=/root",
    "MAPPED=mapped",
    "MAPPED_2=mapped",
  ]);
});

Deno.test("composeEnvironment() does not map what is only the user's", () => {
  const user = environmentOf(["MINE"]);
  const rules = { include: undefined, exclude: [], unset: [], mapping: { ".*": "mapped" }, override: {} };
  assert.equal(textOf(composeEnvironment(user, environmentOf([]), environmentOf([]), rules), "MINE"), "x");
});

Deno.test("composeEnvironment() does not take long over a pattern that backtracks", () => {
  const target = environmentOf(["A".repeat(40) + "B"]);
  const rules = { include: undefined, exclude: [], unset: [], mapping: { "^(A+)+$": "mapped" }, override: {} };
  assert.equal(
    textOf(composeEnvironment(environmentOf([]), target, environmentOf([]), rules), "A".repeat(40) + "B"),
    "x",
  );
});

function formatted(variables: Record<string, string>): string {
  return Object.entries(variables).map(([name, value]) => `${name}=${value}\0`).join("");
}
