/** `mirrord ls` where there is much to list. */
import assert from "node:assert/strict";
import { kubeconfigFor, startCrowd } from "../support/crowd.ts";
import { mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

testUnless(whyNotBuilt(), "ls reads 2000 pods page by page, and lists each once", async () => {
  await using crowd = startCrowd(2000);
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/config`, kubeconfigFor(crowd));
    const { code, stdout, stderr } = await mirrord(["ls"], { env: { KUBECONFIG: `${folder}/config` } });
    assert.deepEqual([code, stderr], [0, ""]);
    const listed: string[] = JSON.parse(stdout);
    assert.equal(new Set(listed).size, 2000);
    assert.equal(crowd.requests.filter((it) => it.path.endsWith("/pods")).length, 4);
    assert.ok(crowd.requests.every((it) => it.query.get("limit") === "500"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
