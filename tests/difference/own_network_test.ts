/** Judged by difference, as difference_test.ts: what programs are told of the network that they are in. */
import assert from "node:assert/strict";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";

const PYTHON = "/usr/bin/python3";
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
  const inside = await it.inside(command);
  const outside = await it.run(command);
  const [there, here] = [inside, outside].map(({ stdout, stderr }) => (stdout + stderr).trimEnd().split("\n"));
  assert.ok(there!.length >= least, `inside it said only ${there!.join("\n")}`);
  assert.deepEqual(here, there);
}

sandboxTest("programs read of the target's network in /proc/net, by all its names", { needs: [PYTHON] }, async (it) => {
  await furnish(it);
  const program = (await Promise.all(["transcript.py", "proc_net.py"].map((name) =>
    Deno.readTextFile(new URL(name, PROGRAMS))
  ))).join("\n");
  await compare(it, [PYTHON, "-c", program], 35);
});
