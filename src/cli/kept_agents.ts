/**
 * Agents that are kept alive between runs (agent.keep_alive): where they are and their secrets, so that the next run of
 * the same user on this machine finds them. One file each, mode 0600, in a directory that is this user's alone; named by
 * a digest of everything that must be the same for the agent to fit. docs/decisions/0016-kept-agents.md
 */
import { utf8 } from "../base/bytes.ts";
import { firstUsable, placesFromEnvironment } from "../layer/private_directory.ts";

export interface KeptAgent {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly port: number;
  /** Hex. */
  readonly secret: string;
  readonly job?: string;
}

/** No agent is kept longer than a day after its last run: what says so is left over. */
const FORGET_MS = 86_400_000;

/** By what it is found again. */
export async function keyOfAgent(parts: unknown): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(JSON.stringify(parts)))).subarray(0, 16).toHex();
}

/** Whether it still lives is not known here. Undefined also where the file is not ours alone. */
export async function recallAgent(key: string): Promise<KeptAgent | undefined> {
  try {
    const path = await pathOf(key);
    const { isFile, uid, mode } = await Deno.lstat(path);
    if (!isFile || uid !== Deno.uid() || ((mode ?? 0) & 0o077) !== 0) return undefined;
    const found = JSON.parse(await Deno.readTextFile(path)) as KeptAgent;
    await Deno.utime(path, new Date(), new Date());
    return typeof found.secret === "string" && /^[0-9a-f]{64}$/.test(found.secret) ? found : undefined;
  } catch {
    return undefined; // it is a convenience, no more
  }
}

/** Never fails: without the file the next run makes an agent of its own. */
export async function rememberAgent(key: string, agent: KeptAgent): Promise<void> {
  try {
    const path = await pathOf(key);
    const fresh = `${path}.${crypto.randomUUID()}`;
    await Deno.writeTextFile(fresh, JSON.stringify(agent), { mode: 0o600, createNew: true });
    await Deno.rename(fresh, path);
    await forgetOld(path.slice(0, path.lastIndexOf("/")));
  } catch {
    // As above.
  }
}

export async function forgetAgent(key: string): Promise<void> {
  await pathOf(key).then((path) => Deno.remove(path)).catch(() => {});
}

async function pathOf(key: string): Promise<string> {
  const places = [...placesFromEnvironment("XDG_STATE_HOME", ""), ...placesFromEnvironment("HOME", "/.local/state")];
  return `${await firstUsable(places, () => true, 0o700)}/agent-${key}`;
}

async function forgetOld(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    if (!name.startsWith("agent-")) continue;
    const { mtime } = await Deno.lstat(`${directory}/${name}`);
    if (mtime && Date.now() - mtime.getTime() > FORGET_MS) await Deno.remove(`${directory}/${name}`).catch(() => {});
  }
}
