/**
 * Real programs that ask the network, end to end: each script is run by a shell as a plain process inside the target and under
 * `mirrord exec` outside, and both must say the same. Nothing leaves this machine.
 */
import assert from "node:assert/strict";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";
import type { ProgramCase } from "./cases.ts";
import { NETWORK_CASES } from "./network_cases.ts";
import { HOSTS, shell, startServices } from "./network_fixture.ts";
import { WEB_ENVIRONMENT, whyNoNodeWeb, whyNoPythonWeb } from "./packages.ts";
import { isThere } from "../../src/base/is_there.ts";

const PACKAGES: readonly [program: string, why: string | undefined][] = [
  ["python3", await whyNoPythonWeb()],
  ["node", await whyNoNodeWeb()],
];
const PROGRAMS = new URL("./", import.meta.url).pathname;
const SEARCHED = ["/usr/bin", "/usr/sbin"];

// Rows E23, E37
sandboxTest("programs that ask the network say the same inside a target and under mirrord", {}, async (it, context) => {
  await using _services = await startServices(it);
  for (const one of NETWORK_CASES) {
    const missing = one.needs.filter((name) => !SEARCHED.some((directory) => isThere(`${directory}/${name}`)));
    const noPackages = PACKAGES.find(([program, why]) => why && one.needs.includes(program))?.[1];
    const reason = one.waits ?? (missing.length > 0 ? `needs ${missing.join(", ")}` : noPackages);
    await context.step({
      name: reason === undefined ? one.name : `${one.name} (skipped: ${reason})`,
      ignore: reason !== undefined,
      fn: () => judge(it, one),
    });
  }
});

// Row E37
sandboxTest("ten hosts at once over TLS are this machine's with --no-outgoing", {}, async (it) => {
  const network = "127.99.7";
  await shell(`sh ${PROGRAMS}servers/certificates.sh ${it.here} ${HOSTS}`);
  const args = [`${PROGRAMS}servers/tls_hosts.py`, it.here, network, String(HOSTS)];
  const servers = new Deno.Command("/usr/bin/python3", { args, stdin: "piped", stdout: "piped" }).spawn();
  const output = servers.stdout.getReader();
  try {
    await output.read();
    const resolve = '--resolve "host$n.example:443:$0.$((10 + n))"';
    const script =
      `for n in $(seq ${HOSTS}); do curl -sS --cacert ca.crt ${resolve} https://host$n.example/$n & done; wait`;
    const { stdout, stderr } = await it.run(["sh", "-c", script, network], { flags: ["--no-outgoing"] });
    const said = stdout.trimEnd().split("\n").map((line) => line.split(" ")[1]).map(Number).sort((a, b) => a - b);
    assert.deepEqual([said, stderr], [Array.from({ length: HOSTS }, (_, at) => at + 1), ""]);
  } finally {
    servers.kill("SIGKILL");
    await servers.stdin.close();
    await output.cancel();
    await servers.status;
  }
});

async function judge(it: Case, { script, isSorted }: ProgramCase): Promise<void> {
  const variables = Object.entries(WEB_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
  const command = ["/usr/bin/env", ...variables, "/usr/bin/sh", "-c", script];
  const inside = await it.inside(command, it.here);
  const outside = await it.run(command);
  const order = (text: string) => isSorted ? text.split("\n").sort().join("\n") : text;
  assert.equal(order(outside.stdout), order(inside.stdout));
  assert.deepEqual([outside.code, outside.stderr], [inside.code, inside.stderr]);
  assert.notEqual(inside.stdout, "", inside.stderr);
}
