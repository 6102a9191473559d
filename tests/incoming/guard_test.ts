/** What removes the table on kernels that do not do it themselves (before Linux 5.12). */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { startServer, tablesOf } from "../support/incoming.ts";
import { testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const PROGRAM = new URL("./programs/old_kernel.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

async function makeAndDie(sandbox: Sandbox, ...args: string[]): Promise<void> {
  const run = [Deno.execPath(), "run", "-A", "--quiet", "--config", CONFIG, PROGRAM, ...args];
  assert.equal(await sandbox.inNetwork(run), "made\n");
}

testUnless(whyNoSandbox(), "a guard process removes the table of an agent that was killed", async () => {
  await using sandbox = await startSandbox();
  await makeAndDie(sandbox);
  await eventually(async () => (await tablesOf(sandbox)).length === 0);
});

// Row E10
testUnless(
  whyNotBuilt() ?? whyNoSandbox(),
  "the next agent removes what an agent and its guard have left, and leaves the living alone",
  async () => {
    await using sandbox = await startSandbox();
    await using _living = await startServer(sandbox, { flags: ["--steal"] });
    await makeAndDie(sandbox, "leave");
    assert.equal((await tablesOf(sandbox)).length, 2);
    const config = `${sandbox.root}/mirrord.json`;
    await Deno.writeTextFile(config, JSON.stringify({ agent: { clean_iptables_on_start: true } }));
    await using _next = await startServer(sandbox, { flags: ["--steal", "-f", config], port: 7000 });
    const tables = await tablesOf(sandbox);
    assert.equal(tables.length, 2);
    const pids = tables.map((name) => name.split("-")[1]);
    for (const pid of pids) Deno.statSync(`/proc/${pid}`);
  },
);
