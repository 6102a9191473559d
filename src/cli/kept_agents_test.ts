import assert from "node:assert/strict";
import { forgetAgent, type KeptAgent, keyOfAgent, recallAgent, rememberAgent } from "./kept_agents.ts";

const AGENT: KeptAgent = {
  namespace: "shop",
  pod: "mirrord-agent-x",
  container: "mirrord-agent",
  port: 31000,
  secret: "ab".repeat(32),
  job: "mirrord-agent",
};

/** With a home for state of its own. */
async function withState(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  const before = Deno.env.get("XDG_STATE_HOME");
  Deno.env.set("XDG_STATE_HOME", directory);
  try {
    await run(directory);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_STATE_HOME");
    else Deno.env.set("XDG_STATE_HOME", before);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("an agent that is kept is found again by its key, until it is forgotten", async () => {
  await withState(async (directory) => {
    const key = await keyOfAgent({ target: "a" });
    assert.notEqual(key, await keyOfAgent({ target: "b" }));
    assert.equal(await recallAgent(key), undefined);
    await rememberAgent(key, AGENT);
    assert.deepEqual(await recallAgent(key), AGENT);
    const { mode } = await Deno.stat(`${directory}/mirrord/agent-${key}`);
    assert.equal(mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(`${directory}/mirrord`)).mode! & 0o066, 0, "nobody else can look into it");
    await forgetAgent(key);
    assert.equal(await recallAgent(key), undefined);
  });
});

Deno.test("an agent's file that others can read, that is no file, or that is garbage is not used", async () => {
  await withState(async (directory) => {
    await rememberAgent("k", AGENT);
    const path = `${directory}/mirrord/agent-k`;
    await Deno.chmod(path, 0o644);
    assert.equal(await recallAgent("k"), undefined);
    await Deno.chmod(path, 0o600);
    await Deno.rename(path, `${path}2`);
    await Deno.symlink(`${path}2`, path);
    assert.equal(await recallAgent("k"), undefined);
    await Deno.remove(path);
    await Deno.writeTextFile(path, "{", { mode: 0o600 });
    assert.equal(await recallAgent("k"), undefined);
    await Deno.writeTextFile(path, JSON.stringify({ ...AGENT, secret: "short" }));
    assert.equal(await recallAgent("k"), undefined);
  });
});

Deno.test("what was kept more than a day ago is thrown away", async () => {
  await withState(async (directory) => {
    await rememberAgent("old", AGENT);
    const past = new Date(Date.now() - 2 * 86_400_000);
    await Deno.utime(`${directory}/mirrord/agent-old`, past, past);
    await rememberAgent("new", AGENT);
    assert.deepEqual([...Deno.readDirSync(`${directory}/mirrord`)].map((it) => it.name), ["agent-new"]);
  });
});
