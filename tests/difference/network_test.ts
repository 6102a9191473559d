/**
 * Judged by difference, as difference_test.ts, with what programs rarely do to sockets: each program is run in the target and under
 * mirrord, and what it says must be the same. What differs on purpose stands in INTENDED, with its reason.
 */
import assert from "node:assert/strict";
import { builtProgram, type Case, sandboxTest } from "../support/sandbox_case.ts";

const INTENDED: readonly { line: RegExp; why: string }[] = [
  { line: /^udp (six )?unreachable:/, why: "a datagram of a socket that is not connected leaves without a question" },
  { line: /^udp broadcast:/, why: "broadcasts are this machine's" },
  { line: /^udp bind \('10.99.7.1', 53\)/, why: "UDP ports are bound here, where the target's are free" },
  { line: /^bound no port:/, why: "the kernel chooses an address only with the port" },
];

const PYTHON = "/usr/bin/python3";
const PROGRAMS = new URL("./programs/", import.meta.url);
const transcript = await Deno.readTextFile(new URL("transcript.py", PROGRAMS));

/** What differs because a pause of the program was too short, on a busy machine, does not when that is ten times as long. */
async function compare(it: Case, command: readonly string[], least: number): Promise<void> {
  await compareOnce(it, command, least).catch(() => compareOnce(it, ["env", "PATIENCE=10", ...command], least));
}

/** They must say the same. */
async function compareOnce(it: Case, command: readonly string[], least: number): Promise<void> {
  const inside = await it.inside(command);
  const outside = await it.run(command);
  const [there, here] = [inside, outside].map(({ stdout, stderr }) => (stdout + stderr).trimEnd().split("\n"));
  assert.ok(there!.length >= least, `inside it said only ${there!.join("\n")}`);
  const strange = (line: string) => !INTENDED.some((it) => it.line.test(line));
  assert.deepEqual(here!.filter(strange), there!.filter(strange));
}

sandboxTest("sockets do under mirrord what they do in the target", { needs: [PYTHON] }, async (it) => {
  const program = await Deno.readTextFile(new URL("socket_calls.py", PROGRAMS));
  await compare(it, [PYTHON, "-c", `${transcript}\n${program}`], 80);
});

sandboxTest(
  "urgent bytes have their place in both directions, and are told as in the target",
  { needs: [PYTHON] },
  async (it) => {
    const server = new Deno.Command("nsenter", {
      args: ["--target", String(it.sandbox.pid), "--net", "--", PYTHON, new URL("urgent_server.py", PROGRAMS).pathname],
      stdout: "piped",
    }).spawn();
    try {
      const out = server.stdout.getReader();
      await out.read();
      const program = await Deno.readTextFile(new URL("urgent.py", PROGRAMS));
      await compare(it, [PYTHON, "-c", `${transcript}\n${program}`], 23);
      await out.cancel();
    } finally {
      server.kill("SIGKILL");
      await server.status;
    }
  },
);

/** What may differ: who steals a port gets what comes to any address; with incoming off sockets are this machine's. */
const OWN_SERVER = { mirror: undefined, steal: /^loopback at 10.*$/gm, off: /\("\(.*?\)", |^own address.*$/gm };

for (const [mode, intended] of Object.entries(OWN_SERVER)) {
  const name = `a program reaches its own server by its own address and name, incoming: ${mode}`;
  sandboxTest(name, { needs: [PYTHON] }, async (it) => {
    const program = `${transcript}\n${await Deno.readTextFile(new URL("own_server.py", PROGRAMS))}`;
    const config = `${it.here}/mirrord.json`;
    await Deno.writeTextFile(config, JSON.stringify({ feature: { network: { incoming: { mode } } } }));
    const inside = await it.inside([PYTHON, "-c", program]);
    const outside = await it.run([PYTHON, "-c", program], { flags: ["-f", config] });
    assert.match(inside.stdout, /own address at 10\.99\.7\.1: .*10\.99\.7\.1/);
    const said = ({ stdout, stderr }: { stdout: string; stderr: string }) =>
      (stdout + stderr).split("\n").map((line) => intended ? line.replace(intended, "") : line);
    assert.deepEqual(said(outside), said(inside));
  });
}

sandboxTest("a program sees the interfaces of the target", {}, async (it) => {
  const program = await builtProgram("difference/programs/interfaces.c");
  await Deno.copyFile(program, `${it.sandbox.root}/tmp/interfaces`);
  await it.sandbox.inNetwork(["ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1"]);
  await it.sandbox.inNetwork(["ip", "address", "add", "10.5.5.5/24", "brd", "+", "dev", "pod0"]);
  await it.sandbox.inNetwork(["ip", "link", "set", "pod0", "up"]);
  const inside = await it.inside(["/tmp/interfaces"]);
  const outside = await it.run([program]);
  const lines = ({ stdout }: { stdout: string }) => stdout.split("\n").filter((line) => !/ address 10 fe80/.test(line));
  assert.match(inside.stdout, /pod0 .* 10\.5\.5\.5/);
  assert.deepEqual(lines(outside), lines(inside));
});

sandboxTest("res_query() and its kin say what they say in the target", {}, async (it) => {
  const program = await builtProgram("difference/programs/resolver.c", ["-Wl,--no-as-needed", "-lresolv"]);
  await Deno.copyFile(program, `${it.sandbox.root}/tmp/resolver`);
  const inside = await it.inside(["/tmp/resolver"]);
  const outside = await it.run([program]);
  assert.ok(inside.stdout.split("\n").length > 100, inside.stdout + inside.stderr);
  assert.deepEqual(outside.stdout.split("\n"), inside.stdout.split("\n"));
});
