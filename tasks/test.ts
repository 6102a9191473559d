/**
 * `deno task test`: builds what is tested, then runs every test that needs no cluster. Names each skip with its reason and
 * ends with one line of numbers. Arguments are handed to `deno test` (`deno task test src/proto`, `--filter "open()"`).
 */
import { build } from "./build.ts";
import { prepare, say, TO_BUILD } from "./prepare.ts";

/** What needs Kubernetes (`deno task test:cluster`) is among it, and skipped by name; tests/programs is not. */
const PLACES = [
  "src/",
  ...[...Deno.readDirSync(new URL("../tests/", import.meta.url))]
    .filter(({ name, isDirectory }) => isDirectory && name !== "programs")
    .map(({ name }) => `tests/${name}/`).sort(),
];

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
  const paths = args.some((it) => !it.startsWith("-")) ? [] : PLACES;
  return await runTests([...args, ...paths]);
}

/** Runs `deno test ARGS`, and says at its end what was skipped and how many passed. Resolves with the exit code. */
export async function runTests(args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", ...args],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn();
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  let pending = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    Deno.stdout.writeSync(new TextEncoder().encode(text));
    const lines = (pending + text).split("\n");
    pending = lines.pop()!;
    for (const line of lines) count(line, counts);
  }
  const { code } = await child.status;
  conclude(counts);
  return code;
}

function count(line: string, counts: Counts): void {
  const skipped = /^(.*) \.\.\. ignored/.exec(line);
  if (skipped) counts.skipped.push(skipped[1]!);
  const summary = /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/.exec(line);
  if (!summary) return;
  counts.passed = Number(summary[1]);
  counts.failed = Number(summary[2]);
}

function conclude({ passed, failed, skipped }: Counts): void {
  const lines = skipped.map((name) => `skipped: ${name}\n`).join("");
  const numbers = `${passed} passed, ${failed} failed, ${skipped.length} skipped\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(lines + numbers));
}

if (import.meta.main) Deno.exit(await test(Deno.args));
