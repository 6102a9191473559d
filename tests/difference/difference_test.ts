/**
 * Judged by difference: programs run twice, as a plain process inside a target and under `mirrord exec` outside, and what
 * they say must be the same, line by line. What differs on purpose stands in INTENDED, with its reason.
 */
import assert from "node:assert/strict";
import { exec, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { differences, endInside, type Intended, run, runInside, spawnInside } from "../support/inside.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

/** Lines that may differ: the topic, how the line begins, and why. */
const INTENDED: readonly Intended[] = [
  {
    topic: "paths",
    line: /^(f?open|openat)[ \w]* b'null'/,
    why: "device files are not opened: they are no bytes to fetch",
  },
  {
    topic: "libc",
    line: /^fgets [^:]*: (-1 EISDIR|1 $)|^ \|(0|1099511627776)\|/,
    why: "stdio's own read(2) is not ours",
  },
  { topic: "descriptors", line: /^lseek [34] \d+ sparse/, why: "holes arrive as zeros" },
  { topic: "names", line: /^gethostbyname_ex '::ffff:1.2.3.4'/, why: "it leaves h_errno as an earlier call left it" },
  { topic: "names", line: /^.proc.sys/, why: "/proc is this machine's" },
  {
    topic: "sockets",
    line: /^(begin|wait|so_error|second) \w+ (unreachable|link|multicast|broadcast)/,
    why: "a non-blocking connect learns by its answer, a round trip later, what the kernel knows at once",
  },
  {
    topic: "descriptors",
    line: /^(fstat|fd stat) sparse:/,
    why: "in a tmpfs a hole that is read through a mapping has blocks from then on, as the program itself does",
  },
  { topic: "sockets", line: /^send to closed/, why: "the reset of a peer that had ended shows one write later" },
];

/** Somebody without rights of its own: what is root's is closed to it, a group's file is open. */
const NOBODY = ["setpriv", "--reuid", "4241", "--regid", "4241", "--groups", "4242"];
const PROGRAMS = new URL("./programs/", import.meta.url).pathname;

interface Judge extends AsyncDisposable {
  /** Runs the program at both places; resolves with the lines that are not the same. */
  readonly differences: (topic: string, command: readonly string[], isNobody?: boolean) => Promise<string[]>;
}

async function startJudge(): Promise<Judge> {
  await using undo = new AsyncDisposableStack();
  const sandbox = undo.use(await startSandbox());
  const scratch = await Deno.makeTempDir({ prefix: "mirrord-difference-" });
  undo.defer(() => Deno.remove(scratch, { recursive: true }));
  await furnish(sandbox, scratch);
  undo.adopt(await startResetting(sandbox), endInside);
  const nobody = undo.adopt(spawnInside(sandbox, "/", [...NOBODY, "cat"]), endInside);
  const kept = undo.move();
  return {
    differences: async (topic, command, isNobody = false) => {
      const inside = await runInside(sandbox, scratch, [...isNobody ? NOBODY : [], ...command]);
      const target = `process/${isNobody ? nobody.pid : sandbox.pid}`;
      const mode = topic === "writing" ? "write" : "read";
      const env = { PYTHONDONTWRITEBYTECODE: "1", MIRRORD_FILE_MODE: mode };
      const outside = await exec(["-t", target, "--", ...command], { cwd: scratch, env });
      if (inside.split("\n").length < 10) throw new Error(`Inside it said only ${inside}`);
      const said = { inside, outside: outside.stdout + outside.stderr };
      return await differences(said, INTENDED.filter((it) => it.topic === topic));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The programs at both places, the tree at the target; reading it leaves no trace in its times. */
async function furnish(sandbox: Sandbox, scratch: string): Promise<void> {
  const { root, pid } = sandbox;
  for (const name of ["libc", "walks", "streams", "spawning", "finding"]) {
    await run("gcc", ["-O1", "-w", "-o", `${scratch}/${name}`, `${PROGRAMS}/${name}.c`]);
  }
  await run("sh", ["-c", `cp ${PROGRAMS}/* ${scratch}; chmod 755 ${scratch}; cp -r ${scratch} ${root}${scratch}`]);
  await run("cp", ["/etc/services", "/etc/protocols", "/etc/group", `${root}/etc/`]);
  await Deno.writeTextFile(`${root}/etc/nsswitch.conf`, "hosts: files dns\n");
  await run("sh", [`${PROGRAMS}/fixture.sh`, `${root}/data`]);
  await Deno.writeTextFile(`${root}/etc/host.conf`, "multi on\n");
  const inMounts = ["--target", String(pid), "--mount", "--"];
  await run("nsenter", [...inMounts, "mount", "--rbind", "/dev", `${root}/dev`]);
  for (const directory of ["data", "app", "var", "etc"]) {
    const path = `${root}/${directory}`;
    await run("nsenter", [...inMounts, "mount", "--bind", path, path]);
    await run("nsenter", [...inMounts, "mount", "-o", "remount,bind,noatime", path]);
  }
}

/** Says "hello" and resets each connection to port 7002. */
async function startResetting(sandbox: Sandbox): Promise<Deno.ChildProcess> {
  const program = `import socket, struct, time
it = socket.create_server(("${sandbox.address}", 7002))
print(flush=True)
while True:
    peer = it.accept()[0]
    peer.send(b"hello")
    time.sleep(0.05)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()`;
  const child = spawnInside(sandbox, "/", ["/usr/bin/python3", "-c", program]);
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  return child;
}

const PYTHON = "/usr/bin/python3";
const TOPICS: readonly [topic: string, title: string, command: readonly string[], isNobody?: boolean][] = [
  ["paths", "every path, by every call that takes one", [PYTHON, "paths.py"]],
  ["paths", "every path as a user without rights has it", [PYTHON, "paths.py"], true],
  ["descriptors", "what a descriptor can do", [PYTHON, "descriptors.py"]],
  ["trees", "Python's libraries over a tree", [PYTHON, "trees.py"]],
  ["libc", "libc's own functions over a tree", ["./libc"]],
  ["libc", "libc's own functions as a user without rights has them", ["./libc"], true],
  ["walks", "libc's walks over a tree", ["./walks"]],
  ["walks", "libc's walks as a user without rights has them", ["./walks"], true],
  ["finding", "fts and wordexp over a tree", ["./finding"]],
  ["finding", "fts and wordexp as a user without rights has them", ["./finding"], true],
  ["tools", "everyday tools over a tree", ["sh", "tools.sh"]],
  ["cwd", "working directories", [PYTHON, "cwd.py"]],
  ["cwd", "working directories as a user without rights has them", [PYTHON, "cwd.py"], true],
  ["links", "links of /proc", [PYTHON, "links.py"]],
  ["links", "links of /proc as a user without rights has them", [PYTHON, "links.py"], true],
  ["spawning", "children in directories given by descriptors", ["./spawning"]],
  ["writing", "files opened for writing in every way", [PYTHON, "writing.py", "/data/writing"]],
  [
    "writing",
    "files opened for writing as a user without rights may",
    [PYTHON, "writing.py", "/data/own/writing"],
    true,
  ],
  ["writing", "streams that write", ["./streams"]],
  ["writing", "everyday tools that write", ["bash", "writing.sh"]],
  ["names", "names", [PYTHON, "names.py"]],
  ["sockets", "connections", [PYTHON, "sockets.py"]],
  ["network", "Python's socket module", [PYTHON, "network.py"]],
  ["processes", "children", [PYTHON, "processes.py"]],
];

testUnless(whyNotBuilt() ?? whyNoSandbox(), "programs say the same inside a target and under mirrord", async () => {
  await using judge = await startJudge();
  for (const [topic, title, command, isNobody] of TOPICS) {
    let differing = await judge.differences(topic, command, isNobody);
    // What differs because a pause of the program was too short, on a busy machine, does not when that is ten times as long.
    if (differing.length > 0) differing = await judge.differences(topic, ["env", "PATIENCE=10", ...command], isNobody);
    assert.deepEqual(differing, [], title);
  }
});
