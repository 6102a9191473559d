import assert from "node:assert/strict";
import { refuse, startApiServer } from "../../tests/support/api_server.ts";
import { KubeClient } from "./client.ts";
import { RefusedError } from "./refusals.ts";
import { formatRight, type RightsOfRun, rightsOfRun, withMissingRights } from "./rights.ts";

const RUN: RightsOfRun = {
  target: { kind: "deployment", name: "web" },
  targetNamespace: "shop",
  agentNamespace: "agents",
  isEphemeral: false,
};

function needed(run: Partial<RightsOfRun>): string[] {
  return rightsOfRun({ ...RUN, ...run }).filter((it) => !it.optional).map((it) => `${it.namespace} ${formatRight(it)}`);
}

Deno.test("rightsOfRun() names what a run of each kind needs, and where", () => {
  const job = [
    "agents create jobs.batch",
    "agents delete jobs.batch",
    "agents list pods",
    "agents watch pods",
    "agents create pods/portforward",
  ];
  assert.deepEqual(needed({}), ["shop get deployments.apps", "shop list pods", ...job]);
  assert.deepEqual(needed({ target: undefined }), job);
  assert.deepEqual(needed({ target: { kind: "label", name: "a=b" } }), ["shop list pods", ...job]);
  assert.deepEqual(needed({ target: { kind: "pod", name: "a" }, isEphemeral: true }), [
    "shop get pods",
    "shop patch pods/ephemeralcontainers",
    "shop list pods",
    "shop watch pods",
    "shop create pods/portforward",
  ]);
});

interface Review {
  spec: { resourceAttributes: { verb: string; resource: string; subresource?: string } };
}

const FORBIDDEN = new RefusedError("KUBE_FORBIDDEN", "Cannot get deployments: no", 403, "Forbidden", "one hint");

Deno.test("withMissingRights() asks after a refusal for all that a run needs, and names what is missing", async () => {
  await using api = startApiServer(({ path, body }) => {
    assert.equal(path, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    const { verb, resource, subresource } = (body as Review).spec.resourceAttributes;
    const allowed = verb !== "create" && resource !== "deployments";
    assert.ok(subresource === undefined || subresource === "portforward");
    return Response.json({ status: { allowed } }, { status: 201 });
  });
  using client = new KubeClient(api.server);
  const error = await withMissingRights(client, FORBIDDEN, RUN);
  assert.ok(error instanceof RefusedError);
  assert.equal(error.message, FORBIDDEN.message);
  assert.equal(
    error.hint,
    'missing in namespace "shop": get deployments.apps; in namespace "agents": create jobs.batch, ' +
      "create pods/portforward. docs/rbac.md has a Role with what a run needs",
  );
});

Deno.test("withMissingRights() leaves other errors alone, and the refusal where nobody may ask", async () => {
  await using api = startApiServer(() => refuse(403, "no reviews for you"));
  using client = new KubeClient(api.server);
  const other = new Error("other");
  assert.equal(await withMissingRights(client, other, RUN), other);
  assert.equal(api.requests.length, 0);
  assert.equal(await withMissingRights(client, FORBIDDEN, RUN), FORBIDDEN);
});
