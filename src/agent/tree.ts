/**
 * Changes of the target's tree for one session: names made, moved and removed, modes, owners and times set, below the
 * target's root and with the target's rights. Contents are not changed here (but cut off by truncate).
 */
import { ERRNO } from "../base/errors.ts";
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
  readonly #borrow: Borrow;

  constructor(root: number, rights: PackedRights, borrow: Borrow = () => Promise.resolve(-ERRNO.EBADF)) {
    this.#place = { root, rights };
    this.#borrow = borrow;
  }

  /** What is asked for, done; or its errno. */
  async change(message: Change): Promise<AgentMessage> {
    const status = await this.#changeByHandle(message) ?? await this.#change(message, this.#place);
    return { type: "Done", errno: Math.abs(status) };
  }

  /** What a file that is open for writing is asked to change; undefined when the message is about something else. */
  #changeByHandle(message: Change): Promise<number> | undefined {
    const isByHandle = message.type === "Link"
      ? message.from.length === 0
      : "ino" in message && message.path.length === 0;
    if (!isByHandle || !("ino" in message)) return undefined;
    const own = copied(message);
    const nameless = { ...own, dev: 0n, ino: 0n };
    return this.#borrow(message.ino, (root) => this.#change(nameless, { ...this.#place, root }));
  }

  #change(message: Change, place: Place): Promise<number> {
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

/** Lets a call use the descriptor of a handle, in the order of what is asked of it; -EBADF when there is none. */
export type Borrow = (handle: bigint, use: (fd: number) => Promise<number>) => Promise<number>;

/** The frame's bytes do not last. */
function copied(message: Change): Change {
  const entries = Object.entries(message).map(([name, it]) => [name, it instanceof Uint8Array ? it.slice() : it]);
  return Object.fromEntries(entries) as Change;
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
