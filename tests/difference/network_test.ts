/**
 * Judged by difference, as difference_test.ts, with what programs rarely do to sockets: each program is run in the target and under
 * mirrord, and what it says must be the same. What differs on purpose stands in INTENDED, with its reason.
 */
import assert from "node:assert/strict";
import type { Zone } from "../support/name_server.ts";
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

sandboxTest("wrong arguments of socket calls are refused as in the target", {}, async (it) => {
  const program = await builtProgram("difference/programs/wrong_arguments.c", ["-w"]);
  await Deno.copyFile(program, `${it.sandbox.root}/tmp/wrong_arguments`);
  const inside = await it.inside(["/tmp/wrong_arguments"]);
  const outside = await it.run([program]);
  assert.ok(inside.stdout.split("\n").length > 50, inside.stdout + inside.stderr);
  assert.deepEqual(outside.stdout.split("\n"), inside.stdout.split("\n"));
});

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

/** A network of the target's own, with a subnet; `hasIPv6`: a private one besides. */
async function giveInterface(it: Case, hasIPv6: boolean): Promise<void> {
  const ip = async (...args: string[]) => void await it.sandbox.inNetwork(["ip", ...args]);
  await ip("link", "add", "pod0", "type", "veth", "peer", "name", "pod1");
  for (const name of ["pod0", "pod1"]) await ip("link", "set", name, "up");
  await ip("address", "add", "10.5.5.5/24", "dev", "pod0");
  await ip("route", "add", "default", "via", "10.5.5.1");
  if (hasIPv6) await ip("address", "add", "fd77::5/64", "dev", "pod0", "nodad");
  else await it.sandbox.inNetwork(["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"]);
}

/** hosts(5) with everything twice; the nearest address of a subnet is not the first. */
const HOSTS = `127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
10.99.7.1 sandbox-7d4b9 in-hosts-only
10.5.5.200 near
10.5.5.4 near
10.5.5.6 near
10.99.7.1 near
10.5.5.5 near
10.5.6.7 far
10.5.5.8 far
10.5.5.4 far
fd77::9 mixed
10.5.5.200 mixed
10.5.5.4 mixed
fd77::4 mixed
127.0.0.1 own
10.5.5.5 own
::1 own
fd77::5 own
10.1.1.1 dup d1 alias1
10.1.1.2 dup d2 alias2
10.1.1.1 dup3 alias2 alias1
fd00::9 dup sixer
10.1.1.3 sixer s4
::ffff:10.1.1.9 mapped
`;

for (const hasIPv6 of [true, false]) {
  const name = `getaddrinfo() and getnameinfo() say what they say in a target ${hasIPv6 ? "with" : "without"} IPv6`;
  sandboxTest(name, {}, async (it) => {
    const program = await builtProgram("difference/programs/every_flag.c", ["-w"]);
    await Deno.copyFile(program, `${it.sandbox.root}/tmp/every_flag`);
    await Deno.copyFile("/etc/services", `${it.sandbox.root}/etc/services`);
    await Deno.copyFile("/etc/protocols", `${it.sandbox.root}/etc/protocols`);
    await giveInterface(it, hasIPv6);
    const inside = await it.inside(["/tmp/every_flag"]);
    const outside = await it.run([program]);
    assert.ok(inside.stdout.split("\n").length > 5000, inside.stdout + inside.stderr);
    assert.deepEqual(outside.stdout.split("\n"), inside.stdout.split("\n"));
  });
}

for (const multi of ["on", "off"]) {
  const name =
    `what a hosts file says is told in the same order and as often as in the target, host.conf: multi ${multi}`;
  sandboxTest(name, { needs: [PYTHON] }, async (it) => {
    await giveInterface(it, true);
    await Deno.copyFile("/etc/services", `${it.sandbox.root}/etc/services`);
    await Deno.writeTextFile(`${it.sandbox.root}/etc/hosts`, HOSTS);
    await Deno.writeTextFile(`${it.sandbox.root}/etc/host.conf`, `multi ${multi}\n`);
    const program = await Deno.readTextFile(new URL("hosts_lines.py", PROGRAMS));
    await compare(it, [PYTHON, "-c", `${transcript}\n${program}`], 150);
  });
}

