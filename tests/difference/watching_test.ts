/**
 * Judged by difference: what inotify(7) tells a program of changes that another hand makes at the target, inside it and
 * under `mirrord exec`. The program says which change it wants ("$ …") and waits for a line.
 */
import assert from "node:assert/strict";
import { spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, SANDBOX_ENVIRONMENT, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const PROGRAMS = new URL("./programs/", import.meta.url).pathname;
const TREE = "rm -rf w; mkdir -p w/tree/sub w/marks; cd w; echo f >tree/file; echo i >tree/sub/inner; echo a >alone; " +
  "ln -s tree link";

/** On a busy machine. */
const MOST_TRIES = 5;

testUnless(whyNotBuilt() ?? whyNoSandbox(), "inotify tells the same inside a target and under mirrord", async () => {
  await using sandbox = await startSandbox();
  const scratch = await Deno.makeTempDir({ prefix: "mirrord-watching-" });
  await using undo = new AsyncDisposableStack();
  undo.defer(() => Deno.remove(scratch, { recursive: true }));
  await sh(`cp ${PROGRAMS}/*.py ${scratch}; chmod 755 ${scratch}; cp -r ${scratch} ${sandbox.root}${scratch}`);
  await sh(`mount --rbind /dev ${sandbox.root}/dev; mkdir -p ${sandbox.root}/data`, sandbox);
  const command = ["/usr/bin/python3", `${scratch}/watching.py`, "/data/w"];
  const inside = await transcript(sandbox, () => inSandbox(sandbox, command).spawn());
  const env = { MIRRORD_PROGRESS_MODE: "off", PYTHONDONTWRITEBYTECODE: "1" };
  const args = ["exec", "-t", `process/${sandbox.pid}`, "--", ...command];
  const told = () => transcript(sandbox, () => spawnMirrord(args, { cwd: scratch, env }));
  assert.ok(inside.length > 100, inside.join("\n"));
  // What takes longer than the agent listens for (an open, long before its close) is told apart, and an open behind what it is for.
  let outside = await told();
  for (let tries = 1; tries < MOST_TRIES && outside.join("\n") !== inside.join("\n"); tries++) outside = await told();
  assert.deepEqual(outside, inside);
});

/** What the program says while the changes that it wants are made. */
async function transcript(sandbox: Sandbox, start: () => Deno.ChildProcess): Promise<string[]> {
  await sh(`cd ${sandbox.root}/data; ${TREE}`);
  const child = start();
  const lines: string[] = [];
  const answers = child.stdin.getWriter();
  const complaints = new Response(child.stderr).text();
  for await (const line of linesOf(child.stdout)) {
    lines.push(line);
    if (!line.startsWith("$ ")) continue;
    const hand = inSandbox(sandbox, ["/bin/sh", "-c", line.slice(2)]).spawn();
    await hand.stdin.close();
    await hand.output();
    await answers.write(new TextEncoder().encode("\n"));
  }
  await answers.close().catch(() => {}); // it may have ended
  await child.status;
  return [...lines, ...(await complaints).split("\n")];
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest) yield rest;
}

function inSandbox(sandbox: Sandbox, command: readonly string[]): Deno.Command {
  return new Deno.Command("nsenter", {
    args: ["--target", String(sandbox.pid), "--net", "--mount", "--root", "--wdns=/", "--", ...command],
    clearEnv: true,
    env: { ...SANDBOX_ENVIRONMENT, LC_ALL: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

async function sh(script: string, sandbox?: Sandbox): Promise<void> {
  const command = ["sh", "-ec", script];
  const args = sandbox ? ["nsenter", "--target", String(sandbox.pid), "--mount", "--", ...command] : command;
  const { success, stderr } = await new Deno.Command(args[0]!, { args: args.slice(1) }).output();
  if (!success) throw new Error(`${script}: ${new TextDecoder().decode(stderr)}`);
}
