/**
 * What the end-to-end tests stand on: a namespace of their own in the cluster that MIRRORD_TEST_KUBECONFIG points at,
 * and `mirrord` as somebody types it who works there. Without that variable these tests are skipped (`deno task
 * test:cluster` sets it).
 */
import { eventually as soon, PATIENCE_MS } from "../support/eventually.ts";
import { type Ended, endOf, mirrord, type RunOptions, spawnMirrord, whyNotBuilt } from "../support/mirrord.ts";

const KUBECONFIG = Deno.env.get("MIRRORD_TEST_KUBECONFIG");
/** The agent's image under another name, when several worktrees share one cluster. */
const IMAGE = Deno.env.get("MIRRORD_TEST_AGENT_IMAGE");
/** Beside KUBECONFIG; a pod of a busy machine may take minutes to start. */
const ALWAYS: Record<string, string> = {
  MIRRORD_AGENT_STARTUP_TIMEOUT: "300",
  ...IMAGE ? { MIRRORD_AGENT_IMAGE: IMAGE } : {},
};
/** In every cluster that these tests run against; tests/cluster/up loads it. */
export const BUSYBOX = "docker.io/local/busybox:1";

/** Registers a test that gets a namespace of its own, or is skipped with the reason in its name. */
export function clusterTest(name: string, run: (namespace: Namespace, test: Deno.TestContext) => Promise<void>): void {
  const reason = KUBECONFIG ? whyNotBuilt() : "needs a cluster: deno task test:cluster";
  Deno.test({
    name: reason === undefined ? name : `${name} (skipped: ${reason})`,
    ignore: reason !== undefined,
    fn: async (test) => {
      await using namespace = await Namespace.create();
      await run(namespace, test);
    },
  });
}

export class Namespace implements AsyncDisposable {
  private constructor(readonly name: string, readonly kubeconfig: string, readonly folder: string) {}

  static async create(): Promise<Namespace> {
    const name = `mirrord-test-${crypto.randomUUID().slice(0, 8)}`;
    const folder = await Deno.makeTempDir({ prefix: `${name}-` });
    const path = `${folder}/kubeconfig`;
    await Deno.writeTextFile(path, await kubectl(KUBECONFIG!, ["config", "view", "--raw", "--flatten", "--minify"]));
    await kubectl(path, ["config", "set-context", "--current", "--namespace", name]);
    await kubectl(path, ["create", "namespace", name]);
    const namespace = new Namespace(name, path, folder);
    // A pod is refused until its namespace has this.
    await eventually(async () => await namespace.kubectl("get", "serviceaccount", "default") !== "");
    return namespace;
  }

  /** What our runs have in their environment beside the usual. */
  get environment(): Record<string, string> {
    return { KUBECONFIG: this.kubeconfig, ...ALWAYS };
  }

  async kubectl(...args: string[]): Promise<string> {
    return await kubectl(this.kubeconfig, args);
  }

  async apply(...objects: object[]): Promise<void> {
    await kubectl(
      this.kubeconfig,
      ["create", "-f", "-"],
      JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
    );
  }

  /** For what may be there already ("apply") or is not of this namespace. */
  async kubectlOn(object: object, verb: "apply" | "create" | "delete"): Promise<void> {
    await kubectl(this.kubeconfig, [verb, "-f", "-"], JSON.stringify(object));
  }

