/** Directories that are this user's alone: what lies in them is run inside the user's program, or speaks for it. */
import { UserError } from "../base/errors.ts";

/** `$NAME` with `below` behind it, when it is set to an absolute path. */
export function placesFromEnvironment(name: string, below: string): string[] {
  const value = Deno.env.get(name);
  return value?.startsWith("/") ? [`${value}${below}/mirrord`] : [];
}

/**
 * What root's directories let others do: pass, but not look. Programs of root's go on as other users (su, setpriv, gosu), and
 * have to find shim and session there; nobody else knows the names (docs/decisions/0024).
 */
export const DIRECTORY_MODE = Deno.uid() === 0 ? 0o711 : 0o700;

/** The first of these places that fits and is, or can be made, a directory of this user's with this mode. */
export async function firstUsable(
  places: readonly string[],
  fits: (place: string) => boolean,
  mode: number = DIRECTORY_MODE,
): Promise<string> {
  let reason: unknown = "no place is fit for it";
  for (const place of places) {
    if (!fits(place)) continue;
    try {
      await Deno.mkdir(place, { recursive: true, mode });
      await refuseForeign(place, mode);
      return place;
    } catch (error) {
      reason = error;
    }
  }
  throw cannotMake(places.join(" or "), reason);
}

export function cannotMake(where: string, reason: unknown): UserError {
  const because = reason instanceof Error ? reason.message : String(reason);
  return new UserError("NO_PRIVATE_DIRECTORY", `Cannot make a private directory in "${where}": ${because}`, {
    hint: "set XDG_CACHE_HOME and XDG_RUNTIME_DIR to directories of yours",
  });
}

async function refuseForeign(directory: string, mode: number): Promise<void> {
  const info = await Deno.lstat(directory);
  if (!info.isDirectory || info.uid !== Deno.uid()) throw new Error(`"${directory}" is not a directory of this user`);
  if (((info.mode ?? 0) & 0o777) !== mode) await Deno.chmod(directory, mode);
}
