import assert from "node:assert/strict";
import { formatDiagnosis } from "./diagnose.ts";
import { percentiles } from "./diagnosis.ts";

Deno.test("percentiles() are those of the nearest rank", () => {
  const times = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.deepEqual(percentiles(times), { rounds: 200, p50: 100, p90: 180, p99: 198, max: 200 });
  assert.deepEqual(percentiles([1.23456]), { rounds: 1, p50: 1.23, p90: 1.23, p99: 1.23, max: 1.23 });
});

Deno.test("formatDiagnosis() tells what was found, and no more", () => {
  const here = { kernel: "6.1", architecture: "x86_64", version: "1.0.0", features: [] };
  assert.equal(formatDiagnosis({ here }), "this machine   Linux 6.1, x86_64, mirrord 1.0.0");
  const times = { rounds: 3, p50: 1, p90: 2, p99: 3, max: 4 };
  const text = formatDiagnosis({
    here,
    api: { url: "https://api", version: "v1.29", roundTripMs: times },
    rights: [
      { right: "get pods", namespace: "shop", isAllowed: true },
      { right: "create jobs.batch", namespace: "shop", isAllowed: false },
      { right: "list events", namespace: "shop", isAllowed: false, without: "less is said" },
    ],
    agent: {
      ...{ place: "pod a in namespace shop", kernel: "5.10", version: "0.9", user: 0, capabilities: [] },
      features: [{ name: "mirroring", isThere: false, without: "nothing is mirrored" }],
      ...{ startMs: 500, reachMs: 20, roundTripMs: times },
    },
  });
  assert.match(
    text,
    /^API server {5}https:\/\/api, Kubernetes v1\.29\n {2}round trips {2}3: half of them within 1 ms/m,
  );
  assert.match(text, /^ {2}✓ get pods in shop\n {2}x create jobs\.batch in shop: missing\n/m);
  assert.match(text, /^ {2}x list events in shop: missing, so less is said$/m);
  assert.match(
    text,
    /^agent {10}pod a in namespace shop, Linux 5\.10, mirrord 0\.9, user 0\n {2}x mirroring: missing, so nothing is mirrored\n/m,
  );
  assert.match(text, /^ {2}started in {3}500 ms, reached in 20 ms\n/m);
});
