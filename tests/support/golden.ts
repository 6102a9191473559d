/** Texts that are compared whole: they lie in tests/cli/golden. */
import assert from "node:assert/strict";

/** Compares with a file; MIRRORD_UPDATE_GOLDEN=1 writes it instead. */
export async function assertGolden(name: string, text: string): Promise<void> {
  const file = new URL(`../cli/golden/${name}`, import.meta.url);
  if (Deno.env.get("MIRRORD_UPDATE_GOLDEN")) await Deno.writeTextFile(file, text);
  assert.equal(text, await Deno.readTextFile(file));
}
