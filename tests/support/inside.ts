/** Programs that run as plain processes inside a sandbox, and how what they say differs from what they say under mirrord. */
import { type Sandbox, SANDBOX_ENVIRONMENT } from "./sandbox.ts";

/** A line of a topic that may differ, and why. */
export interface Intended {
  topic: string;
  line: RegExp;
  why: string;
}

/** With its streams as pipes; it sees the sandbox's files, network and host name. */
export function spawnInside(sandbox: Sandbox, directory: string, command: readonly string[]): Deno.ChildProcess {
  const there = ["--target", String(sandbox.pid), "--net", "--uts", "--mount", "--root", `--wdns=${directory}`, "--"];
  return new Deno.Command("nsenter", {
    args: [...there, ...command],
    clearEnv: true,
    env: { ...SANDBOX_ENVIRONMENT, LC_ALL: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** All that it says until it ends, on both streams. */
export async function runInside(sandbox: Sandbox, directory: string, command: readonly string[]): Promise<string> {
  const child = spawnInside(sandbox, directory, command);
  await child.stdin.close();
  const { stdout, stderr } = await child.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

export async function endInside(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await child.stdin.close().catch(() => {});
  await child.output();
}

/** The lines that only one of them says and that are not meant to differ. */
export async function differences(
  { inside, outside }: { inside: string; outside: string },
  intended: readonly Intended[],
): Promise<string[]> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/inside`, inside);
    await Deno.writeTextFile(`${directory}/mirrord`, outside);
    const formats = ["--old-line-format=inside:  %L", "--new-line-format=mirrord: %L", "--unchanged-line-format="];
    const command = new Deno.Command("diff", { args: [...formats, `${directory}/inside`, `${directory}/mirrord`] });
    const lines = new TextDecoder().decode((await command.output()).stdout).split("\n");
    return lines.filter((it) => it !== "" && !intended.some(({ line }) => line.test(it.slice(9))));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Throws what it complains of when it fails. */
export async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
