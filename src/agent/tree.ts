/**
 * Changes of the target's tree for one session: names made, moved and removed, modes, owners and times set, below the
 * target's root and with the target's rights. Contents are not changed here (but cut off by truncate).
 */
import { ERRNO } from "../base/errors.ts";
import { type AGENT, AGENT_LIMITS, type AgentMessage } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { TREE } from "../proto/tree.ts";
import type { PackedRights } from "../sys/files.ts";
import {
  ATTRIBUTE_BYTES,
  entryAttributes,
  getAttribute,
  link,
  linkOpened,
  makeNode,
  type Path,
  type Place,
  remove,
  removeAttribute,
  rename,
  setAttribute,
  setMode,
  setOwner,
  setTimes,
  type Subject,
  symlink,
  truncate,
} from "../sys/tree.ts";
import { Buffers } from "./buffers.ts";
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

  /** The answer to a request that is for the tree; undefined when it is not. */
  answer(message: AgentMessage): Promise<AgentMessage> | undefined {
    if (message.type === "GetAttribute") return this.attribute(message);
    if (message.type === "EntryAttributes") return this.entryAttributes(message);
    return message.type in TREE ? this.change(message as Change) : undefined;
  }

  /** What is asked for, done; or its errno. */
  async change(message: Change): Promise<AgentMessage> {
    const status = await this.#changeByHandle(message) ?? await this.#change(message, this.#place);
    return { type: "Done", errno: status < 0 ? -status : 0 };
  }

  async attribute(message: MessageNamed<typeof AGENT, "GetAttribute">): Promise<AgentMessage> {
    let value = new Uint8Array(0);
    const get = (place: Place, subject: Subject, name: Path, path: Path) => {
      const into = buffers.take();
      return getAttribute(place, path, subject, name, into).then((count) => {
        if (count > 0) value = into.slice(0, count);
        buffers.give(into);
        return count;
      });
    };
    const { ino } = message;
    const isByHandle = message.path.length === 0;
    const status = await withPaths(
      message.name,
      message.path,
      (name, path) =>
        isByHandle
          ? this.#borrow(ino, (root) => get({ ...this.#place, root }, NAMELESS, name, path))
          : get(this.#place, message, name, path),
    );
    return { type: "AttributeReply", errno: status < 0 ? -status : 0, value };
  }

  async entryAttributes(message: MessageNamed<typeof AGENT, "EntryAttributes">): Promise<AgentMessage> {
    const lists = { names: message.names.slice(), attributes: message.attributes.slice() };
    const into = new Uint8Array(MOST_ATTRIBUTES * AGENT_LIMITS.statEntries);
    const status = await withPath(message.path, (path) => entryAttributes(this.#place, path, lists, into));
    return { type: "AttributeReply", errno: Math.max(0, -status), value: into.subarray(0, Math.max(0, status)) };
  }

  /** What a file that is open for writing is asked to change; undefined when the message is about something else. */
  #changeByHandle(message: Change): Promise<number> | undefined {
    const isByHandle = message.type === "Link"
      ? message.from.length === 0
      : "ino" in message && message.path.length === 0;
    if (!isByHandle || !("ino" in message)) return undefined;
    const own = copied(message);
    const nameless = { ...own, dev: 0n, ino: 0n };
    if (nameless.type === "Link") {
      const { to } = nameless;
      return this.#borrow(message.ino, (fd) => withPath(to, (path) => linkOpened(this.#place, fd, path)));
    }
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
      case "SetAttribute": {
        const { how } = message;
        const value = message.value.slice();
        return withPaths(
          message.name,
          message.path,
          (name, path) => setAttribute(place, path, message, { name, value, how }),
        );
      }
      case "RemoveAttribute":
        return withPaths(message.name, message.path, (name, path) => removeAttribute(place, path, message, name));
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

/** Whatever a descriptor stands for. */
const NAMELESS: Subject = { isFollowing: true, dev: 0n, ino: 0n };
/** Of each entry of a greatest question. */
const MOST_ATTRIBUTES = 8;
/** Greatest values at once: each has a buffer of its own. */
const buffers = new Buffers(ATTRIBUTE_BYTES, 8);

/** Runs `call` when a thread is to be had; what cannot be a path is refused before. */
async function withPath(bytes: Uint8Array, call: (path: Path) => Promise<number>): Promise<number> {
  const path = pathOf(bytes);
  return typeof path === "number" ? -path : await threads.spend(1, () => call(path));
}

function withPaths(
  first: Uint8Array,
  second: Uint8Array,
  call: (first: Path, second: Path) => Promise<number>,
): Promise<number> {
  // Both are copied before anything is waited for: the frame's bytes do not last.
  const other = pathOf(second);
  return typeof other === "number" ? Promise.resolve(-other) : withPath(first, (path) => call(path, other));
}
