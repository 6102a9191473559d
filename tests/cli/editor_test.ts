/** What plugins of editors use: `mirrord ext`, `mirrord extract`. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { assertFits } from "../support/json_schema.ts";
import { MIRRORD, mirrord, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";
import { isThere } from "../../src/base/is_there.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const TITLE = "mirrord preparing to launch";

interface Prepared extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly lines: readonly Record<string, unknown>[];
  readonly execution: { environment: Record<string, string>; env_to_unset: string[] };
  complained(): string;
}

/** Runs `mirrord ext` until it has told its variables. */
async function prepared(sandbox: Sandbox, configuration: unknown, env: Record<string, string> = {}): Promise<Prepared> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, JSON.stringify(configuration));
  const child = spawnMirrord(["ext", "-t", `process/${sandbox.pid}`, "-f", file], { env });
  let said = "", complained = "";
  const listening = [
    (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) said += text;
    })(),
    (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) complained += text;
    })(),
  ];
  const last = () => said.split("\n").slice(0, -1).map((it) => JSON.parse(it)).find(isLast);
  await eventually(() => last() !== undefined || complained !== "");
  assert.equal(complained, "");
  return {
    child,
    lines: said.trim().split("\n").map((it) => JSON.parse(it)),
    execution: JSON.parse(last().message),
    complained: () => complained,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
      await Promise.all(listening);
      await child.stdin.close().catch(() => {});
      await Deno.remove(file);
    },
  };
}

function isLast(it: Record<string, unknown>): boolean {
  return it["type"] === "FinishedTask" && it["name"] === TITLE;
}

const QUICK = { internal_proxy: { idle_timeout: 0, start_idle_timeout: 30 } };

testUnless(
  REASON,
  "ext prints progress and variables, with which programs are in the target; it ends after them",
  async () => {
    await using sandbox = await startSandbox();
    const configuration = { ...QUICK, feature: { env: { unset: ["SECRET"], override: { MODE: "debug" } } } };
    await using run = await prepared(sandbox, configuration, { SECRET: "x", KEPT: "y" });
    for (const line of run.lines) await assertFits("progress", line);
    await assertFits("ext", run.execution);
    const { environment, env_to_unset } = run.execution;
    assert.deepEqual(env_to_unset, ["SECRET"]);
    assert.deepEqual([environment["GREETING"], environment["MODE"]], ["hello from the sandbox", "debug"]);
    assert.deepEqual(["KEPT", "PATH", "HOME"].filter((it) => it in environment), []);
    const script = "cat /app/config.json; hostname; sh -c 'cat /app/secret/token'";
    const program = await new Deno.Command("sh", { args: ["-c", script], env: environment }).output();
    assert.equal(new TextDecoder().decode(program.stdout), `{ "color": "blue" }\n${sandbox.hostname}\ns3cr3t\n`);
    assert.deepEqual(await run.child.status.then(({ code, signal }) => ({ code, signal })), { code: 0, signal: null });
    await eventually(() => !isThere(environment["MIRRORD_SESSION_DIR"]!));
  },
);

testUnless(REASON, "ext that is ended by a signal leaves a program of its run as it is", async () => {
  await using sandbox = await startSandbox();
  await using run = await prepared(sandbox, QUICK);
  const env = run.execution.environment;
  const program = new Deno.Command("cat", { args: ["-", "/app/config.json"], env, stdin: "piped", stdout: "piped" })
    .spawn();
  await eventually(() => Deno.readTextFileSync(`/proc/${program.pid}/maps`).includes("shim-"));
  run.child.kill("SIGTERM");
  assert.equal((await run.child.status).code, 0);
  await program.stdin.close();
  const { stdout } = await program.output();
  assert.equal(new TextDecoder().decode(stdout), '{ "color": "blue" }\n');
  await eventually(() => !isThere(env["MIRRORD_SESSION_DIR"]!));
});

