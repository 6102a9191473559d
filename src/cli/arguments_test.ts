import assert from "node:assert/strict";
import { nearest } from "../base/nearest.ts";
import { parseAnywhere, parseArguments } from "./arguments.ts";
import { wantsObjects } from "./command.ts";
import { COMMANDS } from "./mod.ts";

const TABLE = [
  { flag: "--target", short: "-t", value: "PATH" },
  { flag: "--accept", short: "-c", value: "BOOL", isValueOptional: true },
  { flag: "--config", short: "-f", value: "PATH", isValueOptional: true, takesNextWord: true },
  { flag: "--no-outgoing" },
] as const;

function parse(...args: string[]): { said: [string, string | undefined][]; rest: readonly string[] } {
  const { flags, rest } = parseArguments(args, TABLE);
  return { said: flags.map(({ decl, text }) => [decl.flag, text]), rest };
}

for (const args of [["--target", "a"], ["--target=a"], ["-t", "a"], ["-ta"], ["-t=a"]]) {
  Deno.test(`parseArguments() reads "${args.join(" ")}"`, () => {
    assert.deepEqual(parse(...args, "program"), { said: [["--target", "a"]], rest: ["program"] });
  });
}

Deno.test("parseArguments() leaves all behind the first word that is no option as it is", () => {
  assert.deepEqual(parse("--no-outgoing", "curl", "-t", "--help"), {
    said: [["--no-outgoing", undefined]],
    rest: ["curl", "-t", "--help"],
  });
});

Deno.test("parseArguments() ends the options at --, and takes a lone dash for a word", () => {
  assert.deepEqual(parse("--", "-t", "--").rest, ["-t", "--"]);
  assert.deepEqual(parse("-", "x").rest, ["-", "x"]);
});

Deno.test("parseArguments() does not take the next word for an optional value", () => {
  assert.deepEqual(parse("-c", "false"), { said: [["--accept", undefined]], rest: ["false"] });
  assert.deepEqual(parse("-c=false").said, [["--accept", "false"]]);
});

Deno.test("parseArguments() takes a value that looks like an option, and an empty one", () => {
  assert.deepEqual(parse("-t", "--no-outgoing").said, [["--target", "--no-outgoing"]]);
  assert.deepEqual(parse("--target=").said, [["--target", ""]]);
});

Deno.test("parseArguments() refuses an unknown option, a missing value, a value too many", () => {
  assert.throws(() => parse("--targets"), /Cannot understand "--targets"/);
  assert.throws(() => parse("-z"), /Cannot understand "-z"/);
  assert.throws(() => parse("--target"), /it needs PATH/);
  assert.throws(() => parse("--no-outgoing=x"), /takes no value/);
});

Deno.test("nearest() finds typing errors and beginnings, and nothing where nothing is near", () => {
  const words = ["--target", "--target-namespace", "--no-outgoing", "--help"];
  assert.equal(nearest("--tagret", words), "--target");
  assert.equal(nearest("--no-outgo", words), "--no-outgoing");
  assert.equal(nearest("--frobnicate", words), undefined);
});

Deno.test("parseArguments() takes the next word for an option that says so, unless it is an option", () => {
  assert.deepEqual(parse("-f", "x.json", "run"), { said: [["--config", "x.json"]], rest: ["run"] });
  assert.deepEqual(parse("--config", "-", "run"), { said: [["--config", "-"]], rest: ["run"] });
  assert.deepEqual(parse("-f", "--", "run"), { said: [["--config", undefined]], rest: ["run"] });
  assert.deepEqual(parse("-f", "-t", "a").said, [["--config", undefined], ["--target", "a"]]);
  assert.deepEqual(parse("-f").said, [["--config", undefined]]);
});

Deno.test("parseAnywhere() takes options on either side of other words, and none behind --", () => {
  const { flags, rest } = parseAnywhere(["a", "-t", "x", "b", "--no-outgoing", "--", "-t", "c"], TABLE);
  assert.deepEqual(flags.map(({ decl, text }) => [decl.flag, text]), [["--target", "x"], ["--no-outgoing", undefined]]);
  assert.deepEqual(rest, ["a", "b", "-t", "c"]);
  assert.equal(parseAnywhere(["a", "--help"], TABLE).isHelpWanted, true);
  assert.throws(() => parseAnywhere(["a", "--targte", "x"], TABLE), /no such option/);
});

Deno.test("wantsObjects() looks for -o json in every way it can be typed, where the command has that option", () => {
  const wants = (name: string, ...words: string[]) => wantsObjects(COMMANDS.find((it) => it.name === name), words);
  for (const words of [["-o", "json"], ["-ojson"], ["-o=json"], ["--output=json"], ["x", "--output", "json"]]) {
    assert.ok(wants("ls", ...words), words.join(" "));
    assert.ok(!wants("exec", ...words), words.join(" "));
  }
  assert.ok(wants("explain", "--json") && !wants("ls", "--json"));
  assert.ok(!wants("ls", "-o", "name") && !wants("ls", "json") && wants("ext"));
});
