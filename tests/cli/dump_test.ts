/** `mirrord dump`, end to end, with a sandbox as its target. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { MIRRORD, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();

interface Dump {
  readonly sandbox: Sandbox;
  readonly child: Deno.ChildProcess;
  printed(): string;
  complained(): string;
  /** Sends the signal; resolves with the exit code. */
  end(): Promise<number>;
}

function dumpTest(name: string, flags: readonly string[], body: (it: Dump) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await runDump(sandbox, flags, body);
  });
}

async function runDump(sandbox: Sandbox, flags: readonly string[], body: (it: Dump) => Promise<void>): Promise<void> {
  const env = { MIRRORD_PROGRESS_MODE: "off" };
  const child = spawnMirrord(["dump", "-t", `process/${sandbox.pid}`, ...flags], { env });
  const said = ["", ""];
  const listening = [child.stdout, child.stderr].map(async (stream, at) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) said[at] += text;
  });
  try {
    await eventually(() => /watching port|"ready"/.test(said.join("")));
    await body({
      ...{ sandbox, child, printed: () => said[0]!, complained: () => said[1]! },
      async end() {
        child.kill("SIGINT");
        const { code, signal } = await child.status;
        assert.equal(signal, null);
        await Promise.all(listening);
        return code;
      },
    });
  } catch (error) {
    throw new Error(`It said: ${said.join("\n--\n")}`, { cause: error });
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
    await child.stdin.close().catch(() => {});
    await Promise.all(listening);
  }
}

const CURL = ["curl", "-sS", "--max-time", "60"];

dumpTest("what peers say is printed, the target answers, Ctrl-C ends it", ["-p", "80"], async (it) => {
  assert.match(await it.sandbox.inNetwork([...CURL, "http://127.0.0.1/watched"]), /"path":"\/watched"/);
  await eventually(() => it.printed().includes("ended"));
  assert.equal(await it.end(), 130);
  assert.match(
    it.printed(),
    /^## New connection 1 from 127.0.0.1:\d+ to 127.0.0.1:80\n## Connection 1: \d+ bytes\nGET \/watched HTTP\/1.1\nHost: 127.0.0.1\n(?:.*\n)+\n## Connection 1 ended\n$/,
  );
  assert.equal(it.complained(), "watching port 80 of the target\n");
  assert.match(await it.sandbox.inNetwork([...CURL, "http://127.0.0.1/later"]), /"path":"\/later"/);
});

dumpTest(
  "-o json prints an object a line, of two ports and of bytes that are no text",
  ["-p80,7000", "-ojson"],
  async (it) => {
    await it.sandbox.inNetwork([...CURL, "-d", "grün", "http://127.0.0.1/"]);
    await it.sandbox.inNetwork([
      "bash",
      "-c",
      "exec 3<>/dev/tcp/10.99.7.1/7000; printf '\\0\\377' >&3; head -c2 <&3 >/dev/null",
    ]);
    await eventually(() => it.printed().split('"end"').length === 3);
    assert.equal(await it.end(), 130);
    const lines = it.printed().trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines[0], { type: "ready", ports: [80, 7000] });
    const opened = lines.filter((line) => line.type === "connection");
    assert.deepEqual(opened.map((line) => [line.connection, line.port]), [[1, 80], [2, 7000]]);
    const text = lines.filter((line) => line.type === "data" && line.connection === 1).map((line) => line.text).join(
      "",
    );
    assert.match(text, /^POST \/ HTTP\/1.1\r\n.*grün$/s);
    const bytes = lines.filter((line) => line.type === "data" && line.connection === 2).map((line) => line.base64).join(
      "",
    );
    assert.equal(bytes, btoa("\0\xff"));
  },
);

dumpTest("without --ports all ports that the target listens on are watched", [], (it) => {
  assert.match(it.complained(), /^watching ports 80, 7000, 7001 of the target$/m);
  return Promise.resolve();
});

testUnless(REASON, "a reader that goes ends it", async () => {
  await using sandbox = await startSandbox();
  const script = `${MIRRORD} dump -t process/${sandbox.pid} -p 80 2>/dev/null | head -n 1`;
  const child = new Deno.Command("bash", { args: ["-c", script], stdout: "piped" }).spawn();
  let hasEnded = false;
  const output = child.output().finally(() => hasEnded = true);
  await eventually(async () => {
    await sandbox.inNetwork([...CURL, "http://127.0.0.1/"]);
    return hasEnded;
  });
  const { code, stdout } = await output;
  assert.match(new TextDecoder().decode(stdout), /^## New connection 1 from 127.0.0.1:\d+ to 127.0.0.1:80\n$/);
  assert.equal(code, 0);
});

testUnless(REASON, "with an HTTP filter only the requests that match are printed", async () => {
  await using sandbox = await startSandbox();
  const file = await Deno.makeTempFile({ suffix: ".json" });
  const configuration = {
    feature: { network: { incoming: { mode: "steal", http_filter: { path_filter: "^/mine" } } } },
  };
  await Deno.writeTextFile(file, JSON.stringify(configuration));
  await runDump(sandbox, ["-p", "80", "-f", file], async (it) => {
    assert.match(await sandbox.inNetwork([...CURL, "http://127.0.0.1/other"]), /"path":"\/other"/);
    assert.match(await sandbox.inNetwork([...CURL, "http://127.0.0.1/mine"]), /"path":"\/mine"/);
    await eventually(() => it.printed().includes("ended"));
    assert.doesNotMatch(it.printed(), /other/);
    assert.match(it.printed(), /^GET \/mine HTTP/m);
  });
  await Deno.remove(file);
});
