/** `mirrord console` and the logs of runs: files, levels, JSON. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { assertFits } from "../support/json_schema.ts";
import { endOf, exec, mirrord, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const BUILT = whyNotBuilt();

interface Console extends AsyncDisposable {
  readonly address: string;
  printed(): string;
  end(): Promise<number>;
}

async function startConsole(flags: readonly string[]): Promise<Console> {
  const child = spawnMirrord(["console", "--listen", "127.0.0.1:0", ...flags]);
  const said = ["", ""];
  const listening = [child.stdout, child.stderr].map(async (stream, at) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) said[at] += text;
  });
  await eventually(() => said[1]!.endsWith("\n"));
  const end = async () => {
    try {
      child.kill("SIGINT");
    } catch {
      // It has ended.
    }
    const { code, signal } = await child.status;
    await Promise.all(listening);
    await child.stdin.close().catch(() => {});
    assert.equal(signal, null);
    return code;
  };
  const address = /MIRRORD_CONSOLE_ADDR=(.*)$/m.exec(said[1]!)![1]!;
  return { address, printed: () => said[0]!, end, [Symbol.asyncDispose]: async () => void await end() };
}

const RUN = ["cat", "/etc/hostname", "/usr/lib/os-release"];

testUnless(REASON, "the console prints what a run asks for, and at trace what the shim leaves here", async () => {
  await using sandbox = await startSandbox();
  await using shown = await startConsole(["--level", "trace", "-o", "json"]);
  const env = { MIRRORD_CONSOLE_ADDR: shown.address };
  assert.equal((await exec(["-t", `process/${sandbox.pid}`, ...RUN], { env })).code, 0);
  await eventually(() => shown.printed().includes("going down"));
  const lines = shown.printed().trim().split("\n").map((it) => JSON.parse(it));
  for (const line of lines) await assertFits("console", line);
  const of = (level: string) => lines.filter((it) => it.level === level).map((it) => it.message).join("\n");
  assert.match(of("debug"), /^process \d+: Open "\/etc\/hostname"$/m);
  assert.match(of("trace"), /^process \d+: leaves "\/usr\/lib\/os-release" to this machine \(system-directory\)$/m);
  assert.match(of("info"), /agent: .* A client has come/);
  assert.equal(await shown.end(), 130);
});

testUnless(REASON, "two runs come to one console, which prints lines of its level", async () => {
  await using sandbox = await startSandbox();
  await using shown = await startConsole([]);
  const env = { MIRRORD_CONSOLE_ADDR: shown.address };
  const flags = ["-t", `process/${sandbox.pid}`];
  await Promise.all([exec([...flags, ...RUN], { env }), exec([...flags, ...RUN], { env })]);
  await eventually(() => shown.printed().split("going down").length === 3);
  assert.equal(new Set(shown.printed().match(/intproxy\[\d+\]/g)).size, 2);
  assert.doesNotMatch(shown.printed(), /debug|trace|Open/);
  assert.match(shown.printed(), /^\d{4}-\S+Z info {2}intproxy\[\d+\] going down: programs left$/m);
});

testUnless(REASON, "port-forward and dump have their logs there too", async () => {
  await using sandbox = await startSandbox();
  await using shown = await startConsole([]);
  const child = spawnMirrord(["dump", "-t", `process/${sandbox.pid}`, "-p", "80"], {
    env: { MIRRORD_CONSOLE_ADDR: shown.address },
  });
  const ending = endOf(child);
  await eventually(() => /info {2}dump\[\d+\] agent: .* Port 80 is mirrored by /.test(shown.printed()));
  child.kill("SIGINT");
  await child.stdin.close();
  assert.equal((await ending).code, 130);
});

testUnless(REASON, "a console that is not there, or is something else, does not hinder a run", async () => {
  await using sandbox = await startSandbox();
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using odd = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = odd.accept().then(async (conn) => {
    await conn.write(new TextEncoder().encode("220 mail.example.com\r\n"));
    conn.close();
  });
  for (const address of ["127.0.0.1:9", `127.0.0.1:${silent.addr.port}`, `127.0.0.1:${odd.addr.port}`, "nonsense"]) {
    const env = { MIRRORD_CONSOLE_ADDR: address };
    const { code, stdout } = await exec(["-t", `process/${sandbox.pid}`, "cat", "/etc/hostname"], { env });
    assert.deepEqual([code, stdout], [0, `${sandbox.hostname}\n`]);
  }
  await answering;
});

testUnless(BUILT, "what does not speak as a run does is not printed, nor does it reach the terminal", async () => {
  await using shown = await startConsole([]);
  const port = Number(shown.address.split(":")[1]);
  for (
    const text of [
      "GET / HTTP/1.1\r\n\r\n",
      "x".repeat(100_000),
      '{"process":"\\u001b[2J"}\n{"message":"\\u001b[2J"}\n',
    ]
  ) {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode(text)).catch(() => {});
    await conn.closeWrite().catch(() => {});
    const buffer = new Uint8Array(1000);
    while (await conn.read(buffer).catch(() => null) !== null);
  }
  await eventually(() => shown.printed() !== "");
  assert.equal(shown.printed(), "undefined info  \\x1b[2J[undefined] \\x1b[2J\n");
});

testUnless(BUILT, "an address that somebody has is refused", async () => {
  await using shown = await startConsole([]);
  const { code, stderr } = await mirrord(["console", "--listen", shown.address]);
  assert.match(stderr, /Cannot listen on 127.0.0.1:\d+: somebody listens there\n hint: .*PORT_NOT_OPENED/);
  assert.equal(code, 125);
});

testUnless(
  REASON,
  "MIRRORD_LOG is a file, or a level of the file that the configuration names; its path is shown",
  async () => {
    await using sandbox = await startSandbox();
    const directory = await Deno.makeTempDir();
    try {
      const configuration = { internal_proxy: { log_destination: directory, json_log: true } };
      await Deno.writeTextFile(`${directory}/c.json`, JSON.stringify(configuration));
      const flags = ["-t", `process/${sandbox.pid}`, "-f", `${directory}/c.json`];
      const env = { MIRRORD_LOG: "mirrord=debug,warn", MIRRORD_PROGRESS_MODE: "dumb" };
      const { code, stderr } = await exec([...flags, ...RUN], { env });
      assert.equal(code, 0);
      const path = /^\* log: (.*)$/m.exec(stderr)![1]!;
      assert.match(path, new RegExp(`^${directory}/mirrord-intproxy-[0-9a-f]{8}\\.log$`));
      await eventually(() => Deno.readTextFileSync(path).includes("going down"));
      const lines = Deno.readTextFileSync(path).trim().split("\n").map((it) => JSON.parse(it));
      assert.ok(lines.some((it) => it.level === "debug" && /Open "\/etc\/hostname"/.test(it.message)));
      assert.ok(lines.every((it) => /^intproxy\[\d+\]$/.test(it.process) && it.timestamp));
      const alone = await exec(["-t", `process/${sandbox.pid}`, "true"], {
        env: { MIRRORD_LOG: "debug", MIRRORD_PROGRESS_MODE: "dumb", TMPDIR: directory },
      });
      assert.match(alone.stderr, new RegExp(`^\\* log: ${directory}/mirrord-intproxy-[0-9a-f]{8}\\.log$`, "m"));
      const off = await exec(["-t", `process/${sandbox.pid}`, "true"], {
        env: { MIRRORD_LOG: "off", MIRRORD_PROGRESS_MODE: "dumb" },
      });
      assert.doesNotMatch(off.stderr, /log:/);
      const other = `${directory}/named.log`;
      await exec([...flags, ...RUN], { env: { MIRRORD_LOG: other } });
      await eventually(() => Deno.readTextFileSync(other).includes('"level":"info"'));
      assert.doesNotMatch(Deno.readTextFileSync(other), /debug/);
      assert.equal(Deno.statSync(other).mode! & 0o777, 0o600);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);