testUnless(REASON, "ext for which no program comes ends, and so does its run", async () => {
  await using sandbox = await startSandbox();
  await using run = await prepared(sandbox, { internal_proxy: { start_idle_timeout: 0 } });
  assert.equal((await run.child.status).code, 0);
  await eventually(() => !isThere(run.execution.environment["MIRRORD_SESSION_DIR"]!));
});

testUnless(REASON, "ext whose parent has ended ends, when no program runs", async () => {
  await using sandbox = await startSandbox();
  const file = await Deno.makeTempFile();
  const script = `${MIRRORD} ext -t process/${sandbox.pid} >${file} 2>&1 & echo $!; exec cat`;
  const shell = new Deno.Command("sh", { args: ["-c", script], stdin: "piped", stdout: "piped" }).spawn();
  const reader = shell.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  await eventually(() => Deno.readTextFileSync(file).includes('"success":true,"message":"{'));
  assert.ok(isThere(`/proc/${pid}`));
  shell.kill("SIGKILL");
  await shell.status;
  await eventually(() => !isThere(`/proc/${pid}`));
  await reader.cancel();
  await shell.stdin.close().catch(() => {});
  await Deno.remove(file);
});

testUnless(REASON, "ext that loses its agent ends with an object on standard error", async () => {
  await using sandbox = await startSandbox();
  await using run = await prepared(sandbox, QUICK);
  const agents = [...Deno.readDirSync("/proc")].map((it) => it.name).filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(`\0agent\0--stdio\0--pid\0${sandbox.pid}\0`);
    } catch {
      return false;
    }
  });
  for (const pid of agents) Deno.kill(Number(pid), "SIGKILL");
  assert.equal((await run.child.status).code, 125);
  await eventually(() => run.complained().endsWith("\n"));
  const error = JSON.parse(run.complained());
  await assertFits("error", error);
  assert.equal(error.code, "AGENT_LOST");
});

testUnless(whyNotBuilt(), "ext that fails says so on both streams, an object a line", async () => {
  const { code, stdout, stderr } = await mirrord(["ext", "-t", "process/4194303"]);
  assert.equal(code, 125);
  const error = JSON.parse(stderr);
  await assertFits("error", error);
  assert.deepEqual([error.code, error.exit_code], ["NO_SUCH_PROCESS", 125]);
  const lines = stdout.trim().split("\n").map((it) => JSON.parse(it));
  assert.deepEqual(lines[0], { type: "NewTask", name: TITLE });
  assert.ok(lines.slice(1, -1).every((it) => it.type === "Info"));
  assert.deepEqual(lines.at(-1), { type: "FinishedTask", name: TITLE, success: false, message: null });
});

testUnless(whyNotBuilt(), "extract writes the shim into a directory, or to a file, and says where", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const into = await mirrord(["extract", directory]);
    assert.deepEqual([into.code, into.stdout], [0, `${directory}/libmirrord_layer.so\n`]);
    const to = await mirrord(["extract", `${directory}/other.so`]);
    assert.deepEqual([to.code, to.stdout], [0, `${directory}/other.so\n`]);
    const bytes = await Deno.readFile(`${directory}/other.so`);
    assert.deepEqual(bytes.slice(0, 4), new TextEncoder().encode("\x7fELF"));
    assert.deepEqual(await Deno.readFile(`${directory}/libmirrord_layer.so`), bytes);
    const env = { LD_PRELOAD: `${directory}/other.so` };
    const program = await new Deno.Command("cat", { args: ["/etc/hostname"], env }).output();
    assert.equal(program.code, 0); // without a session it does nothing
    assert.deepEqual([...Deno.readDirSync(directory)].length, 2);
    const nowhere = await mirrord(["extract", `${directory}/no/such/place.so`]);
    assert.equal(nowhere.code, 125);
    assert.match(nowhere.stderr, /Cannot write ".*place.so": No such file or directory\n hint: .*FILE_NOT_WRITTEN/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