  /** A user with no rights at all; returns a kubeconfig that is like ours but for that. */
  async user(name: string): Promise<string> {
    await this.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name } }, {
      apiVersion: "v1",
      kind: "Secret",
      type: "kubernetes.io/service-account-token",
      metadata: { name, annotations: { "kubernetes.io/service-account.name": name } },
    });
    const read = () => this.kubectl("get", "secret", name, "--output", "jsonpath={.data.token}");
    await eventually(async () => await read() !== "");
    const kubeconfig = `${this.folder}/${name}`;
    await Deno.copyFile(this.kubeconfig, kubeconfig);
    await kubectl(kubeconfig, ["config", "set-credentials", name, "--token", atob(await read())]);
    await kubectl(kubeconfig, ["config", "set-context", "--current", "--user", name]);
    return kubeconfig;
  }

  /** Gives such a user the rights of a Role of ours. */
  async grant(name: string, role: string): Promise<void> {
    await this.apply({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: `${name}-${role}` },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role },
      subjects: [{ kind: "ServiceAccount", name, namespace: this.name }],
    });
  }

  /** `mirrord exec ARGS`, quiet, as somebody types it whose kubeconfig's context names this namespace. */
  async exec(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return await this.mirrord(["exec", ...args], { ...options, env: { MIRRORD_PROGRESS_MODE: "off", ...options.env } });
  }

  async mirrord(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return await mirrord(args, { ...options, env: { KUBECONFIG: this.kubeconfig, ...ALWAYS, ...options.env } });
  }

  /** A run that goes on; its streams are pipes. */
  spawn(args: readonly string[], cwd = Deno.cwd()): Deno.ChildProcess {
    const env = { KUBECONFIG: this.kubeconfig, ...ALWAYS, MIRRORD_PROGRESS_MODE: "off" };
    return spawnMirrord(["exec", ...args], { env, cwd });
  }

  /** Any command that goes on. */
  spawnMirrord(args: readonly string[], env: Record<string, string> = {}): Deno.ChildProcess {
    return spawnMirrord(args, { env: { KUBECONFIG: this.kubeconfig, ...ALWAYS, ...env } });
  }

  async agentPods(): Promise<string[]> {
    const names = await this.kubectl("get", "pods", "--selector", "app=mirrord", "--output", "name");
    return names.split("\n").filter(Boolean);
  }

  /** Waits until the API server knows that a pod is in this phase. */
  async phase(pod: string, phase: string): Promise<void> {
    await eventually(async () => {
      const now = await this.kubectl("get", "pod", pod, "--output", "jsonpath={.status.phase}");
      if (now !== phase) throw new Error(`pod/${pod} is ${now}`);
      return true;
    });
  }

  /** What `read` gives once it is as wanted. */
  async until<T>(read: () => Promise<T>, isWanted: (it: T) => boolean, withinMs = 2 * PATIENCE_MS): Promise<T> {
    let last: T | undefined;
    await eventually(async () => isWanted(last = await read()), withinMs);
    return last!;
  }

  /** Resolves once neither Jobs nor pods of agents are left. */
  async noAgents(): Promise<void> {
    await eventually(async () => {
      const left = await this.kubectl("get", "jobs,pods", "--selector", "app=mirrord", "--output", "name");
      if (left !== "") throw new Error(`left behind: ${left.trim()}`);
      return true;
    });
  }

  /** Deleted, not waited for: the cluster takes its time, and nobody else has this name. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kubectl("delete", "namespace", this.name, "--wait=false");
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** What an API server or a kubelet says that has too little to run on. */
const BUSY = /etcdserver: |timed out|timeout|connection refused|connection reset|EOF|too many requests|try again/i;
const MOST_TRIES = 5;

async function kubectl(kubeconfig: string, args: readonly string[], input?: string): Promise<string> {
  for (let tries = 1;; tries++) {
    const { code, stdout, stderr } = await runKubectl(kubeconfig, args, input);
    // What was made may be there although it was not said.
    const isMade = tries > 1 && args[0] === "create" && /AlreadyExists/.test(stderr);
    if (code === 0 || isMade) return stdout;
    if (tries === MOST_TRIES || !BUSY.test(stderr)) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function runKubectl(kubeconfig: string, args: readonly string[], input?: string): Promise<Ended> {
  const child = new Deno.Command("kubectl", {
    args: [...args],
    env: { KUBECONFIG: kubeconfig },
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const feeding = input === undefined ? undefined : feed(child.stdin, input);
  const ended = await endOf(child);
  await feeding;
  return ended;
}

async function feed(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
}

/** A cluster that shares its machine with others takes minutes for what takes seconds. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = 2 * PATIENCE_MS): Promise<void> {
  await soon(holds, withinMs);
}
