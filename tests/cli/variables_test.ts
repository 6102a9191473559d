/** Environment variables that are no option's. */
import assert from "node:assert/strict";
import { sandboxTest } from "../support/sandbox_case.ts";

sandboxTest("MIRRORD_OVERRIDE_HOSTNAME is what programs are told the host's name is", {}, async ({ run, sandbox }) => {
  const command = ["sh", "-c", "hostname; uname -n"];
  assert.equal((await run(command)).stdout, `${sandbox.hostname}\n${sandbox.hostname}\n`);
  assert.equal((await run(command, { env: { MIRRORD_OVERRIDE_HOSTNAME: "web-7" } })).stdout, "web-7\nweb-7\n");
});

sandboxTest("MIRRORD_DONT_LOAD inside of a run ends what is started with it", {}, async ({ run, sandbox }) => {
  const script = "echo begun; env MIRRORD_DONT_LOAD=1 rm /app/config.json; echo $?";
  const { stdout, stderr } = await run(["sh", "-c", script], { flags: ["--fs-mode=write"] });
  assert.equal(stdout, "begun\n125\n");
  assert.match(stderr, /MIRRORD_DONT_LOAD is set: this program does not run in a target/);
  assert.equal(Deno.readTextFileSync(`${sandbox.root}/app/config.json`), '{ "color": "blue" }\n');
});
