/** The walk-through of the README with `sample/`: its commands as they stand there, and what it says they do. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { isThere } from "../../src/base/is_there.ts";
import { BUSYBOX, clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const NODE = "/usr/bin/node";

/** What is typed in the README's session behind `mirrord exec`, by what it begins with. */
async function typed(beginning: string): Promise<string[]> {
  const line = (await Deno.readTextFile(`${ROOT}README.md`)).split("\n").find((it) => it.startsWith(`$ ${beginning}`));
  assert.ok(line, `README.md does not say "${beginning}" any more`);
  return line.replace("$ mirrord exec ", "").split(" ");
}

/** The objects of sample/kubernetes, with an image that the cluster has; resolves when the app serves. */
async function applySample(namespace: Namespace): Promise<(path: string) => Promise<string>> {
  const text = await Deno.readTextFile(`${ROOT}sample/kubernetes/app.yaml`);
  const image = /image: .*/;
  assert.match(text, image);
  const objects = text.replace(image, `image: ${BUSYBOX}`).split(/^---$/m).map((it) => parse(it) as object);
  await namespace.apply(...objects, pod({ name: "peer", script: "exec sleep 1000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/peer", "--timeout", "300s");
  await namespace.kubectl("wait", "--for=condition=Available", "deployment/sample-app", "--timeout", "300s");
  const ip = await namespace.kubectl("get", "service", "sample-app", "--output", "jsonpath={.spec.clusterIP}");
  // Not wget: a static busybox cannot look up names, and crashes when it tries.
  const request = "printf 'GET %s HTTP/1.0\\r\\n\\r\\n' $1 | nc -w 60 $0 80";
  return async (path) =>
    (await namespace.kubectl("exec", "peer", "--", "sh", "-c", request, ip, path)).trim().split("\n").at(-1)!;
}

for (const isStolen of [true, false]) {
  const name = `the sample's server ${isStolen ? "answers for" : "sees what is asked of"} the sample's pod`;
  clusterTest(isThere(NODE) ? name : `${name} (skipped: needs ${NODE})`, async (namespace) => {
    if (!isThere(NODE)) return;
    const ask = await applySample(namespace);
    await eventually(async () => await ask("/") === "the pod answers");
    const command = await typed("mirrord exec --steal --target deployment/sample-app");
    assert.equal(command.at(-1), "sample/node/app.mjs");
    const run = namespace.spawn(isStolen ? command : command.filter((it) => it !== "--steal"), ROOT);
    let said = "";
    const reading = run.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({ write: (text) => void (said += text) }),
    );
    const complaint = new Response(run.stderr).text();
    try {
      await eventually(() => said.includes("listening on port 80"));
      assert.match(said, /^I am sample-app-\w+-\w+, SAMPLE_FIRST is mirrord\.is\.running\n/);
      assert.match(said, /^greeting: hello from the ConfigMap$/m);
      assert.equal(await ask("/index.html"), isStolen ? "your machine answers" : "the pod answers");
      await eventually(() => /^GET \/index.html from ::ffff:10\./m.test(said));
    } finally {
      run.kill("SIGKILL");
      await run.status;
      await reading;
      await complaint;
      await run.stdin.close().catch(() => {});
    }
    await eventually(async () => await ask("/") === "the pod answers");
    await namespace.noAgents();
  });
}
