/** Who decides whether a path is the target's: one row per rule and edge, seen by which paths the intproxy is asked for. */
import assert from "node:assert/strict";
import { fromUtf8, joinNul, utf8 } from "../../src/base/bytes.ts";
import type { Settings } from "../support/under_shim.ts";
import { startUnderShim } from "../support/under_shim.ts";

const SETTINGS: Partial<Settings> = {
  launchDirectory: utf8("/srv/project"),
  home: utf8("/srv/me"),
  temporaryDirectory: utf8("/srv/scratch/"),
  program: utf8("/srv/bin/program"),
  mounts: joinNul([utf8("/etc/config"), utf8("/srv/project/mounted"), utf8("/var/run/secrets/kubernetes.io/")]),
};

/** Calls access(R_OK) for each path: what the agent was asked for, and what was ENOENT without asking. */
async function decide(
  paths: string[],
  settings: Partial<Settings> = {},
  cwd?: string,
): Promise<{ remote: string[]; absent: string[] }> {
  await using app = await startUnderShim("files", ["access-all", ...paths], {
    settings: { ...SETTINGS, ...settings },
    answer: (request) => request.type === "Access" ? { type: "Done", errno: 0 } : undefined,
    ...(cwd === undefined ? {} : { cwd }),
  });
  const lines = (await app.output()).trimEnd().split("\n");
  const remote = app.frames.flatMap((it) => it.type === "Access" ? [fromUtf8(it.path)] : []);
  return { remote, absent: lines.filter((it) => it.startsWith("ENOENT")).map((it) => it.slice(7)) };
}

const REMOTE = [
  "/app/test.txt",
  "/data",
  "/var/log/x",
  "/var/lib/x",
  "/srv/me",
  "/srv/me/visible",
  "/srv/project-2",
  "/srv/scratchy",
  "/srv/bin/program2",
  "/usrx",
  "/etc/resolv.conf",
  "/etc/hosts",
  "/etc/hostname",
  "/etc/ssl/certs/ca.pem",
  "/etc/config",
  "/etc/config/key",
  "/etc/config/code.py",
  "/srv/project/mounted/file",
  "/var/run/secrets/kubernetes.io/serviceaccount/token",
  "/app/so",
  "/app/.hidden",
  "/app/archive.sox",
  "/app/node_modules_not/x",
  "/app/...",
];

const LOCAL = [
  "/",
  "/proc/self/status",
  "/sys/kernel",
  "/lib/x",
  "/lib64/x",
  "/etc/passwd",
  "/etc/hosts.allow",
  "/etc/resolv.confx",
  "/etc",
  "/usr/share",
  "/home/x",
  "/bin/sh",
  "/sbin/x",
  "/dev/null",
  "/opt/x",
  "/tmp/x",
  "/var/tmp/x",
  "/snap/x",
  "/run/x",
  "/selinux",
  "/nix/store",
  "/srv",
  "/srv/project",
  "/srv/project/src/main.c",
  "/srv/scratch/x",
  "/srv/bin/program",
  "/srv/me/.bashrc",
  "/srv/me/.cache/x",
];

/** Code by its name. */
const CODE = [
  "lib.so",
  "lib.so.6",
  "x.py",
  "x.pyc",
  "x.js",
  "x.sh",
  "x.rb",
  "x.d",
  "x.jar",
  "x.class",
  "x.pth",
  "x.plist",
  "x.pdb",
  "x.dll",
  "pyvenv.cfg",
  "jvm.cfg",
  "package.json",
  ".yarnrc",
  "node_modules/x/readme",
  "node_modules",
  ".tool-versions",
  ".asdf/x",
  "clr-debug-pipe-1-2-in",
];

Deno.test("paths are the target's when no rule keeps them local", async () => {
  assert.deepEqual((await decide(REMOTE)).remote, REMOTE);
});

Deno.test("paths of the system, of the user and of the project stay local", async () => {
  assert.deepEqual((await decide(LOCAL)).remote, []);
});

/** A new directory where no other rule keeps paths local. */
const CODE_DIRECTORY = await Deno.makeTempDir({ dir: "/srv" }).catch(() => undefined);
if (CODE_DIRECTORY) globalThis.addEventListener("unload", () => Deno.removeSync(CODE_DIRECTORY, { recursive: true }));

