/**
 * By which paths the run has opened files of the target: a descriptor knows what it stands for (device and inode), but not
 * where that is. What the run itself renames is followed; when another hand moved it, the agent says so (ESTALE).
 */
import type { Stat } from "../../proto/schema.ts";
import { keyOf } from "./listing.ts";

/** Those opened longest ago are forgotten first. */
const MOST_PATHS = 16_384;
const SLASH = "/";

export class OpenPaths {
  /** One character a byte. */
  readonly #paths = new Map<string, string>();

  opened({ dev, ino }: Pick<Stat, "dev" | "ino">, path: Uint8Array): void {
    const key = `${dev}:${ino}`;
    this.#paths.delete(key);
    this.#paths.set(key, keyOf(path));
    if (this.#paths.size > MOST_PATHS) this.#paths.delete(this.#paths.keys().next().value!);
  }

  find({ dev, ino }: Pick<Stat, "dev" | "ino">): Uint8Array | undefined {
    const path = this.#paths.get(`${dev}:${ino}`);
    return path === undefined ? undefined : Uint8Array.from(path, (letter) => letter.charCodeAt(0));
  }

  /** What was at `from` or below it is at `to` now; and the other way round when they were exchanged. */
  renamed(from: Uint8Array, to: Uint8Array, isExchange: boolean): void {
    const [a, b] = [trimmed(keyOf(from)), trimmed(keyOf(to))];
    for (const [key, path] of this.#paths) {
      const moved = movedPath(path, a, b) ?? (isExchange ? movedPath(path, b, a) : undefined);
      if (moved !== undefined) this.#paths.set(key, moved);
    }
  }
}

function movedPath(path: string, from: string, to: string): string | undefined {
  return path === from || path.startsWith(from + SLASH) ? to + path.slice(from.length) : undefined;
}

function trimmed(path: string): string {
  return path.replace(/\/+$/, "");
}
