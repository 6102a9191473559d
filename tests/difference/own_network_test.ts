/** Judged by difference, as difference_test.ts: what programs are told of the network that they are in. */
import assert from "node:assert/strict";
import { builtProgram, type Case, sandboxTest } from "../support/sandbox_case.ts";

const PYTHON = "/usr/bin/python3";
/** Pods rarely may change their network. */
const AS_IN_A_POD = ["setpriv", "--bounding-set", "-net_admin"];
const PROGRAMS = new URL("./programs/", import.meta.url);

/** What a pod has, and a little more. */
async function furnish({ sandbox }: Case): Promise<void> {
  await sandbox.inNetwork([
    "sh",
    "-ec",
    `
    ip link add pod0 type veth peer name pod1
    ip link set pod0 addrgenmode none
    ip link set pod1 addrgenmode none
    ip address add fe80::55/64 dev pod0 nodad
    ip address add 10.5.5.5/24 brd + dev pod0
    ip address add 10.5.5.6/24 brd + dev pod0 label pod0:1
    ip link set pod0 mtu 1400 address 02:00:00:00:05:05 up
    ip link set pod1 address 02:00:00:00:05:06 up
    ip route add 10.77.0.0/16 via 10.5.5.1
    ip neigh add 10.5.5.1 lladdr 02:00:00:00:00:01 dev pod0`,
  ]);
}

async function compare(it: Case, command: readonly string[], least: number): Promise<void> {
  const inside = await it.inside([...AS_IN_A_POD, ...command]);
  const outside = await it.run(command);
  const [there, here] = [inside, outside].map(({ stdout, stderr }) => (stdout + stderr).trimEnd().split("\n"));
  assert.ok(there!.length >= least, `inside it said only ${there!.join("\n")}`);
  assert.deepEqual(here, there);
}

const program = async (name: string) =>
  (await Promise.all(["transcript.py", name].map((it) => Deno.readTextFile(new URL(it, PROGRAMS))))).join("\n");

sandboxTest("programs read of the target's network in /proc/net, by all its names", { needs: [PYTHON] }, async (it) => {
  await furnish(it);
  await compare(it, [PYTHON, "-c", await program("proc_net.py")], 35);
});

sandboxTest("the kernel tells of the target's network, by ioctl and by netlink", { needs: [PYTHON] }, async (it) => {
  await furnish(it);
  await compare(it, [PYTHON, "-c", await program("network_questions.py")], 90);
});

const TOOLS = [
  "ip address",
  "ip -j link | tr , '\\n' | grep -v qlen",
  "ip route show table all",
  "ip neigh",
  "ip route get 10.77.1.1",
  "ip address show dev pod0",
  "ip link set pod0 down",
  "ip link add dummy0 type dummy",
  "ss -tln",
  "ifconfig -a | grep -v packets",
  "ifconfig pod0 down",
  "netstat -tln",
  "route -n",
  "arp -n",
];

sandboxTest("tools tell of the target's network", {}, async (it) => {
  await furnish(it);
  await compare(it, ["sh", "-c", TOOLS.map((tool) => `echo "- ${tool.replaceAll('"', "")}"; ${tool}`).join("\n")], 40);
});

for (const flags of [[], ["-static"]]) {
  const kind = flags.length > 0 ? "static" : "dynamic";
  sandboxTest(`a ${kind} program asks about the target's network in all ways there are`, {}, async (it) => {
    await furnish(it);
    const program = await builtProgram("difference/programs/interface_calls.c", flags);
    await Deno.copyFile(program, `${it.sandbox.root}/tmp/program`);
    const inside = await it.inside([...AS_IN_A_POD, "/tmp/program"]);
    const outside = await it.run([program]);
    assert.match(
      inside.stdout,
      /sendmsg 24\n {2}from 0: .*\n {2}pod0:1 mtu 0 1400\n {2}pod0:1 mask 0 \w{8}\nchange -1\n$/s,
    );
    assert.deepEqual(outside.stdout, inside.stdout);
  });
}

/** What the server at the target has heard after the command, up to the last. */
async function heard(it: Case, act: () => Promise<string>): Promise<string[]> {
  const server = new Deno.Command("nsenter", {
    args: [
      ...["--target", String(it.sandbox.pid), "--net", "--mount", "--root", "--wdns=/", "--"],
      ...[PYTHON, "-c", await Deno.readTextFile(new URL("unix_datagrams_server.py", PROGRAMS))],
    ],
    stdout: "piped",
  }).spawn();
  const out = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let text = "";
    const hear = async (...parts: string[]) => {
      while (!parts.every((part) => text.includes(part))) {
        const { value, done } = await out.read();
        assert.ok(!done, `the server has ended; it had said ${text}`);
        text += value;
      }
    };
    await hear("ready\n");
    const said = await act();
    await hear("b'the last'\n", "b'abstract'\n");
    // Of two sockets nobody knows which was heard first.
    const lines = text.trimEnd().split("\n");
    const isAbstract = (line: string) => line.includes("b'abstract'");
    return [said, ...lines.filter((it) => !isAbstract(it)), ...lines.filter(isAbstract)].join("\n").split("\n");
  } finally {
    await out.cancel();
    server.kill("SIGKILL");
    await server.status;
  }
}

sandboxTest("datagrams to Unix sockets of the target arrive, and fail as there", { needs: [PYTHON] }, async (it) => {
  const command = [PYTHON, "-c", await program("unix_datagrams.py")];
  const config = `${it.here}/mirrord.json`;
  const outgoing = { unix_streams: ["^/run/(log|missing|nobody|stream)$", "^/etc/passwd$", "^@mirrord-log$"] };
  await Deno.writeTextFile(config, JSON.stringify({ feature: { network: { outgoing } } }));
  const said = ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr;
  const inside = await heard(it, async () => said(await it.inside(command)));
  const outside = await heard(it, async () => said(await it.run(command, { flags: ["-f", config] })));
  assert.ok(inside.length > 28, inside.join("\n"));
  assert.deepEqual(outside, inside);
});

for (const incoming of ["mirror", "off"]) {
  const name = `a program reaches its own server that is bound to an address of the pod's, incoming: ${incoming}`;
  sandboxTest(name, { needs: [PYTHON] }, async (it) => {
    await furnish(it);
    const command = [PYTHON, "-c", await program("own_server_by_address.py")];
    const config = `${it.here}/mirrord.json`;
    await Deno.writeTextFile(config, JSON.stringify({ feature: { network: { incoming } } }));
    const inside = await it.inside(command);
    const outside = await it.run(command, { flags: ["-f", config] });
    assert.equal(inside.stdout.match(/b'welcome'/g)?.length, 4, inside.stdout);
    assert.deepEqual(outside.stdout, inside.stdout);
  });
}

sandboxTest("hosts of the target have all their names", { needs: [PYTHON] }, async (it) => {
  const hosts = `${it.sandbox.root}/etc/hosts`;
  const more =
    "10.88.0.1 first.example\talias-one alias-two # 10.88.0.9 none\nfe80::1 six\n\n10.88.0.2 first.example third\n";
  await Deno.writeTextFile(hosts, more, { append: true });
  await compare(it, [PYTHON, "-c", await program("hosts.py")], 12);
});
