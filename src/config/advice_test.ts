import assert from "node:assert/strict";
import { adviceOn } from "./advice.ts";
import { saidByFile } from "./keys.ts";
import { resolveConfig } from "./resolve.ts";

function advice(file: Record<string, unknown>): string[] {
  const { said, errors } = saidByFile({ target: "pod/web", ...file }, "mirrord.json");
  assert.deepEqual(errors, []);
  return adviceOn(resolveConfig(said));
}

Deno.test("adviceOn() tells of what has no effect, or another one", () => {
  assert.deepEqual(advice({}), []);
  assert.match(advice({ agent: { ephemeral: true, namespace: "other" } }).join(), /^agent\.namespace has no effect/);
  assert.deepEqual(advice({ agent: { namespace: "other" } }), []);
  const filter = { remote: ["db.local:5432", "10.0.0.0/8"] };
  assert.match(
    advice({ feature: { network: { dns: false, outgoing: { filter } } } }).join(),
    /names db\.local, while names are looked up on this machine/,
  );
  assert.deepEqual(advice({ feature: { network: { outgoing: { filter } } } }), []);
  const incoming = { port_mapping: [[80, 80], [8080, 81]] };
  assert.match(advice({ feature: { network: { incoming } } }).join(), /port_mapping \[80, 80\] says nothing$/);
});
