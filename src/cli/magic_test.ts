import assert from "node:assert/strict";
import { resolveConfig } from "../config/resolve.ts";
import { parseEnvironment } from "./environment.ts";
import { withMagic } from "./magic.ts";

const environmentOf = (home: string) => parseEnvironment(new TextEncoder().encode(`HOME=${home}\0AWS_PROFILE=mine\0`));
const saying = (key: "feature.magic.aws" | "feature.magic.turbo", value: boolean) =>
  resolveConfig([{ key, value, from: key }]);

Deno.test("withMagic() takes the user's AWS logins away, variables and the files that are there", async () => {
  const home = await Deno.makeTempDir({ prefix: "mirrord-h.me-" });
  try {
    const before = withMagic(resolveConfig([]), environmentOf(home), []);
    assert.ok(before.env.unset.includes("AWS_PROFILE"));
    assert.deepEqual(before.paths.notFound, []);
    await Deno.mkdir(`${home}/.aws`);
    await Deno.writeTextFile(`${home}/.aws/credentials`, "[default]\n");
    const { paths: { notFound: [pattern, ...more] } } = withMagic(resolveConfig([]), environmentOf(home), []);
    assert.deepEqual(more, []);
    assert.match(pattern!, /^\^\/tmp\/mirrord\\-h\\\.me\\-\w+\/\\\.aws\/credentials\$$/);
    const off = saying("feature.magic.aws", false);
    assert.deepEqual(withMagic(off, environmentOf(home), []), off);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("withMagic() leaves the loopback of Next.js here", () => {
  const keeps = (words: string[], config = resolveConfig([])) =>
    withMagic(config, environmentOf("/"), words).network.keepsLoopback;
  assert.equal(keeps(["node_modules/.bin/next", "dev"]), true);
  assert.equal(keeps(["node", "/app/node_modules/next/dist/bin/next", "dev"]), true);
  assert.equal(keeps(["npx", "next", "dev"]), true);
  assert.equal(keeps(["npm", "run", "dev"]), false);
  assert.equal(keeps(["node", "nextcloud.js"]), false);
  assert.equal(keeps(["next"], saying("feature.magic.turbo", false)), false);
});
