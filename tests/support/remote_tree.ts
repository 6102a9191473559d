/** A target's files for tests of the shim: answers file requests from a table of paths. */
import { ERRNO } from "../../src/base/errors.ts";
import { concatBytes, fromUtf8, utf8 } from "../../src/base/bytes.ts";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { NO_STAT, type Stat } from "../../src/proto/schema.ts";

export type Node =
  | { kind: "file"; bytes: Uint8Array; stat?: Partial<Stat> }
  | { kind: "directory"; entries: string[]; ino: bigint }
  | { kind: "link"; to: string }
  | { kind: "error"; errno: number };

export const file = (text: string | Uint8Array, stat: Partial<Stat> = {}): Node => ({
  kind: "file",
  bytes: typeof text === "string" ? utf8(text) : text,
  stat,
});
let lastInode = 4241n;
/** Each has an inode of its own, or find(1) sees a loop; the first one's is 4242. */
export const directory = (...entries: string[]): Node => ({ kind: "directory", entries, ino: ++lastInode });
export const link = (to: string): Node => ({ kind: "link", to });
export const failing = (errno: number): Node => ({ kind: "error", errno });

export type Tree = Record<string, Node>;

/** One struct linux_dirent64. */
export function dirent(ino: number, name: string, type: number): Uint8Array<ArrayBuffer> {
  const bytes = utf8(name);
  const record = new Uint8Array((19 + bytes.length + 1 + 7) & ~7);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(ino), true);
  view.setUint16(16, record.length, true);
  view.setUint8(18, type);
  record.set(bytes, 19);
  return record;
}

const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

export function statOf(node: Node): Stat {
  const common = { ...NO_STAT, dev: 2049n, ino: 4242n, uid: 1234, gid: 567, blksize: 4096 };
  const times = { atimeSec: 1n, mtimeSec: 1_700_000_000n, mtimeNsec: 5, ctimeSec: 3n, btimeSec: 4n };
  if (node.kind === "file") {
    return { ...common, ...times, mode: S_IFREG | 0o640, nlink: 2, size: BigInt(node.bytes.length), ...node.stat };
  }
  const ino = node.kind === "directory" ? node.ino : common.ino;
  return { ...common, ...times, ino, mode: S_IFDIR | 0o755, nlink: 3, size: 4096n };
}

/** Entries as the agent sends them: "." and ".." first; a name that ends in "/" is a directory. */
export function entriesOf(names: string[]): Uint8Array<ArrayBuffer> {
  const records = names.map((name, at) =>
    name.endsWith("/") ? dirent(at + 3, name.slice(0, -1), 4) : dirent(at + 3, name, 8)
  );
  return concatBytes([dirent(1, ".", 4), dirent(2, "..", 4), ...records]);
}

function errnoOf(node: Node | undefined): number {
  return node === undefined ? ERRNO.ENOENT : node.kind === "error" ? node.errno : 0;
}

/** As StatFsReply has them: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags. */
const FILE_SYSTEM = new BigUint64Array([0xef53n, 4096n, 3n, 4n, 5n, 6n, 7n, 8n, 99n, 512n, 0n]);
const O_DIRECTORY = 0o200000;

function open(node: Node | undefined, flags: number): LayerMessage {
  const refused = (errno: number): LayerMessage => ({
    type: "OpenReply",
    errno,
    stat: NO_STAT,
    isWhole: true,
    handle: 0n,
    data: new Uint8Array(),
  });
  if (!node || node.kind === "error" || node.kind === "link") return refused(errnoOf(node));
  if (node.kind === "file" && flags & O_DIRECTORY) return refused(ERRNO.ENOTDIR);
  const data = node.kind === "file" ? node.bytes : entriesOf(node.entries);
  return { type: "OpenReply", errno: 0, stat: statOf(node), isWhole: true, handle: 0n, data };
}

function path(found: string | undefined, errno: number): LayerMessage {
  return { type: "PathReply", errno: found === undefined ? errno : 0, path: utf8(found ?? "") };
}

function changeDirectory(tree: Tree, name: string, node: Node | undefined): LayerMessage {
  const where = node?.kind === "link" ? node.to : name.replace(/\/$/, "") || "/";
  const there = tree[where];
  const errno = there?.kind === "file" ? ERRNO.ENOTDIR : errnoOf(there);
  return path(errno === 0 ? where : undefined, errno);
}

/** The answer to a file request; undefined for other requests. */
export function answerFrom(tree: Tree): (request: LayerFrame) => LayerMessage | undefined {
  return (request) => {
    if (!("path" in request)) return undefined;
    const name = fromUtf8(request.path);
    const node = tree[name.length > 1 ? name.replace(/\/$/, "") : name];
    switch (request.type) {
      case "Open":
        return open(node, request.flags);
      case "Stat":
        return { type: "StatReply", errno: errnoOf(node), stat: node ? statOf(node) : NO_STAT };
      case "Access":
        return { type: "Done", errno: errnoOf(node) };
      case "StatFs":
        return { type: "StatFsReply", errno: errnoOf(node), words: new Uint8Array(FILE_SYSTEM.buffer) };
      case "ReadLink":
        return path(node?.kind === "link" ? node.to : undefined, node ? ERRNO.EINVAL : ERRNO.ENOENT);
      case "RealPath":
        return path(node && (node.kind === "link" ? node.to : name.replace(/(?<=.)\/$/, "")), ERRNO.ENOENT);
      // No file has any.
      case "GetAttribute": {
        const errno = errnoOf(node) || (request.name.length > 0 ? ERRNO.ENODATA : 0);
        return { type: "AttributeReply", errno, value: new Uint8Array() };
      }
      case "ChangeDirectory":
        return changeDirectory(tree, name, node);
      default:
        return undefined;
    }
  };
}
