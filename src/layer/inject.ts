/**
 * How the shim gets into the program: unpacked to a private place, named in LD_PRELOAD.
 *
 * The dynamic loader runs what lies at that path inside the user's program, so nobody else may be able to put anything
 * there: directories are the user's own and nobody else writes there, links are refused, and what is found is compared with what is embedded
 * before it is used.
 */
import { equalBytes, fromUtf8, utf8 } from "../base/bytes.ts";
import { cannotMake, firstUsable, placesFromEnvironment } from "./private_directory.ts";

/** The session directory, through which the shim of every process of a run finds the intproxy. */
export const SESSION_VARIABLE = "MIRRORD_SESSION_DIR";

const SHIM_MODE = Deno.uid() === 0 ? 0o555 : 0o500;

/** Writes the shim where the loader can read it, once per build; safe when several runs start at once. Returns its path. */
export async function unpackShim(bytes: Uint8Array, build: string): Promise<string> {
  const directory = await firstUsable([
    ...placesFromEnvironment("XDG_CACHE_HOME", ""),
    ...(Deno.uid() === 0 ? ["/var/cache/mirrord"] : []), // root's home is closed to those it goes on as
    ...placesFromEnvironment("HOME", "/.cache"),
    `/tmp/mirrord-${Deno.uid()}`,
  ], (place) => !/[ :$]/.test(place)); // LD_PRELOAD splits at " " and ":", and the loader expands "$"
  const path = `${directory}/shim-${build}.so`;
  if (await holds(path, bytes)) return path;
  const scratch = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeFile(scratch, bytes, { createNew: true, mode: SHIM_MODE });
    await Deno.chmod(scratch, SHIM_MODE);
    await Deno.rename(scratch, path);
  } catch (error) {
    await Deno.remove(scratch).catch(() => {});
    throw cannotMake(directory, error);
  }
  if (!await holds(path, bytes)) throw cannotMake(directory, "what was written there has been changed");
  return path;
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

/** The same for a program whose loader could not take the shim, or that would not be asked by it. */
export function withoutShim(variables: readonly Uint8Array[], shim: string): Uint8Array[] {
  return variables.flatMap((variable) => {
    const text = fromUtf8(variable);
    if (!text.startsWith("LD_PRELOAD=")) return [variable];
    const others = text.slice(11).split(/[: ]+/).filter((path) => path !== "" && path !== shim);
    return others.length > 0 ? [utf8(`LD_PRELOAD=${others.join(":")}`)] : [];
  });
}

function isOurs(variable: Uint8Array): boolean {
  const text = fromUtf8(variable);
  return text.startsWith("LD_PRELOAD=") || text.startsWith(`${SESSION_VARIABLE}=`);
}

async function holds(path: string, bytes: Uint8Array): Promise<boolean> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile || info.uid !== Deno.uid() || ((info.mode ?? 0) & 0o777) !== SHIM_MODE) return false;
    return equalBytes(await Deno.readFile(path), bytes);
  } catch {
    return false;
  }
}
