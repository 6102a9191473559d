/**
 * The agent's nftables table: native/sys/netfilter.c for TypeScript. To be called on the main thread, in the network that
 * it is about. What fails is a negative errno.
 */
import { utf8 } from "../base/bytes.ts";
import { cString, loadSys } from "./load.ts";

const sys = loadSys({
  netfilter_open: { parameters: ["buffer", "u32", "u32", "buffer"], result: "i32" },
  netfilter_commit: { parameters: ["i32", "buffer", "u32", "u32", "buffer", "u32", "u32", "u32"], result: "i32" },
  netfilter_remove: { parameters: ["buffer"], result: "i32" },
  netfilter_close: { parameters: ["i32", "buffer"], result: "i32" },
  netfilter_guard: { parameters: ["buffer"], result: "i32" },
  netfilter_watch: { parameters: [], result: "i32" },
  netfilter_watched: { parameters: ["i32"], result: "void" },
  netfilter_list: { parameters: ["u32", "buffer", "u32"], result: "i32" },
});

/** Whose rules are looked at first: mirrors pass everything on, filtered some of it, whole nothing. */
export const REDIRECT_CLASSES = ["mirror", "filtered", "whole"] as const;
export type RedirectClass = typeof REDIRECT_CLASSES[number];

export interface RedirectRule {
  readonly redirectClass: RedirectClass;
  readonly port: number;
  /** Where our listener is; 0: connections are not redirected; without a queue either that is announced to other agents. */
  readonly toPort: number;
  /** Which queue what clients say goes to (queue.ts); 0: none. */
  readonly queue: number;
  /** What the target says goes there too, and not only its ends. */
  readonly asksAnswers: boolean;
  /** Plain requests that have none of these texts in them (ASCII, upper case) pass without being asked about. Undefined: none do. */
  readonly needs?: readonly string[] | undefined;
  /** For other agents and for people; cut where it is too long. */
  readonly comment: string;
}

/** C's struct redirect_rule. */
const RULE_BYTES = 324;
const COMMENT_AT = 12;
const COMMENT_BYTES = 115;
const NEEDS_AT = 128;
const NEED_BYTES = 32;
/** How the kernel is told of a queue, the better one first. */
export const QUEUE_WAYS = ["nftables", "iptables"] as const;
export type QueueWay = typeof QUEUE_WAYS[number];
const LISTING_BYTES = 1 << 20;

export interface OpenTable {
  readonly fd: number;
  /** The kernel removes the table when the descriptor is closed. */
  readonly isOwned: boolean;
}

/** An empty table whose chains stand at `level` of their classes; or -errno. */
export function openTable(name: string, level: number, wantsOwner: boolean): OpenTable | number {
  const isOwned = new Uint32Array(1);
  const fd = sys.netfilter_open(cString(name), level, wantsOwner ? 1 : 0, isOwned);
  return fd < 0 ? fd : { fd, isOwned: isOwned[0] === 1 };
}

/** The rules of the table become these; connections marked for `mark` and what stands behind pass. 0 or -errno. */
export function commitRules(
  fd: number,
  name: string,
  level: number,
  mark: number,
  rules: readonly RedirectRule[],
  options: { way?: QueueWay | undefined; translates?: boolean } = {},
): number {
  const { way = "nftables", translates = true } = options;
  const bytes = new Uint8Array(Math.max(1, rules.length) * RULE_BYTES);
  const view = new DataView(bytes.buffer);
  rules.forEach(({ redirectClass, port, toPort, queue, asksAnswers, needs, comment }, index) => {
    const at = index * RULE_BYTES;
    view.setUint32(at, REDIRECT_CLASSES.indexOf(redirectClass), true);
    view.setUint16(at + 4, port, true);
    view.setUint16(at + 6, toPort, true);
    view.setUint16(at + 8, queue, true);
    view.setUint16(at + 10, asksAnswers ? 1 : 0, true);
    bytes.set(utf8(comment).subarray(0, COMMENT_BYTES), at + COMMENT_AT);
    view.setUint16(at + NEEDS_AT, needs ? 1 : 0, true);
    view.setUint16(at + NEEDS_AT + 2, needs?.length ?? 0, true);
    needs?.forEach((text, of) => bytes.set(utf8(text), at + NEEDS_AT + 4 + of * NEED_BYTES));
  });
  const wayIndex = QUEUE_WAYS.indexOf(way);
  return sys.netfilter_commit(fd, cString(name), level, mark, bytes, rules.length, wayIndex, translates ? 1 : 0);
}

/** Removes a table without an owner. 0 or -errno. */
export function removeTable(name: string): number {
  return sys.netfilter_remove(cString(name));
}

/** Removes our table and gives back its descriptor. 0 or -errno. */
export function closeTable(fd: number, name: string): number {
  return sys.netfilter_close(fd, cString(name));
}

/** Starts a process that removes the table when this one has ended. Descriptor that it watches, or -errno. */
export function guardTable(name: string): number {
  return sys.netfilter_guard(cString(name));
}

export interface ListedTable {
  readonly name: string;
  readonly isOwned: boolean;
}

/** The tables of family inet, or -errno. */
export function listTables(): ListedTable[] | number {
  const lines = list(LISTED.tables);
  if (typeof lines === "number") return lines;
  return lines.map(([name, owned]) => ({ name: name!, isOwned: owned === "owned" }));
}

export interface ListedRule {
  readonly table: string;
  readonly chain: string;
  readonly comment: string;
}

/** The rules of all tables of family inet, or -errno. */
export function listRules(): ListedRule[] | number {
  const lines = list(LISTED.rules);
  if (typeof lines === "number") return lines;
  return lines.map(([table, chain, comment]) => ({ table: table!, chain: chain!, comment: comment ?? "" }));
}

const LISTED = { tables: 0, rules: 1, chains: 2 } as const;

function list(kind: number): string[][] | number {
  const text = new Uint8Array(LISTING_BYTES);
  const length = sys.netfilter_list(kind, text, text.length);
  if (length < 0) return length;
  const lines = new TextDecoder().decode(text.subarray(0, length)).split("\n");
  return lines.filter((line) => line !== "").map((line) => line.split("\t"));
}

/** The tables of any family that translate addresses: nftables', and those of iptables before it. Or -errno. */
export function listTranslatingTables(): string[] | number {
  const lines = list(LISTED.chains);
  if (typeof lines === "number") return lines;
  const legacy = ["ip_tables_names", "ip6_tables_names"].flatMap((file) => namesIn(`/proc/self/net/${file}`));
  return [
    ...lines.filter(([, type]) => type === "nat").map(([table]) => table!),
    ...legacy.filter((it) => it === "nat"),
  ];
}

/** Lines of a file of the kernel's that may not be there. */
function namesIn(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n");
  } catch {
    return [];
  }
}

/** A descriptor to watch that is readable when any table has changed; or -errno. */
export function watchTables(): number {
  return sys.netfilter_watch();
}

/** Takes from such a descriptor what it has. */
export function forgetTableChanges(fd: number): void {
  sys.netfilter_watched(fd);
}
