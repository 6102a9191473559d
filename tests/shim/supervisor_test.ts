/** The supervisor where it may not do its work: said before the program is bound to it, and nothing hangs. */
import assert from "node:assert/strict";
import { startUnderShim } from "../support/under_shim.ts";

const SUPERVISOR = new URL("../../native/out/supervisor", import.meta.url);
const WITHOUT_RIGHTS = ["--bounding-set=-all", "--inh-caps=-all"];

/** A file that cannot be read, run without rights: the kernel lets nobody look into the process. */
function prepare(directory: string): void {
  Deno.copyFileSync(SUPERVISOR, `${directory}/supervisor`);
  Deno.chmodSync(`${directory}/supervisor`, 0o111);
}

const isReady = Deno.uid() === 0 && await Deno.stat(SUPERVISOR).then(() => true, () => false);

Deno.test({
  name: "a program whose supervisor may not look into it runs without one",
  ignore: !isReady,
  fn: async () => {
    const args = [...WITHOUT_RIGHTS, "env", "./supervisor", "/bin/echo", "echo", "here"];
    await using app = await startUnderShim("/usr/bin/setpriv", args, { prepare, env: { LD_PRELOAD: "" } });
    const { code, stdout, stderr } = await app.end();
    assert.deepEqual([code, stdout], [0, "here\n"], stderr);
    assert.match(stderr, /^mirrord: cannot enter \/bin\/echo: /);
  },
});
