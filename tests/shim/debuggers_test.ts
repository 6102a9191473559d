/** Ports of debuggers: found in the command line or the environment, they are this machine's; all others on loopback may be the target's. */
import assert from "node:assert/strict";
import { builtApp, startUnderShim } from "../support/under_shim.ts";

/** Whether a connection to this port of loopback stayed here, without anybody being asked. */
async function staysHere(port: number, args: string[], env: Record<string, string> = {}, program = "debugged") {
  await using app = await startUnderShim(program, [String(port), ...args], {
    env,
    answer: (request) => request.type === "Destination" ? { type: "DestinationReply", isLocal: false } : undefined,
  });
  const said = await app.output();
  // Without relays what is the target's is out of reach.
  assert.equal(said, app.count() === 0 ? "ECONNREFUSED\n" : "ENETUNREACH\n");
  return app.count() === 0;
}

const JDWP = "-agentlib:jdwp=transport=dt_socket,server=n,suspend=y,address";

const DETECTED: readonly [what: string, port: number, args: string[]][] = [
  ["debugpy --connect", 15678, ["-m", "debugpy", "--connect", "127.0.0.1:15678", "app.py"]],
  ["debugpy --listen", 15679, ["-m", "debugpy", "--listen", "15679", "app.py"]],
  ["debugpy's launcher", 15680, ["/ext/debugpy/launcher", "15680", "--", "app.py"]],
  ["debugpy's adapter", 15681, ["/ext/debugpy/adapter", "--port=15681"]],
  ["pydevd", 15682, [
    "/ide/pydevd.py",
    "--multiprocess",
    "--client",
    "127.0.0.1",
    "--port",
    "15682",
    "--file",
    "app.py",
  ]],
  ["ReSharper", 15683, ["/ide/JetBrains.Debugger.Worker.exe", "--mode=client", "--frontend-port=15683"]],
  ["the JVM's agent", 15684, [`${JDWP}=127.0.0.1:15684`, "-jar", "app.jar"]],
  ["the JVM's agent without a host", 15685, [`${JDWP}=15685,quiet=y`]],
  ["the JVM's old agent", 15686, ["-Xrunjdwp:transport=dt_socket,address=*:15686"]],
  ["node --inspect", 9229, ["--inspect", "app.js"]],
  ["node --inspect=PORT", 15687, ["--inspect=15687", "app.js"]],
  ["node --inspect-brk=HOST:PORT", 15688, ["--inspect-brk=localhost:15688", "app.js"]],
  ["node --inspect=HOST", 9229, ["--inspect=localhost", "app.js"]],
];

for (const [what, port, args] of DETECTED) {
  // Row U06
  Deno.test(`connect() to the port of ${what} stays local`, async () => {
    assert.equal(await staysHere(port, args), true);
    assert.equal(await staysHere(port + 100, args), false);
  });
}

const NOT_DETECTED: readonly [what: string, port: number, args: string[]][] = [
  ["another program's --port", 15678, ["server.py", "--port", "15678"]],
  ["another program's --connect", 15678, ["--connect", "127.0.0.1:15678"]],
  ["any port that the inspector chooses", 9229, ["--inspect=0"]],
  ["an option that begins like the inspector's", 9229, ["--inspector"]],
  ["a JVM's other agent", 15684, ["-agentlib:hprof=address=15684"]],
];

for (const [what, port, args] of NOT_DETECTED) {
  Deno.test(`connect() is not kept local by ${what}`, async () => {
    assert.equal(await staysHere(port, args), false);
  });
}

Deno.test("connect() to the port that a JVM's argument file names stays local, comments aside", async () => {
  const directory = await Deno.makeTempDir();
  try {
    // A JVM is known by its name; the file may hold what is no UTF-8.
    await Deno.symlink(await builtApp("debugged"), `${directory}/java`);
    const text = `-cp "a b.jar"\n# ${JDWP}=15690\n"${JDWP}=127.0.0.1:15691"\n`;
    const bytes = new Uint8Array([...new TextEncoder().encode(text), 0xe9, 0x0a]);
    await Deno.writeFile(`${directory}/args`, bytes);
    const args = [`@${directory}/args`, "Main"];
    assert.equal(await staysHere(15691, args, {}, `${directory}/java`), true);
    assert.equal(await staysHere(15690, args, {}, `${directory}/java`), false);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("connect() to the debugger's port that a variable names stays local", async () => {
  assert.equal(await staysHere(15692, [], { JAVA_TOOL_OPTIONS: `-Xmx1g ${JDWP}=localhost:15692` }), true);
  assert.equal(await staysHere(15693, [], { NODE_OPTIONS: "--max-old-space-size=99 --inspect=15693" }), true);
});

// Row L56
Deno.test("MIRRORD_IGNORE_DEBUGGER_PORTS keeps ports and ranges local, but for 50000 and 50001", async () => {
  const env = { MIRRORD_IGNORE_DEBUGGER_PORTS: "15694,45000-65535" };
  const ports = [15694, 45000, 50002, 65535, 50000, 50001, 80, 15695];
  const here = await Promise.all(ports.map((port) => staysHere(port, [], env)));
  assert.deepEqual(here, [true, true, true, true, false, false, false, false]);
});

Deno.test("bind() and listen() of a debugger's port stay local", async () => {
  for (const [args, asked] of [[["--inspect=15696"], []], [[], ["Bind", "Listen"]]] as const) {
    await using app = await startUnderShim("debugged", ["15696", "listen", ...args], {
      settings: { isIncomingRemote: true },
      answer: (request) =>
        request.type === "Listen"
          ? { type: "Done", errno: 0 }
          : request.type === "Bind"
          ? { type: "BindReply", isIncoming: false, isFixed: false, port: 0, takenPort: 0 }
          : undefined,
    });
    assert.equal(await app.output(), "0\n0\n");
    assert.deepEqual(app.frames.map((it) => it.type), asked);
  }
});
