/** Go programs without cgo: no library gets into them, a supervisor answers their system calls (native/supervisor). */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { sandboxTest } from "../support/sandbox_case.ts";
import { CACHE, GO } from "./packages.ts";

const SOURCE = new URL("./static/program.go.txt", import.meta.url).pathname;
const NEEDS = { needs: [GO] };
const BLUE = '{ "color": "blue" }';

/** Built once; the cache of Go's compiler makes the second time quick. */
async function goProgram(directory: string): Promise<string> {
  await Deno.copyFile(SOURCE, `${directory}/program.go`);
  const env = { GOCACHE: `${CACHE}/go`, HOME: CACHE, CGO_ENABLED: "0", GO111MODULE: "off", GOFLAGS: "" };
  const build = new Deno.Command(GO, { args: ["build", "-o", "program", "program.go"], cwd: directory, env });
  const { success, stderr } = await build.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return `${directory}/program`;
}

const FILES = {
  "/app/tree/a.txt": "alpha\n",
  "/app/big": new Uint8Array(3 << 20).fill(3),
  ...Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`/app/many/${at}`, String(at)])),
};

sandboxTest("a Go program reads the target's files, walks its trees, knows its host name and environment", {
  ...NEEDS,
  files: FILES,
}, async (it) => {
  await Deno.symlink("tree/a.txt", `${it.sandbox.root}/app/link`);
  const { stdout, stderr } = await it.run([await goProgram(it.here), "files"]);
  assert.equal(stderr, "");
  const lines = stdout.trim().split("\n");
  assert.deepEqual(lines.slice(0, 4), [
    `read: ${BLUE}`,
    "missing: true",
    `/app: drwxr-xr-x ${(await Deno.stat(`${it.sandbox.root}/app`)).size}`,
    `/app/big: -rw-r--r-- ${3 << 20}`,
  ]);
  assert.equal(lines.filter((line) => line.startsWith("/app/many/")).length, 50);
  assert.deepEqual(lines.slice(-5), [
    "link: tree/a.txt",
    "open: <nil>",
    `sum: ${3 * (3 << 20)}`,
    `hostname: ${it.sandbox.hostname}`,
    "environment: hello from the sandbox",
  ]);
});

// Rows L14, L16, L18, L19, L20, L21, E05
sandboxTest("each call of a Go program gives what it gives in the target", { ...NEEDS, files: FILES }, async (it) => {
  const program = await goProgram(it.here);
  await Deno.copyFile(program, `${it.sandbox.root}/app/program`);
  const [there, here] = [await it.inside(["/app/program", "calls"]), await it.write([program, "calls"])];
  assert.equal(here.stdout, there.stdout);
  assert.match(here.stdout, /^listed: 50 true$/m);
  assert.match(here.stdout, /^rmdir: $/m);
});

// Rows E31, E32
sandboxTest(
  "a Go program's own resolver asks the target's name server; it connects from within the target",
  NEEDS,
  async (it) => {
    const program = await goProgram(it.here);
    assert.deepEqual((await it.run([program, "names"])).stdout.split("\n"), [
      "lookup in-hosts-only: [10.99.7.1]",
      "lookup echo-server: [10.99.7.1]",
      "lookup nobody.nowhere: lookup nobody.nowhere on 10.99.7.1:53: no such host",
      "",
    ]);
    assert.deepEqual((await it.run([program, "connections"])).stdout.split("\n"), [
      "said: hello",
      "peer: 10.99.7.1:7000",
      "dial: dial tcp 10.99.7.1:7999: connect: connection refused",
      "get: true",
      "",
    ]);
  },
);

sandboxTest("hundreds of goroutines are answered side by side", { ...NEEDS, files: FILES }, async (it) => {
  const { stdout } = await it.run([await goProgram(it.here), "many"]);
  assert.equal(stdout, "right: 600\n");
});

sandboxTest("the children of a Go program are in the target, in its directories, and without its environment too", {
  needs: [GO, "/usr/bin/busybox"],
}, async (it) => {
  const { stdout } = await it.run([await goProgram(it.here), "children"]);
  assert.deepEqual(stdout.split("\n"), [
    `cat /app/config.json: ${BLUE}`,
    `/usr/bin/busybox cat /app/config.json: ${BLUE}`,
    `cd /app && cat config.json: ${BLUE}`,
    `in a directory: ${BLUE}`,
    `without environment: ${BLUE}`,
    "",
  ]);
});

sandboxTest("a Go program changes the target's tree, and works in a directory of it", NEEDS, async (it) => {
  const { stdout } = await it.write([await goProgram(it.here), "writing"]);
  assert.deepEqual(stdout.split("\n"), [
    ...["write: ", "directories: ", "rename: ", "change: ", "directory: /app/a", "read: made", "mode: "],
    ...["stat: -rw-------", "around: ", "remove: ", ""],
  ]);
  assert.equal(await Deno.readTextFile(`${it.sandbox.root}/app/a/renamed`), "made\n");
});

sandboxTest("a Go server gets what is stolen from the target's port, with its client's address", NEEDS, async (it) => {
  const running = it.run([await goProgram(it.here), "serve"], { flags: ["--steal"] });
  const curl = (path: string) => it.sandbox.inNetwork(["curl", "-s", "-m", "5", `http://10.99.7.1:8081${path}`]);
  await eventually(() => curl("/first").then((text) => text !== "", () => false));
  assert.equal(await curl("/again"), "go says /again to 10.99.7.1 at 10.99.7.1:8081\n");
  await curl("/end");
  const { code, stdout } = await running;
  assert.deepEqual([code, stdout], [0, "listening: [::]:8081\n"]);
});
