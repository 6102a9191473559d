/** `mirrord up`, end to end, with sandboxes as targets. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { endOf, mirrord, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();

async function withFile(text: string, use: (file: string) => Promise<void>): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, text);
    await use(file);
  } finally {
    await Deno.remove(file);
  }
}

testUnless(REASON, "services run at once, with their names before their lines, and their ends told", async () => {
  await using sandbox = await startSandbox();
  const target = `target: process/${sandbox.pid}`;
  const text = `services:
  web: { ${target}, run: { command: [cat, /app/config.json] } }
  worker: { ${target}, env: { override: { MODE: fast } }, run: { command: [sh, -c, "echo $MODE; echo bad >&2; exit 3"] } }
`;
  await withFile(text, async (file) => {
    const { code, stdout, stderr } = await mirrord(["up", "-f", file, "-k", "ann"]);
    assert.equal(code, 1);
    assert.deepEqual(stdout.trim().split("\n").sort(), ['web    | { "color": "blue" }', "worker | fast"]);
    assert.deepEqual(stderr.trim().split("\n").sort(), [
      "session key: ann",
      "web    | ended with exit code 0",
      "web    | ready",
      "worker | bad",
      "worker | ended with exit code 3",
      "worker | ready",
    ]);
    const one = await mirrord(["up", "-f", file, "web"]);
    assert.deepEqual([one.code, one.stdout], [0, 'web | { "color": "blue" }\n']);
    assert.match(one.stderr, /^session key: [0-9a-f]{5}$/m);
  });
});

const SERVER = new URL("../incoming/programs/server.py", import.meta.url).pathname;

testUnless(REASON, "a service gets the requests of its session; a signal ends all", async () => {
  await using sandbox = await startSandbox();
  const run = `run: { command: [python3, ${SERVER}, 0.0.0.0, "80", local] }`;
  const other = "sleep: { target: none, run: { command: [sleep, '1000'] } }";
  await withFile(`services:\n  web: { target: process/${sandbox.pid}, ${run} }\n  ${other}\n`, async (file) => {
    const child = spawnMirrord(["up", "--file", file, "--key", "ann", "web"]);
    await child.stdin.close();
    const output = endOf(child);
    const ask = async (...flags: string[]) => {
      const text = await sandbox.inNetwork(["curl", "-sS", "--max-time", "60", ...flags, "http://127.0.0.1/"]);
      return text.includes('"by": "local"') ? "local" : "target";
    };
    try {
      await eventually(async () => await ask("-H", "baggage: a=b, mirrord-session=ann") === "local");
      assert.equal(await ask("-H", "baggage: mirrord-session=bob"), "target");
      assert.equal(await ask(), "target");
    } finally {
      child.kill("SIGTERM");
    }
    const { code, signal, stderr } = await output;
    assert.deepEqual({ code, signal }, { code: 143, signal: null });
    assert.match(stderr, /^web \| ended by SIGTERM$/m);
    await eventually(async () => await ask("-H", "baggage: mirrord-session=ann") === "target");
  });
});

testUnless(REASON, "a service that does not start is told with its error; the others go on", async () => {
  await using sandbox = await startSandbox();
  const text = `services:
  bad: { target: process/4194303, run: { command: [cat] } }
  good: { target: process/${sandbox.pid}, run: { command: [cat, /etc/hostname] } }
`;
  await withFile(text, async (file) => {
    const { code, stdout, stderr } = await mirrord(["up", "-f", file]);
    assert.deepEqual([code, stdout], [1, `good | ${sandbox.hostname}\n`]);
    assert.match(stderr, /^bad {2}\| error: Cannot use target "process\/4194303": there is no such process$/m);
    assert.match(stderr, /^bad {2}\| {2}hint: /m);
    assert.match(stderr, /^bad {2}\| ended with exit code 125$/m);
  });
});

testUnless(whyNotBuilt(), "a file that is not there, or wrong, is refused with exit code 2", async () => {
  const { code, stderr } = await mirrord(["up"], { cwd: "/usr/share" });
  assert.equal(code, 2);
  assert.match(stderr, /^error: Cannot read the configuration file "mirrord-up.yaml": there is no such file\n/);
  await withFile("services: { a: { run: { command: [] } } }", async (file) => {
    assert.equal((await mirrord(["up", "--file", file])).code, 2);
  });
});
