/** Runs of several machines on one pod at once: machines with networks, files, processes and names of their own. */
import assert from "node:assert/strict";
import { SERVER } from "../support/incoming.ts";
import { isThere } from "../../src/base/is_there.ts";
import { Machine } from "../support/machine.ts";
import { MIRRORD } from "../support/mirrord.ts";
import { clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod } from "./objects.ts";

const WEB = "mkdir -p /srv; echo target > /srv/index.html; exec httpd -f -p 80 -h /srv";
const USERS = ["ann", "bob"] as const;
type User = typeof USERS[number];
/** How long an agent hears nothing of its client before it leaves, and what a busy cluster takes beyond. */
const AGENT_LEAVES_MS = 60_000 + 60_000;

/** A run on a machine, and all that it says. */
class Run implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  #isOver = false;
  said = "";

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.said += text;
    };
    this.#reading = Promise.all([read(child.stdout), read(child.stderr)]).then(() => {
      this.#isOver = true;
    });
  }

  async says(pattern: RegExp): Promise<void> {
    await eventually(() => this.#isOver || pattern.test(this.said));
    assert.match(this.said, pattern);
  }

  async exitCode(): Promise<number> {
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#child.status;
    await this.#reading;
  }
}

class World implements AsyncDisposable {
  readonly machines: Record<User, Machine>;
  readonly #namespace: Namespace;

  static async start(namespace: Namespace): Promise<World> {
    await namespace.apply(pod({ name: "web", script: WEB }), pod({ name: "peer", script: "exec sleep 1000" }));
    const kubeconfig = await Deno.readTextFile(namespace.kubeconfig);
    const [, host] = /server: https:\/\/\[?([^\]:/\s]+)/.exec(kubeconfig) ?? [];
    const start = (user: User) => Machine.start(`${user}s-laptop`, host!, { ".kube/config": kubeconfig });
    const machines = { ann: await start("ann"), bob: await start("bob") };
    await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "pod/peer", "--timeout", "300s");
    return new World(namespace, machines);
  }

  private constructor(namespace: Namespace, machines: Record<User, Machine>) {
    this.#namespace = namespace;
    this.machines = machines;
  }

  run(user: User, incoming: object): Run {
    const configuration = JSON.stringify({ feature: { network: { incoming } } });
    const { KUBECONFIG: _, ...environment } = this.#namespace.environment;
    const script = `cat > /tmp/mirrord.json <<'JSON'\n${configuration}\nJSON
exec "$0" exec -f /tmp/mirrord.json --target pod/web -- python3 ${SERVER} 0.0.0.0 80 ${user}`;
    const env = { ...environment, USER: user, MIRRORD_PROGRESS_MODE: "off" };
    return new Run(this.machines[user].spawn(["sh", "-ec", script, MIRRORD], env));
  }

  /** Who answers somebody else in the cluster. */
  async ask(user: string): Promise<string> {
    const ip = await this.#namespace.kubectl("get", "pod", "web", "--output", "jsonpath={.status.podIP}");
    const request = `printf 'GET /index.html HTTP/1.0\\r\\nX-User: ${user}\\r\\n\\r\\n' | nc -w 60 $0 80`;
    const text = await this.#namespace.kubectl("exec", "peer", "--", "sh", "-c", request, ip);
    return /"by": "(\w+)"/.exec(text)?.[1] ?? text.trim().split("\n").at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const user of USERS) await this.machines[user][Symbol.asyncDispose]();
  }
}

const MISSING = ["/usr/bin/unshare", "/usr/sbin/nft", "/usr/sbin/ip"].find((it) => !isThere(it));
/** One of each kind: jq runs beside the agent, in its image. */
const FILTERS = {
  ann: { mode: "steal", http_filter: { header_filter: "^x-user: ann$" } },
  bob: { mode: "steal", http_filter: { header_filter_jq: 'ltrimstr("x-user: ") == "bob"' } },
};

if (MISSING !== undefined) {
  Deno.test({ name: `runs of several machines on one pod (skipped: needs ${MISSING})`, ignore: true, fn() {} });
} else {
  clusterTest(
    "runs of several machines on one pod: they mirror together, steal by filters, and one may vanish",
    async (namespace, test) => {
      await using world = await World.start(namespace);
      await test.step("both mirror one port, and the target answers", async () => {
        await using ann = world.run("ann", { mode: "mirror" });
        await using bob = world.run("bob", { mode: "mirror" });
        for (const run of [ann, bob]) await run.says(/listening/);
        assert.equal(await world.ask("eve"), "target");
        for (const run of [ann, bob]) await run.says(/served GET \/index.html/);
      });
      await test.step("a second who steals all is told of the first by name and machine", async () => {
        await using ann = world.run("ann", { mode: "steal" });
        await ann.says(/listening/);
        await using bob = world.run("bob", { mode: "steal" });
        assert.notEqual(await bob.exitCode(), 0);
        await bob.says(/port 80 of the target is stolen already, by ann@anns-laptop since 20.* UTC/);
        assert.equal(await world.ask("eve"), "ann");
      });
      await test.step("both steal by filters; when one vanishes without a word, its agent leaves in time and the other goes on", async () => {
        await using ann = world.run("ann", FILTERS.ann);
        await using bob = world.run("bob", FILTERS.bob);
        for (const run of [ann, bob]) await run.says(/listening/);
        const all = async () => [await world.ask("ann"), await world.ask("bob"), await world.ask("eve")];
        assert.deepEqual(await all(), ["ann", "bob", "target"]);
        await namespace.until(() => namespace.agentPods(), (it) => it.length === 2);
        await world.machines.bob.vanish();
        // What was his waits for him at first, nobody else's does.
        assert.deepEqual([await world.ask("ann"), await world.ask("eve")], ["ann", "target"]);
        await eventually(async () => await world.ask("bob") === "target", AGENT_LEAVES_MS);
        await namespace.until(() => namespace.agentPods(), (it) => it.length === 1);
        assert.deepEqual(await all(), ["ann", "target", "target"]);
      });
      await namespace.noAgents();
    },
  );
}