Deno.test({
  name: "code that is on this machine is this machine's, other code the target's" +
    (CODE_DIRECTORY ? "" : " (needs the right to make a directory in /srv)"),
  ignore: !CODE_DIRECTORY,
}, async () => {
  const paths = CODE.map((name) => `${CODE_DIRECTORY}/${name}`);
  assert.deepEqual((await decide(paths)).remote, paths);
  // Interpreters look for code in all directories above the one in which they start.
  assert.deepEqual((await decide(paths, { launchDirectory: utf8(`${CODE_DIRECTORY}/project`) })).remote, []);
  for (const path of paths) {
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, "").catch(() => {}); // a directory by now
  }
  assert.deepEqual((await decide(paths)).remote, []);
});

// Row U03
Deno.test("the user's cloud credentials are absent, without asking", async () => {
  const credentials = ["/srv/me/.kube/config", "/srv/me/.config/gcloud/x", "/srv/me/.azure"];
  assert.deepEqual(await decide(credentials), { remote: [], absent: credentials });
});

Deno.test("paths are normalised before deciding; the agent gets them without dots but with dot-dot", async () => {
  const asked = {
    "/data//x": "/data/x",
    "/data/./x": "/data/x",
    "//data/x": "/data/x",
    "/usr/../data/x": "/usr/../data/x",
    "/data/x/": "/data/x/",
    "/data/x/.": "/data/x/",
    "/data/..hidden": "/data/..hidden",
    "/data/x/..": "/data/x/../",
  };
  assert.deepEqual((await decide(Object.keys(asked))).remote, Object.values(asked));
  assert.deepEqual((await decide(["/data/../usr/x", "/data/../..", "/data/../etc/passwd", "/.", "//"])).remote, []);
});

Deno.test("relative paths are decided as what they stand for", async () => {
  const fromTemporary = await decide(["x", "../x", "../data/x", "./../../data"], {}, "/tmp");
  assert.deepEqual(fromTemporary.remote, ["/tmp/../x", "/tmp/../data/x", "/tmp/../../data"]);
  assert.deepEqual((await decide(["data/x", "usr/x", "x.py"], {}, "/")).remote, ["/data/x"]);
});

Deno.test("mode local keeps everything local", async () => {
  assert.deepEqual(await decide([...REMOTE], { fsMode: 0 }).then((it) => it.remote), []);
});

Deno.test("mode localwithoverrides asks for mounts and the target's identity alone", async () => {
  const { remote } = await decide(["/data/x", "/etc/hosts", "/etc/config/key", "/usr/x"], { fsMode: 1 });
  assert.deepEqual(remote, ["/etc/hosts", "/etc/config/key"]);
});

Deno.test("mode write reads from the target as mode read does", async () => {
  assert.deepEqual((await decide(["/data/x", "/usr/x"], { fsMode: 3 })).remote, ["/data/x"]);
});

Deno.test("a launch directory or a home of / hides nothing", async () => {
  const settings = { launchDirectory: utf8("/"), home: utf8("/") };
  assert.deepEqual((await decide(["/data/x", "/.dotfile", "/usr"], settings)).remote, ["/data/x", "/.dotfile"]);
});

Deno.test("a path longer than the kernel takes is ENAMETOOLONG", async () => {
  await using app = await startUnderShim("files", ["access-all", `/data/${"x/".repeat(2100)}`]);
  assert.match(await app.output(), /^ENAMETOOLONG/);
  assert.equal(app.count(), 0);
});

for (const symbol of ["chdir", "fchdir"]) {
  Deno.test(`${symbol}() to a directory above the target's paths makes relative ones remote`, async () => {
    await using app = await startUnderShim("files", [symbol, "/", "data/x"], {
      answer: () => ({ type: "Done", errno: 0 }),
    });
    assert.equal(await app.output(), "ENOENT ok\n");
    assert.deepEqual(app.frames.map((it) => "path" in it && fromUtf8(it.path)), ["/data/x"]);
  });

  Deno.test(`${symbol}() to a local directory makes relative paths local`, async () => {
    await using app = await startUnderShim("files", [symbol, "/usr", "bin"], {
      answer: () => ({ type: "Done", errno: 0 }),
      cwd: "/",
    });
    assert.equal(await app.output(), "ok ok\n");
    assert.equal(app.count(), 0);
  });
}

Deno.test("relative paths of credentials, mounts and dot-dot are not lost in a local working directory", async () => {
  const settings = { home: utf8("/tmp"), mounts: joinNul([utf8("/tmp/volume")]) };
  const { remote, absent } = await decide(["x", ".kube/config", "volume/x", "sub/../../data"], settings, "/tmp");
  assert.deepEqual(remote, ["/tmp/volume/x", "/tmp/sub/../../data"]);
  assert.ok(absent.includes(".kube/config"));
});
