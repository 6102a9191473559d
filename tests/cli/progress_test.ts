/** What is shown while a run starts: in a pipe, on a terminal, as JSON, not at all; never on standard output. */
import assert from "node:assert/strict";
import { exec, MIRRORD, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { eventually, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();

function test(name: string, body: (target: string) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(`process/${sandbox.pid}`);
  });
}

for (const mode of ["standard", "dumb", "simple", ""]) {
  test(`in a pipe, mode "${mode}" prints plain lines on standard error`, async (target) => {
    const env = { MIRRORD_PROGRESS_MODE: mode };
    const { stdout, stderr } = await exec(["-t", target, "echo", "a b"], { env });
    assert.equal(stdout, "a b\n");
    const lines = stderr.replaceAll(/\d+\.\d\d s/g, "N s").split("\n");
    assert.deepEqual(lines, [
      '* Running binary "/usr/bin/echo" with arguments: ["a b"].',
      `* mirrord will run with target ${target}, no configuration file was loaded`,
      "* env: all environment variables will be fetched",
      "* fs: file operations will default to read only from the remote",
      "* incoming: incoming traffic will be mirrored to the ports that the program listens on",
      "* outgoing: forwarding is enabled on TCP and UDP",
      "* dns: DNS will be resolved remotely",
      "✓ agent ready (N s)",
      "✓ ready to launch process",
      "",
    ]);
  });
}

test("mode json prints an object a line", async (target) => {
  const { stderr } = await exec(["-t", target, "true"], { env: { MIRRORD_PROGRESS_MODE: "json" } });
  const messages = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(messages[0], { type: "NewTask", name: "mirrord exec" });
  assert.ok(messages.some((it) => it.type === "FinishedTask" && it.success && it.message === "agent ready"));
  assert.deepEqual(messages.at(-1), {
    type: "FinishedTask",
    name: "mirrord exec",
    success: true,
    message: "ready to launch process",
  });
});

test("mode off prints nothing", async (target) => {
  const { stderr } = await exec(["-t", target, "true"], { env: { MIRRORD_PROGRESS_MODE: "off" } });
  assert.equal(stderr, "");
});

test("what was chosen is said: files, names, connections, variables", async (target) => {
  const flags = ["--fs-mode", "local", "--no-remote-dns", "--no-outgoing", "-x", "A;B*"];
  const { stderr } = await exec(["-t", target, ...flags, "true"], { env: { MIRRORD_PROGRESS_MODE: "dumb" } });
  assert.match(stderr, /^\* fs: file operations will be local$/m);
  assert.match(stderr, /^\* dns: DNS will be resolved locally$/m);
  assert.match(stderr, /^\* outgoing: connections are made locally$/m);
  assert.match(stderr, /^\* env: all environment variables but these will be fetched: A, B\*$/m);
});

test("no traffic is taken from a target in the network that the program is in", async () => {
  const { stderr } = await exec(["-t", `process/${Deno.pid}`, "true"], { env: { MIRRORD_PROGRESS_MODE: "dumb" } });
  assert.match(stderr, /^\* incoming: incoming traffic stays local$/m);
});

test("on a terminal there is a spinner, and it leaves a clean line", async (target) => {
  const typed = `${MIRRORD} exec -t ${target} echo done`;
  const options = {
    args: ["-qec", typed, "/dev/null"],
    env: { MIRRORD_PROGRESS_MODE: "standard", TERM: "xterm", CI: "" }, // a CI service is none, as far as progress goes
  } as const;
  const { stdout } = await new Deno.Command("script", { ...options, args: [...options.args], stdin: "null" }).output();
  const text = new TextDecoder().decode(stdout);
  assert.match(text, /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] mirrord exec/);
  // What a terminal shows at the end: each line from its last return and erasure on.
  const shown = text.split("\r\n").map((line) => line.split("\r\x1b[K").at(-1));
  assert.deepEqual(shown.slice(-3), ["✓ mirrord exec: ready to launch process", "done", ""]);
  assert.ok(shown.some((line) => /^ {2}✓ agent ready \(\d\.\d\d s\)$/.test(line ?? "")));
});

test("MIRRORD_LOG names a file, from where the command was typed, in which the run is told", async (target) => {
  const cwd = await Deno.makeTempDir();
  try {
    await exec(["-t", target, "true"], { cwd, env: { MIRRORD_LOG: "run.log" } });
    await eventually(async () => (await Deno.readTextFile(`${cwd}/run.log`)).includes("going down"));
    const text = await Deno.readTextFile(`${cwd}/run.log`);
    assert.match(text, /^\d{4}-\S+Z info intproxy\[\d+\] agent: .* Ready on stdin and stdout for process \d+$/m);
    assert.equal(Deno.statSync(`${cwd}/run.log`).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
