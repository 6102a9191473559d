/** A test of the built program whose target is a sandbox: what tests/conformance and tests/programs are written with. */
import { type Ended, exec, type RunOptions, testUnless, whyNotBuilt } from "./mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "./sandbox.ts";
import { isThere } from "../../src/base/is_there.ts";

export interface Case {
  readonly sandbox: Sandbox;
  /** A directory of this machine, below /tmp: the program's working directory. */
  readonly here: string;
  /** Runs a command in the sandbox's context; `options.flags` stand before it. */
  readonly run: (command: readonly string[], options?: RunOptions & { flags?: readonly string[] }) => Promise<Ended>;
  /** The same, with mode write. */
  readonly write: (command: readonly string[], options?: RunOptions & { flags?: readonly string[] }) => Promise<Ended>;
  /** Runs a command as a plain process inside the sandbox. */
  readonly inside: (command: readonly string[], cwd?: string) => Promise<Ended>;
}

/** `files` are made below the target's root; `needs` are programs of this machine. */
export interface CaseOptions {
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly needs?: readonly string[];
  /** What is not there yet, or why the test cannot be run. */
  readonly waits?: string;
}

/** Registers a test with a sandbox of its own. */
export function sandboxTest(
  name: string,
  options: CaseOptions,
  body: (it: Case, context: Deno.TestContext) => Promise<void>,
): void {
  const missing = (options.needs ?? []).filter((path) => !isThere(path));
  const lacks = missing.length > 0 ? `needs ${missing.join(", ")}` : undefined;
  testUnless(options.waits ?? lacks ?? whyNotBuilt() ?? whyNoSandbox(), name, async (context) => {
    await using sandbox = await startSandbox();
    const here = await Deno.makeTempDir({ prefix: "mirrord-here-" });
    try {
      await furnish(sandbox.root, options.files ?? {});
      await body(caseOf(sandbox, here), context);
    } finally {
      await Deno.remove(here, { recursive: true });
    }
  });
}

function caseOf(sandbox: Sandbox, here: string): Case {
  const run: Case["run"] = (command, options = {}) => {
    const flags = ["--target", `process/${sandbox.pid}`, ...options.flags ?? [], "--"];
    return exec([...flags, ...command], { cwd: here, ...options });
  };
  return {
    sandbox,
    here,
    run,
    write: (command, options = {}) => run(command, { ...options, flags: ["--fs-mode=write", ...options.flags ?? []] }),
    inside: (command, cwd = "/") => inside(sandbox, command, cwd),
  };
}

async function furnish(root: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [path, contents] of Object.entries(files)) {
    await Deno.mkdir(`${root}${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeFile(
      `${root}${path}`,
      typeof contents === "string" ? new TextEncoder().encode(contents) : contents,
    );
  }
}

async function inside(sandbox: Sandbox, command: readonly string[], cwd: string): Promise<Ended> {
  const there = ["--target", String(sandbox.pid), "--net", "--uts", "--mount", "--root", `--wdns=${cwd}`, "--"];
  const { code, signal, stdout, stderr } = await new Deno.Command("nsenter", {
    args: [...there, ...command],
    clearEnv: true,
    env: { ...sandbox.environment, LC_ALL: "C.UTF-8" },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, signal, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

const built = new Map<string, Promise<string>>();

/** Path of a compiled C program; `source` is relative to tests/. It lies in native/out, made anew when its text changed. */
export function builtProgram(source: string, flags: readonly string[] = []): Promise<string> {
  const key = [source, ...flags].join(" ");
  let program = built.get(key);
  if (!program) built.set(key, program = compileProgram(source, flags));
  return program;
}

async function compileProgram(source: string, flags: readonly string[]): Promise<string> {
  const path = new URL(`../${source}`, import.meta.url);
  const directory = new URL("../../native/out/apps/", import.meta.url);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path)));
  const variant = flags.join("").replaceAll(/[^a-z0-9]/g, "");
  const name = source.replace(/^.*\//, "").replace(/\.c$/, "");
  const output = new URL(`${name}${variant}-${digest.toHex().slice(0, 16)}`, directory).pathname;
  if (isThere(output)) return output;
  await Deno.mkdir(directory, { recursive: true });
  const scratch = `${output}.${Deno.pid}`;
  const warnings = ["-Wall", "-Wextra", "-Wno-deprecated-declarations", "-Wno-nonnull"];
  const args = ["-std=gnu11", "-O1", ...warnings, ...flags, "-o", scratch, path.pathname, "-pthread", "-ldl"];
  const { success, stderr } = await new Deno.Command("gcc", { args, stderr: "piped" }).output();
  if (!success) throw new Error(`gcc ${source}:\n${new TextDecoder().decode(stderr)}`);
  await Deno.rename(scratch, output);
  return output;
}
