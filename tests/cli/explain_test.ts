/** `mirrord explain`: what decides, in sentences and as JSON. */
import assert from "node:assert/strict";
import { assertGolden } from "../support/golden.ts";
import { mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();
const CONFIG = "/tmp/mirrord-explain-test.json";
const CWD = "/usr/share";

const FILE = JSON.stringify({
  target: "process/1",
  feature: {
    fs: {
      mode: "read",
      read_only: ["^/opt/vendor/"],
      local: [String.raw`\.sqlite$`, "^/data/cache"],
      not_found: ["^/data/secret"],
      mapping: { "^/app/(.*)$": "/srv/app/$1" },
    },
    env: {
      exclude: ["AWS_*"],
      unset: ["HTTP_PROXY"],
      override: { MODE: "debug" },
      mapping: { ".+_TIMEOUT": "10" },
    },
    network: { dns: true, outgoing: { filter: { local: ["10.1.0.0/16", "udp://:514", "db.local:5432"] } } },
  },
});

const ASKED = [
  ["/data/orders"],
  ["/data/./x/../cache/y"],
  ["/data/SECRET/key"],
  ["/opt/vendor/lib.conf"],
  ["/app/config.yaml"],
  ["/app/state.sqlite"],
  ["/etc/resolv.conf"],
  ["/srv/home/.kube/config"],
  ["relative/file"],
  ["--fs-mode", "local", "/data/orders"],
  ["db.shop.svc:5432"],
  ["127.0.0.1:80"],
  ["10.1.2.3:443"],
  ["db.local:5432"],
  ["logs:514"],
  ["[::1]:80"],
  ["--no-outgoing", "--no-remote-dns", "db:5432"],
  ["--env", "MODE"],
  ["--env", "AWS_PROFILE"],
  ["--env", "JAVA_HOME"],
  ["--env", "READ_TIMEOUT"],
  ["--env", "HTTP_PROXY"],
  ["--env", "DATABASE_URL"],
];

async function explained(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  await Deno.writeTextFile(CONFIG, FILE);
  const env = { HOME: "/srv/home", HTTP_PROXY: "http://proxy" };
  return await mirrord(["explain", "-f", CONFIG, ...args], { cwd: CWD, env });
}

testUnless(REASON, "explain tells in sentences whose something is and by which rule", async () => {
  let text = "";
  for (const args of ASKED) {
    const { code, stdout, stderr } = await explained(args);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, args.join(" "));
    text += `$ mirrord explain ${args.join(" ")}\n${stdout}`;
  }
  await assertGolden("explain.txt", text);
});

testUnless(REASON, "explain --json tells the same as objects", async () => {
  const objects: unknown[] = [];
  for (const args of ASKED) {
    const { code, stdout } = await explained(["--json", ...args]);
    assert.equal(code, 0);
    objects.push(JSON.parse(stdout));
  }
  await assertGolden("explain.json", `${JSON.stringify(objects, undefined, 2)}\n`);
});

testUnless(REASON, "explain wants one thing, and says what it was given wrong", async () => {
  for (const args of [[], ["/a", "/b"], ["--env", "A", "/b"], ["--env="], [""]]) {
    const { code, stderr } = await mirrord(["explain", ...args]);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, /Cannot explain: one path, address or variable at a time/);
  }
});

testUnless(REASON, "explain says when the cluster cannot tell where volumes are", async () => {
  const { code, stdout } = await mirrord(["explain", "-t", "pod/web", "--kubeconfig", "/nowhere", "/data/x"]);
  assert.equal(code, 0);
  assert.match(stdout, /reading: the target's, by the rule mode-remote/);
  assert.match(stdout, /note: where the target's volumes are is not known here: Cannot /);
});
