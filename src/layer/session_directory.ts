/**
 * The private directory of a session: made, held, and removed when its session is dead.
 *
 * Everybody who needs the directory holds a lock (flock(2)) on the file `lock` in it, which the kernel lets go of however a
 * process ends. A directory that nobody holds is left over from a session that was killed; the next session removes it.
 */
import { utf8 } from "../base/bytes.ts";
import { DIRECTORY_MODE, firstUsable, placesFromEnvironment } from "./private_directory.ts";

const LOCK = "lock";
const WORKING_DIRECTORIES = "cwd";
/** Closed to the users that root's programs go on as. */
const ROOTS_OWN = "/run/user/0/";
/** A younger directory may be about to be held. */
const YOUNG_MS = 60_000;
/** Of the socket's path, unix(7) allows 108 bytes; what comes behind the parent needs the rest. */
const PARENT_BYTES = 60;

/**
 * A new directory with a name nobody can guess, short enough for a socket's path; dead ones beside it go. 0700, and of
 * root's 0711: there the name is all that others need, so it is shown nowhere (`listenUnnamed`, the intproxy's command line).
 */
export async function makeSessionDirectory(): Promise<string> {
  const parent = await Deno.realPath(
    await firstUsable([
      ...placesFromEnvironment("XDG_RUNTIME_DIR", "").filter((place) => !place.startsWith(ROOTS_OWN)),
      `/tmp/mirrord-${Deno.uid()}`,
    ], (place) => utf8(place).length <= PARENT_BYTES),
  );
  await removeDeadSessions(parent);
  const directory = `${parent}/${crypto.getRandomValues(new Uint8Array(12)).toHex()}`;
  await Deno.mkdir(directory);
  await Deno.chmod(directory, DIRECTORY_MODE);
  // Below it lie placeholders of working directories (native/cwd.h); the kernel tells their paths without links.
  await Deno.mkdir(`${directory}/${WORKING_DIRECTORIES}`);
  await Deno.chmod(`${directory}/${WORKING_DIRECTORIES}`, 0o1777);
  return directory;
}

/** Says that the session lives until disposed, or until this process ends or becomes another program. */
export async function holdSession(directory: string): Promise<Disposable> {
  const file = await Deno.open(`${directory}/${LOCK}`, { create: true, write: true, mode: 0o600 });
  await file.lock(false);
  return { [Symbol.dispose]: () => file.close() };
}

async function removeDeadSessions(parent: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(parent)) {
    const directory = `${parent}/${name}`;
    if (!isDirectory || !/^[0-9a-f]{24}$/.test(name) || !await isDead(directory)) continue;
    await Deno.remove(directory, { recursive: true }).catch(() => {}); // somebody else was faster
  }
}

async function isDead(directory: string): Promise<boolean> {
  try {
    const made = (await Deno.stat(directory)).mtime?.getTime() ?? Date.now();
    if (Date.now() - made < YOUNG_MS) return false;
    using file = await Deno.open(`${directory}/${LOCK}`, { create: true, write: true });
    return await file.tryLock(true);
  } catch {
    return false;
  }
}

/** Listens on `directory`/`name` without the path being seen: /proc/net/unix shows everybody what was given to bind(2). */
export function listenUnnamed(directory: string, name: string, mode: number): Deno.UnixListener {
  using place = unnamedPlace(directory);
  const listener = Deno.listen({ transport: "unix", path: `${place.path}/${name}` });
  Deno.chmodSync(`${directory}/${name}`, mode);
  return listener;
}

/** Another path of the directory, which tells nobody its name and is good until disposed. */
export function unnamedPlace(directory: string): Disposable & { readonly path: string } {
  const held = Deno.openSync(directory);
  const { dev, ino } = held.statSync();
  for (const { name: fd } of Deno.readDirSync("/proc/self/fd")) {
    const path = `/proc/self/fd/${fd}`;
    if (isSameFile(path, dev, ino)) return { path, [Symbol.dispose]: () => held.close() };
  }
  held.close();
  throw new Error("a descriptor that is open is not in /proc/self/fd");
}

function isSameFile(path: string, dev: number, ino: number | null): boolean {
  try {
    const info = Deno.statSync(path);
    return info.dev === dev && info.ino === ino;
  } catch {
    return false; // the descriptor of the listing itself
  }
}
