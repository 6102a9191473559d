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

/** What goes on beside the rest, and beside each other: three groups that take about the same time on two processors. */
const BESIDE = [["tests/cli/", "tests/cluster/", "tests/session/"], ["tests/difference/", "tests/incoming/"]];

/** So many failing files are chance on a busy machine; more of them are a defect, and are not run again. */
const MOST_REPEATED_FILES = 4;

const MOST_SILENCE_MS = 10 * 60_000;

interface Failure {
  name: string;
  /** Its path below the repository. */
  file: string;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: string[];
  failures: Failure[];
  /** Failed beside others and passed alone: told by name, for each is a bug to be found. */
  flaky: Failure[];
  /** What a sanitizer has found once is there, whatever a second run does. */
  isSanitizerReport: boolean;
  /** A group ended without its summary. */
  isCrash: boolean;
}

/** Of one `deno test`. */
interface Progress {
  /** Whose tests run: Deno names a failure by the line that registered it, which may be in tests/support. */
  file: string;
  /** A test with whose name the last line began, until Deno remarked that it takes long: its result is on the next one. */
  slow: string | undefined;
  /** Its summary has come. */
  isConcluded: boolean;
}

function newCounts(): Counts {
  return { passed: 0, failed: 0, skipped: [], failures: [], flaky: [], isSanitizerReport: false, isCrash: false };
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
  const rest = PLACES.filter((place) => !BESIDE.flat().includes(place));
  return await runGroups([["src/", ...rest], ...BESIDE].map((places) => [...args, ...places]), {});
}

/** Runs `deno test ARGS`, and says at its end what was skipped and how many passed. Resolves with the exit code. */
export async function runTests(args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  return await runGroups([args], env);
}

/** The same with several groups of arguments at once, each shown as a whole. */
async function runGroups(groups: readonly (readonly string[])[], env: Record<string, string>): Promise<number> {
  const counts = newCounts();
  let before = Promise.resolve();
  const running = groups.map((args) => {
    const group = runGroup(args, env, counts, before);
    before = group.then(() => {});
    return group;
  });
  const codes = await Promise.all(running);
  let code = codes.find((it) => it !== 0) ?? 0;
  const files = filesToRepeat(counts);
  if (code !== 0 && files.length > 0) {
    print(`\n${counts.failures.length} failed: ${files.join(", ")} once more, alone\n`);
    const again = newCounts();
    code = await runGroup(files, env, again, Promise.resolve());
    if (again.passed === 0) code = 1;
    if (code === 0) takeForFlaky(counts);
  }
  conclude(counts);
  return code;
}

/** Empty where nothing is to be gained: no test failed by name, too many did, or a sanitizer found something. */
function filesToRepeat({ failures, isSanitizerReport, isCrash }: Counts): string[] {
  const files = [...new Set(failures.map(({ file }) => file))];
  const isExplained = !isSanitizerReport && !isCrash;
  return isExplained && files.length <= MOST_REPEATED_FILES ? files : [];
}

function takeForFlaky(counts: Counts): void {
  counts.flaky = counts.failures;
  counts.passed += counts.failed;
  counts.failed = 0;
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
  const progress: Progress = { file: "", slow: undefined, isConcluded: false };
  let silence = killAfterSilence(child);
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    clearTimeout(silence);
    silence = killAfterSilence(child);
    if (early) early.push(text);
    else print(text);
    const lines = (pending + text).split("\n");
    pending = lines.pop()!;
    for (const line of lines) count(line, counts, progress);
  }
  clearTimeout(silence);
  await shown;
  const { code } = await child.status;
  counts.isCrash ||= code !== 0 && !progress.isConcluded;
  return code;
}

/** A test that waits for ever is ended with all of its run, so that its name is the last that was printed. */
function killAfterSilence(child: Deno.ChildProcess): ReturnType<typeof setTimeout> {
  return setTimeout(() => child.kill("SIGKILL"), MOST_SILENCE_MS);
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function count(line: string, counts: Counts, progress: Progress): void {
  const skipped = /^(.*) \.\.\. ignored/.exec(line);
  if (skipped) counts.skipped.push(skipped[1]!);
  const [, module] = /^running \d+ tests? from \.\/(\S+)$/.exec(line) ?? [];
  if (module) progress.file = module;
  const [, slow] = /^(\S.*) \.\.\.'.*' has been running for over/.exec(line) ?? [];
  const name = /^(\S.*) \.\.\. FAILED/.exec(line)?.[1] ?? (line.startsWith(" FAILED") ? progress.slow : undefined);
  progress.slow = slow ?? (line.startsWith("'") ? progress.slow : undefined);
  if (name) counts.failures.push({ name, file: progress.file });
  const [, broken] = /^Uncaught error from \.\/(\S+) FAILED/.exec(line) ?? [];
  if (broken) counts.failures.push({ name: "(uncaught error)", file: broken });
  counts.isSanitizerReport ||= /Sanitizer: |runtime error: /.test(line);
  const summary = /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/.exec(line);
  if (!summary) return;
  progress.isConcluded = true;
  counts.passed += Number(summary[1]);
  counts.failed += Number(summary[2]);
}

function conclude({ passed, failed, skipped, flaky }: Counts): void {
  const lines = skipped.map((name) => `skipped: ${name}\n`).join("") +
    flaky.map(({ name, file }) => `flaky, a bug to be found: ${name} (${file})\n`).join("");
  const numbers = `${passed} passed, ${failed} failed, ${skipped.length} skipped\n`;
  print(lines + numbers);
}

if (import.meta.main) Deno.exit(await test(Deno.args));
