/**
 * `deno task test`: builds what is tested, then runs every test that needs no cluster. Names each skip with its reason and
 * ends with one line of numbers. Arguments are handed to `deno test` (`deno task test src/proto`, `--filter "open()"`).
 */
import { build } from "./build.ts";
import { prepare, say, TO_BUILD } from "./prepare.ts";

/** What needs Kubernetes (`deno task test:cluster`) is among it, and skipped by name; tests/programs is not. */
const PLACES = [...Deno.readDirSync(new URL("../tests/", import.meta.url))]
  .filter(({ name, isDirectory }) => isDirectory && name !== "programs")
  .map(({ name }) => `tests/${name}/`).sort();

/** Those that spend their time waiting for whole runs; they go on beside the others, and each group beside the next. */
const OF_WHOLE_RUNS = [["tests/cli/", "tests/cluster/", "tests/incoming/"], ["tests/difference/"]];

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
}

/** Resolves with the exit code. */
async function test(args: readonly string[]): Promise<number> {
  await prepare([
    ...TO_BUILD,
    "ip",
    "unshare",
    "mount",
    "curl",
    "script",
    "tmux",
    "iptables",
    "procps",
    "services",
    "python",
  ]);
  say(`built ${await build()}`);
  if (args.some((it) => !it.startsWith("-"))) return await runTests(args);
  const rest = PLACES.filter((place) => !OF_WHOLE_RUNS.flat().includes(place));
  return await runGroups([["src/", ...rest], ...OF_WHOLE_RUNS].map((places) => [...args, ...places]), {});
}

/** Runs `deno test ARGS`, and says at its end what was skipped and how many passed. Resolves with the exit code. */
export async function runTests(args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  return await runGroups([args], env);
}

/** The same with several groups of arguments at once, each shown as a whole. */
async function runGroups(groups: readonly (readonly string[])[], env: Record<string, string>): Promise<number> {
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  let before = Promise.resolve();
  const running = groups.map((args) => {
    const group = runGroup(args, env, counts, before);
    before = group.then(() => {});
    return group;
  });
  const codes = await Promise.all(running);
  conclude(counts);
  return codes.find((code) => code !== 0) ?? 0;
}

/** What it prints is shown once `isTurn` has resolved. */
async function runGroup(
  args: readonly string[],
  env: Record<string, string>,
  counts: Counts,
  isTurn: Promise<void>,
): Promise<number> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", ...args],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn();
  let early: string[] | undefined = [];
  const shown = isTurn.then(() => {
    for (const text of early!) print(text);
    early = undefined;
  });
  let pending = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (early) early.push(text);
    else print(text);
    const lines = (pending + text).split("\n");
    pending = lines.pop()!;
    for (const line of lines) count(line, counts);
  }
  await shown;
  return (await child.status).code;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function count(line: string, counts: Counts): void {
  const skipped = /^(.*) \.\.\. ignored/.exec(line);
  if (skipped) counts.skipped.push(skipped[1]!);
  const summary = /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/.exec(line);
  if (!summary) return;
  counts.passed += Number(summary[1]);
  counts.failed += Number(summary[2]);
}

function conclude({ passed, failed, skipped }: Counts): void {
  const lines = skipped.map((name) => `skipped: ${name}\n`).join("");
  const numbers = `${passed} passed, ${failed} failed, ${skipped.length} skipped\n`;
  print(lines + numbers);
}

if (import.meta.main) Deno.exit(await test(Deno.args));