const ZONE: Zone = {
  "www.a.test": { "CNAME": "web.far.test" },
  "web.far.test": { "A": ["10.0.0.1", "10.0.0.2"], "AAAA": ["2001:db8::1"] },
  "c1.a.test": { "CNAME": "c2.a.test" },
  "c2.a.test": { "CNAME": "c3.a.test" },
  "c3.a.test": { "A": ["10.0.0.3"] },
  "c6.a.test": { "CNAME": "six.a.test" },
  "six.a.test": { "AAAA": ["2001:db8::6"] },
  "dangling.a.test": { "CNAME": "nowhere.a.test" },
  "empty.a.test": {},
  "_under._tcp.a.test": { "A": ["10.0.0.4"] },
  "under_score.a.test": { "A": ["10.0.0.5"] },
  "fail.a.test": "SERVFAIL",
  "refused.a.test": "REFUSED",
  "form.a.test": "FORMERR",
  "web.b.test": { "A": ["10.0.1.1"] },
  "fail.b.test": { "A": ["10.0.1.2"] },
  "refused.b.test": { "A": ["10.0.1.3"] },
  "empty.b.test": { "A": ["10.0.1.4"] },
  "six.b.test": { "A": ["10.0.1.5"] },
  "a.b.c.d": { "A": ["10.0.2.1"] },
  "x.y": { "A": ["10.0.2.2"] },
  "x.y.a.test": { "A": ["10.0.2.3"] },
  "dotted.name.b.test": { "A": ["10.0.2.4"] },
  "fail": { "A": ["10.0.3.1"] },
  "tld": { "A": ["10.0.3.2"] },
  "loop.a.test": { "CNAME": "loop2.a.test" },
  "loop2.a.test": { "CNAME": "loop.a.test" },
  "MiXed.a.test": { "A": ["10.0.4.1"] },
  "mixed.a.test": { "A": ["10.0.4.2"] },
  "1.0.0.10.in-addr.arpa": { "PTR": ["web.far.test", "other.far.test"] },
  "2.0.0.10.in-addr.arpa": { "CNAME": "2.sub.0.0.10.in-addr.arpa" },
  "2.sub.0.0.10.in-addr.arpa": { "PTR": ["deleg.far.test"] },
  "3.0.0.10.in-addr.arpa": "SERVFAIL",
  "5.0.0.10.in-addr.arpa": { "PTR": ["under_score.far.test"] },
  "many.a.test": { A: Array.from({ length: 40 }, (_, at) => `10.1.0.${at + 1}`) }, // more than a datagram holds
};

/** Answers from the zone on the sandbox's loopback, and is its only name server. */
async function startNameServer(it: Case): Promise<AsyncDisposable> {
  const script = new URL("../support/name_server.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-A", "--quiet", "--cached-only", script, JSON.stringify(ZONE)];
  const server = new Deno.Command("nsenter", {
    args: ["--target", String(it.sandbox.pid), "--net", "--", ...deno],
    cwd: new URL("../..", import.meta.url).pathname,
    stdout: "piped",
  }).spawn();
  const said = server.stdout.getReader();
  await said.read();
  const conf = "nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:2 timeout:5 attempts:1\n";
  await Deno.writeTextFile(`${it.sandbox.root}/etc/resolv.conf`, conf);
  await Deno.writeTextFile(`${it.sandbox.root}/etc/nsswitch.conf`, "hosts: files dns\n");
  return {
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await server.status;
      await said.cancel();
    },
  };
}

sandboxTest("what a name server answers comes to what it comes to in the target", { needs: [PYTHON] }, async (it) => {
  await using _server = await startNameServer(it);
  const program = await Deno.readTextFile(new URL("name_answers.py", PROGRAMS));
  await compare(it, [PYTHON, "-c", `${transcript}\n${program}`], 350);
});
