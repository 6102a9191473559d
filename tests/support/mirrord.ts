/** The built program as a process: what tests/cli and tests/cluster type and what they get. */

export const MIRRORD: string = new URL("../../dist/mirrord", import.meta.url).pathname;

/** Undefined, or the reason why a test of the built program has to be skipped. */
export function whyNotBuilt(): string | undefined {
  try {
    Deno.statSync(MIRRORD);
    return undefined;
  } catch {
    return "needs dist/mirrord: deno task build";
  }
}

export interface Ended {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Beside PATH, HOME and nothing else. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** As this user, and the group of the same number. */
  readonly uid?: number;
  /** Another executable than dist/mirrord. */
  readonly executable?: string;
}

const ALWAYS = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

/** Starts `mirrord ARGS` with an environment of its own; all three streams are pipes. */
export function spawnMirrord(args: readonly string[], options: RunOptions = {}): Deno.ChildProcess {
  return new Deno.Command(options.executable ?? MIRRORD, {
    args: [...args],
    clearEnv: true,
    env: { ...ALWAYS, HOME: Deno.env.get("HOME") ?? "/root", ...options.env },
    ...options.cwd === undefined ? {} : { cwd: options.cwd },
    ...options.uid === undefined ? {} : { uid: options.uid, gid: options.uid },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs it to its end. */
export async function mirrord(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawnMirrord(args, options);
  const writer = child.stdin.getWriter();
  const feeding = writer.write(new TextEncoder().encode(options.stdin ?? "")).then(() => writer.close());
  const ended = await endOf(child);
  await feeding.catch(() => {}); // it may not have read its input
  return ended;
}

/** All of what a child says, and how it ends. */
export async function endOf(child: Deno.ChildProcess): Promise<Ended> {
  const { code, signal, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, signal, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** `mirrord exec ARGS`, quiet: what is on standard error is the program's. */
export function exec(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return mirrord(["exec", ...args], { ...options, env: { MIRRORD_PROGRESS_MODE: "off", ...options.env } });
}

/** A test that waits for ever fails, so that the others go on. */
const MOST_MS = 5 * 60_000;

async function withinReason(running: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`It is not over after ${MOST_MS / 60_000} minutes`)), MOST_MS);
  try {
    await Promise.race([running, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Registers a test that is skipped, with the reason in its name, where something it needs is missing. */
export function testUnless(
  reason: string | undefined,
  name: string,
  run: (context: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({
    name: reason === undefined ? name : `${name} (skipped: ${reason})`,
    ignore: reason !== undefined,
    fn: (context) => withinReason(run(context)),
  });
}
