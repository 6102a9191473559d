/** `deno task ok`: all that must hold before a commit, in the order of how fast it tells. Stops at the first failure. */
const ROOT = new URL("..", import.meta.url);
const STEPS: readonly (readonly string[])[] = [
  ["fmt", "--check"],
  ["lint"],
  ["check", "main.ts", "src/", "native/", "tests/", "tasks/", "bench/"],
  ["task", "gen", "--check"],
  ["task", "test"],
];

for (const args of STEPS) {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdout: "inherit",
    stderr: "inherit",
  });
  const { code } = await command.spawn().status;
  if (code === 0) continue;
  Deno.stderr.writeSync(new TextEncoder().encode(`not ok: deno ${args.join(" ")}\n`));
  Deno.exit(code);
}
