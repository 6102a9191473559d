import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { withFittingImage } from "./cluster.ts";
import { VERSION } from "./version.ts";

Deno.test("an agent of another version is refused with the image that fits", () => {
  const error = withFittingImage(
    new UserError("AGENT_VERSION", "Cannot work with this agent: mirrord 9", { hint: "x" }),
  );
  assert.ok(error instanceof UserError);
  assert.equal(error.message, "Cannot work with this agent: mirrord 9");
  assert.equal(
    error.hint,
    `--agent-image ghcr.io/mirrord/mirrord-agent:${VERSION} fits, or mirrord of the agent's version`,
  );
  const other = new Error("other");
  assert.equal(withFittingImage(other), other);
});
