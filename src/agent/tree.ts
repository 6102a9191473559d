/**
 * Changes of the target's tree for one session: names made, moved and removed, modes, owners and times set, below the
 * target's root and with the target's rights. Contents are not changed here (but cut off by truncate).
 */
import type { AGENT, AgentMessage } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import type { TREE } from "../proto/tree.ts";
import type { PackedRights } from "../sys/files.ts";
import {
  link,
  makeNode,
  type Path,
  type Place,
  remove,
  rename,
  setMode,
  setOwner,
  setTimes,
  symlink,
  truncate,
} from "../sys/tree.ts";
import { pathOf, threads } from "./files.ts";

/** Those that are answered by Done. */
export type Change = MessageNamed<typeof AGENT, keyof typeof TREE>;

export class Tree {
  readonly #place: Place;

  constructor(root: number, rights: PackedRights) {
    this.#place = { root, rights };
  }

  /** What is asked for, done; or its errno. */
  async change(message: Change): Promise<AgentMessage> {
    const status = await this.#change(message);
    return { type: "Done", errno: Math.abs(status) };
  }

  #change(message: Change): Promise<number> {
    const place = this.#place;
    switch (message.type) {
      case "Rename":
        return withPaths(message.from, message.to, (from, to) => rename(place, from, to, message.flags));
      case "Link":
        return withPaths(message.from, message.to, (from, to) => link(place, from, message, to));
      case "Symlink":
        return withPaths(message.text, message.path, (text, path) => symlink(place, text, path));
      case "MakeNode":
        return withPath(message.path, (path) => makeNode(place, path, message));
      case "Remove":
        return withPath(message.path, (path) => remove(place, path, message.kinds));
      case "SetMode":
        return withPath(message.path, (path) => setMode(place, path, message, message.mode));
      case "SetOwner":
        return withPath(message.path, (path) => setOwner(place, path, message, message));
      case "SetTimes":
        return withPath(message.path, (path) => setTimes(place, path, message, message));
      case "Truncate":
        return withPath(message.path, (path) => truncate(place, path, message.size));
    }
  }
}

/** Runs `call` when a thread is to be had; what cannot be a path is refused before. */
async function withPath(bytes: Uint8Array, call: (path: Path) => Promise<number>): Promise<number> {
  const path = pathOf(bytes);
  return typeof path === "number" ? path : await threads.spend(1, () => call(path));
}

function withPaths(
  first: Uint8Array,
  second: Uint8Array,
  call: (first: Path, second: Path) => Promise<number>,
): Promise<number> {
  // Both are copied before anything is waited for: the frame's bytes do not last.
  const other = pathOf(second);
  return typeof other === "number" ? Promise.resolve(other) : withPath(first, (path) => call(path, other));
}
