/**
 * How the shim gets into the program: unpacked to a private place, named in LD_PRELOAD.
 *
 * The dynamic loader runs what lies at that path inside the user's program, so nobody else may be able to put anything
 * there: directories are 0700 and the user's own, links are refused, and what is found is compared with what is embedded
 * before it is used.
 */
import { equalBytes, fromUtf8, utf8 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";

/** The session directory, through which the shim of every process of a run finds the intproxy. */
export const SESSION_VARIABLE = "MIRRORD_SESSION_DIR";

/** Writes the shim where the loader can read it, once per build; safe when several runs start at once. Returns its path. */
export async function unpackShim(bytes: Uint8Array, build: string): Promise<string> {
  const directory = await firstUsable([
    ...placesFromEnvironment("XDG_CACHE_HOME", ""),
    ...placesFromEnvironment("HOME", "/.cache"),
    `/tmp/mirrord-${Deno.uid()}`,
  ]);
  const path = `${directory}/shim-${build}.so`;
  if (await holds(path, bytes)) return path;
  const scratch = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeFile(scratch, bytes, { createNew: true, mode: 0o500 });
    await Deno.rename(scratch, path);
  } catch (error) {
    await Deno.remove(scratch).catch(() => {});
    throw cannotUnpack(directory, error);
  }
  if (!await holds(path, bytes)) throw cannotUnpack(directory, "what was written there has been changed");
  return path;
}

/** A new directory, 0700, with a name nobody can guess, short enough for a socket's path (108 bytes, unix(7)). */
export async function makeSessionDirectory(): Promise<string> {
  const parent = await firstUsable([
    ...placesFromEnvironment("XDG_RUNTIME_DIR", ""),
    `/tmp/mirrord-${Deno.uid()}`,
  ], 40);
  const directory = `${parent}/${crypto.getRandomValues(new Uint8Array(12)).toHex()}`;
  await Deno.mkdir(directory, { mode: 0o700 });
  return directory;
}

/**
 * The program's environment ("NAME=value" each) with the shim first in LD_PRELOAD, what else was in it kept, and the
 * session's directory.
 */
export function environmentFor(variables: readonly Uint8Array[], shim: string, session: string): Uint8Array[] {
  const preload = variables.map(fromUtf8).find((variable) => variable.startsWith("LD_PRELOAD="))?.slice(11) ?? "";
  const others = preload.split(/[: ]+/).filter((path) => path !== "" && path !== shim);
  return [
    ...variables.filter((variable) => !isOurs(variable)),
    utf8(`LD_PRELOAD=${[shim, ...others].join(":")}`),
    utf8(`${SESSION_VARIABLE}=${session}`),
  ];
}

function isOurs(variable: Uint8Array): boolean {
  const text = fromUtf8(variable);
  return text.startsWith("LD_PRELOAD=") || text.startsWith(`${SESSION_VARIABLE}=`);
}

function placesFromEnvironment(name: string, below: string): string[] {
  const value = Deno.env.get(name);
  return value?.startsWith("/") ? [`${value}${below}/mirrord`] : [];
}

/** The first of these places that is, or can be made, a private directory of this user's. LD_PRELOAD splits at " " and ":". */
async function firstUsable(places: readonly string[], longestBytes = 4000): Promise<string> {
  let reason: unknown = "there is no place for it";
  for (const place of places) {
    if (/[ :$]/.test(place) || utf8(place).length > longestBytes) continue;
    try {
      await Deno.mkdir(place, { recursive: true, mode: 0o700 });
      await refuseForeign(place);
      return place;
    } catch (error) {
      reason = error;
    }
  }
  throw cannotUnpack(places.join(" or "), reason);
}

async function refuseForeign(directory: string): Promise<void> {
  const info = await Deno.lstat(directory);
  if (!info.isDirectory || info.uid !== Deno.uid()) throw new Error(`"${directory}" is not a directory of this user`);
  if (((info.mode ?? 0) & 0o077) !== 0) await Deno.chmod(directory, 0o700);
}

async function holds(path: string, bytes: Uint8Array): Promise<boolean> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile || info.uid !== Deno.uid() || ((info.mode ?? 0) & 0o022) !== 0) return false;
    return equalBytes(await Deno.readFile(path), bytes);
  } catch {
    return false;
  }
}

function cannotUnpack(where: string, reason: unknown): UserError {
  const because = reason instanceof Error ? reason.message : String(reason);
  return new UserError("NO_PRIVATE_DIRECTORY", `Cannot make a private directory in "${where}": ${because}`, {
    hint: "set XDG_CACHE_HOME and XDG_RUNTIME_DIR to directories of yours",
  });
}
