/** However a run ends, it ends: signals while it starts, an agent or a target that is killed, servers that are silent. */
import assert from "node:assert/strict";
import { endOf, exec, MIRRORD, type RunOptions, spawnMirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { eventually, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt();
const REASON_SANDBOX = REASON ?? whyNoSandbox();

/** A private place for sessions: whether a run left something behind is seen there. */
async function withRuntimeDirectory(body: (options: RunOptions, directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body({ env: { XDG_RUNTIME_DIR: directory, MIRRORD_PROGRESS_MODE: "dumb" } }, directory);
    await eventually(() => [...Deno.readDirSync(`${directory}/mirrord`)].length === 0);
    await eventually(() => processesWith(directory).length === 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Processes whose command line or environment holds this text: of a run, all of them do. */
function processesWith(text: string): number[] {
  return [...Deno.readDirSync("/proc")].map((it) => Number(it.name)).filter((pid) => {
    try {
      return ["cmdline", "environ"].some((name) => Deno.readTextFileSync(`/proc/${pid}/${name}`).includes(text));
    } catch {
      return false;
    }
  });
}

/** An API server that takes connections and never says a word. */
async function silentCluster(body: (kubeconfig: string) => Promise<void>): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const taken: Deno.Conn[] = [];
  const taking = (async () => {
    for await (const conn of listener) taken.push(conn);
  })().catch(() => {});
  const directory = await Deno.makeTempDir();
  try {
    const { port } = listener.addr;
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "silent",
      clusters: [{ name: "silent", cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: "nobody", user: {} }],
      contexts: [{ name: "silent", context: { cluster: "silent", user: "nobody" } }],
    };
    await Deno.writeTextFile(`${directory}/config`, JSON.stringify(config));
    await body(`${directory}/config`);
  } finally {
    listener.close();
    for (const conn of taken) conn.close();
    await taking;
    await Deno.remove(directory, { recursive: true });
  }
}

for (const { signal, code } of [{ signal: "SIGINT", code: 130 }, { signal: "SIGTERM", code: 143 }] as const) {
  testUnless(REASON, `${signal} while a run starts ends it by that signal and leaves nothing`, async () => {
    await silentCluster(async (kubeconfig) => {
      await withRuntimeDirectory(async (options, directory) => {
        const child = spawnMirrord(["exec", "--kubeconfig", kubeconfig, "-t", "pod/web", "sleep", "60"], options);
        await eventually(() => processesWith(`MIRRORD_INTPROXY_DIRECTORY=${directory}`).length > 0);
        child.kill(signal);
        await child.stdin.close();
        const ended = await endOf(child);
        assert.deepEqual([ended.code, ended.signal], [code, signal], ended.stderr);
        assert.doesNotMatch(ended.stderr, /error:/);
      });
    });
  });
}

testUnless(REASON, "a signal that is ignored, as in the background of a script, does not end the start", async () => {
  await silentCluster(async (kubeconfig) => {
    await withRuntimeDirectory(async (options, directory) => {
      const typed = `trap "" INT; exec "$0" exec --kubeconfig ${kubeconfig} -t pod/web sleep 60`;
      const child = spawnMirrord(["-c", typed, MIRRORD], { ...options, executable: "/bin/sh" });
      await eventually(() => processesWith(`MIRRORD_INTPROXY_DIRECTORY=${directory}`).length > 0);
      child.kill("SIGINT");
      child.kill("SIGTERM"); // delivered second, as the greater number
      await child.stdin.close();
      const ended = await endOf(child);
      assert.deepEqual([ended.signal, ended.code], ["SIGTERM", 143], ended.stderr);
    });
  });
});

testUnless(REASON, "a run whose CLI is killed while it starts leaves nothing", async () => {
  await silentCluster(async (kubeconfig) => {
    await withRuntimeDirectory(async (options, directory) => {
      const child = spawnMirrord(["exec", "--kubeconfig", kubeconfig, "-t", "pod/web", "sleep", "60"], options);
      await eventually(() => processesWith(`MIRRORD_INTPROXY_DIRECTORY=${directory}`).length > 0);
      child.kill("SIGKILL");
      await child.stdin.close();
      await endOf(child);
    });
  });
});

testUnless(
  REASON_SANDBOX,
  "an agent that is killed ends the program, with one sentence on its standard error",
  async () => {
    await using sandbox = await startSandbox();
    await withRuntimeDirectory(async (options) => {
      const child = spawnMirrord(["exec", "-t", `process/${sandbox.pid}`, "sleep", "60"], options);
      await eventually(async () => (await Deno.readTextFile(`/proc/${child.pid}/comm`)) === "sleep\n");
      const [agent] = processesWith(`--stdio\0--pid\0${sandbox.pid}\0`);
      Deno.kill(agent!, "SIGKILL");
      await child.stdin.close();
      const { signal, stderr } = await endOf(child);
      assert.equal(signal, "SIGTERM");
      assert.equal(stderr.match(/the connection to the agent is lost/g)?.length, 1, stderr);
    });
  },
);

testUnless(REASON_SANDBOX, "a target that ends takes the program with it", async () => {
  await using sandbox = await startSandbox();
  await withRuntimeDirectory(async (options) => {
    const child = spawnMirrord(["exec", "-t", `process/${sandbox.pid}`, "sleep", "60"], options);
    await eventually(async () => (await Deno.readTextFile(`/proc/${child.pid}/comm`)) === "sleep\n");
    sandbox.kill();
    await child.stdin.close();
    assert.equal((await endOf(child)).signal, "SIGTERM");
  });
});

testUnless(
  REASON_SANDBOX,
  "a daemon that the program leaves behind keeps its context, and the run ends with it",
  async () => {
    await using sandbox = await startSandbox();
    await withRuntimeDirectory(async ({ env }) => {
      const script = "(sleep 0.5; cat /app/config.json) & echo left";
      const { stdout } = await exec(["-t", `process/${sandbox.pid}`, "sh", "-c", script], env ? { env } : {});
      assert.equal(stdout, 'left\n{ "color": "blue" }\n');
    });
  },
);

testUnless(REASON_SANDBOX, "a program that cannot be run after all leaves nothing", async () => {
  await using sandbox = await startSandbox();
  await withRuntimeDirectory(async (options, directory) => {
    const program = `${directory}/foreign`;
    // An ELF header of another machine: the kernel refuses it.
    const header = new Uint8Array(64);
    header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    header.set([2, 0, 0xf3, 0], 16);
    await Deno.writeFile(program, header, { mode: 0o755 });
    const { code, stderr } = await exec(["-t", `process/${sandbox.pid}`, program], options);
    assert.match(stderr, /another processor architecture/);
    assert.match(stderr, /Cannot run ".*foreign": it is not for this machine/);
    assert.equal(code, 126);
  });
});
