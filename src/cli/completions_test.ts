import assert from "node:assert/strict";
import { candidates } from "./completions.ts";
import { COMMANDS } from "./mod.ts";

const SHOWN = COMMANDS.filter((it) => !it.isHidden);

async function names(...words: string[]): Promise<string[]> {
  return (await candidates(SHOWN, words)).map((it) => it.split("\t")[0]!);
}

Deno.test("candidates() are commands first, without the hidden ones", async () => {
  assert.deepEqual(await names(""), SHOWN.map((it) => it.name));
  assert.deepEqual(await names("ex"), ["exec", "explain", "extract"]);
  assert.deepEqual(await names("--v"), ["--version"]);
});

Deno.test("candidates() behind a command are its options, and what they take", async () => {
  assert.deepEqual(await names("exec", "--fs"), ["--fs-mode"]);
  assert.deepEqual(await names("exec", "--fs-mode", ""), ["local", "localwithoverrides", "read", "write"]);
  assert.deepEqual(await names("exec", "--fs-mode", "lo"), ["local", "localwithoverrides"]);
  assert.deepEqual(await names("exec", "--fs-mode=r"), ["--fs-mode=read"]);
  assert.deepEqual(await names("exec", "-c=t"), []);
  assert.deepEqual(await names("ls", "--output", "w"), ["wide"]);
  assert.deepEqual(await names("dump", "-o", ""), ["text", "json"]);
  assert.deepEqual(await names("console", "--level", "t"), ["trace"]);
  assert.deepEqual(await names("extract", "/"), [":files"]);
  assert.deepEqual(await names("port-forward", "--re"), ["--reverse"]);
  assert.deepEqual(await names("exec", "--env-file", "x"), [":files"]);
  assert.deepEqual(await names("exec", "-f", ""), [":files"]);
  assert.ok((await names("exec", "-")).includes("--help"));
});

Deno.test("candidates() for the program are commands, behind it files; other commands take files or shells", async () => {
  assert.deepEqual(await names("exec", ""), [":commands"]);
  assert.deepEqual(await names("exec", "--no-remote-dns", "cu"), [":commands"]);
  assert.deepEqual(await names("exec", "-t", "pod/a", "--", "cu"), [":commands"]);
  assert.deepEqual(await names("exec", "curl", "--he"), [":files"]);
  assert.deepEqual(await names("verify-config", ""), [":files"]);
  assert.deepEqual(await names("completions", "f"), ["fish"]);
  assert.deepEqual(await names("nonsense", ""), []);
});

Deno.test("candidates() of contexts come from the kubeconfig's files", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "contexts:\n- name: staging\n- name: production\n");
    assert.deepEqual(await names("exec", "--kubeconfig", file, "--context", "s"), ["staging"]);
    assert.deepEqual(await names("exec", `--kubeconfig=${file}`, "--context", ""), ["staging", "production"]);
    assert.deepEqual(await names("exec", "--kubeconfig", "/nowhere", "--context", ""), []);
    assert.deepEqual(await names("exec", "--kubeconfig", "/nowhere", "--target", ""), ["targetless"]);
  } finally {
    await Deno.remove(file);
  }
});
