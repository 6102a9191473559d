/**
 * `deno task demo`: what mirrord does, on this machine and without a cluster. Installs what is missing, builds, starts a
 * small sandbox (its own network, files, host name, environment, DNS) and says side by side what programs see without and
 * with mirrord. Ends by itself and cleans up; exits with 1 when mirrord did not show the sandbox.
 */
import { type Sandbox, startSandbox, whyNoSandbox } from "../tests/support/sandbox.ts";
import { build } from "./build.ts";
import { prepare, say, TO_BUILD } from "./prepare.ts";

interface Scene {
  readonly title: string;
  readonly command: readonly string[];
  /** What the target's own answer contains. */
  readonly expect: (sandbox: Sandbox) => string;
}

const SCENES: readonly Scene[] = [
  {
    title: "a name and a server that exist only there",
    command: ["curl", "--silent", "--show-error", "--max-time", "10", "http://echo-server/hello"],
    expect: ({ hostname }) => `"hostname":"${hostname}"`,
  },
  { title: "a file", command: ["cat", "/app/config.json"], expect: () => '"blue"' },
  { title: "the host name", command: ["hostname"], expect: ({ hostname }) => hostname },
  {
    title: "the environment, in a child of a shell",
    command: ["sh", "-c", 'echo "${GREETING:-(not set)}"'],
    expect: ({ environment }) => environment["GREETING"]!,
  },
];

async function demo(): Promise<boolean> {
  const started = performance.now();
  await prepare([...TO_BUILD, "ip", "unshare", "mount", "curl"]);
  const reason = whyNoSandbox();
  if (reason !== undefined) throw new Error(`The demo ${reason}`);
  const mirrord = await build();
  say(`built ${mirrord}`);
  await using sandbox = await startSandbox();
  say(`the sandbox runs: process ${sandbox.pid}, with servers on ${sandbox.address} that nobody here can reach`);
  let isGood = true;
  for (const [index, scene] of SCENES.entries()) {
    // Once is enough to see how a run reports its start.
    Deno.env.set("MIRRORD_PROGRESS_MODE", index === 0 ? "standard" : "off");
    const shown = await show(scene, ["dist/mirrord", "exec", "--target", `process/${sandbox.pid}`, "--"]);
    isGood &&= shown.includes(scene.expect(sandbox));
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  say(isGood ? `done in ${seconds} s` : "NOT as it should be: see above");
  return isGood;
}

/** Prints what a command says without and with `mirrord`; returns the latter. */
async function show({ title, command }: Scene, mirrord: readonly string[]): Promise<string> {
  print(`\n== ${title}\n`);
  const typed = command.map((word) => /[\s"$]/.test(word) ? `'${word}'` : word).join(" ");
  print(`\nwithout:  $ ${typed}\n${indented(await said(command))}`);
  const text = await said([...mirrord, ...command]);
  print(`with:     $ mirrord ${mirrord.slice(1).join(" ")} ${typed}\n${indented(text)}`);
  return text;
}

/** Both outputs of a command, and how it ended when it failed. */
async function said(command: readonly string[]): Promise<string> {
  const [program, ...args] = command;
  const options = {
    args,
    cwd: new URL("..", import.meta.url),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  } as const;
  const { stdout, stderr, code } = await new Deno.Command(program!, options).output();
  const text = (new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout)).trimEnd();
  return code === 0 ? text : `${text}\n(exit code ${code})`;
}

function indented(text: string): string {
  return text.split("\n").map((line) => `    ${line}\n`).join("");
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) Deno.exit(await demo() ? 0 : 1);
