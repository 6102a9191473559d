import assert from "node:assert/strict";
import { textOf } from "./environment.ts";
import { parseEnvFile, readEnvFile } from "./env_file.ts";

for (
  const { text, gives } of [
    { text: "A=1\nB=two words \n", gives: { A: "1", B: "two words" } },
    { text: "# none\n\n  export A = x # why\r\nB=#none\nC=a#b", gives: { A: "x", B: "", C: "a#b" } },
    { text: 'A=\'$x "y" # z\'\nB="a\\nb\\"c"\n', gives: { A: '$x "y" # z', B: 'a\nb"c' } },
    { text: 'A="first\nsecond" # both\nB=', gives: { A: "first\nsecond", B: "" } },
    { text: "A=1\nA=ü\n", gives: { A: "ü" } },
    { text: "", gives: {} },
  ]
) {
  Deno.test(`parseEnvFile() reads ${JSON.stringify(text)}`, () => {
    const variables = parseEnvFile(text, "x.env");
    assert.deepEqual(Object.fromEntries([...variables.keys()].map((it) => [it, textOf(variables, it)])), gives);
  });
}

for (const text of ["A=1\nnonsense\n", "A=1\n=2", 'A=1\nB="open\n', "A=1\nB='x' y\n"]) {
  Deno.test(`parseEnvFile() refuses ${JSON.stringify(text)}, naming the line`, () => {
    assert.throws(() => parseEnvFile(text, "x.env"), /file of variables "x\.env": line 2 is not NAME=VALUE/);
  });
}

Deno.test("readEnvFile() says what file is not there", () => {
  assert.throws(() => readEnvFile("/no/such.env"), /"\/no\/such\.env": there is no such file/);
});
