/** What somebody wants of a port of the target, who that is, and what is answered. */
import { ERRNO } from "../../base/errors.ts";
import type { StreamEnd } from "../../base/socket_end.ts";
import { type ReadFilter, readHttpFilter, type RequestTest } from "../../proto/http_filter.ts";
import { PassageFilters, type Tap } from "../../sys/passage.ts";
import type { Endpoint } from "../../sys/redirected.ts";
import { programOf } from "./http/program.ts";
import type { JudgeShare } from "./judges.ts";

export interface Wish {
  readonly port: number;
  readonly isSteal: boolean;
  /** Connections that exist are reset, so that their peers come anew. */
  readonly isFlush: boolean;
  readonly who: string;
  readonly filter: string;
}

/** One connection for a client. */
export interface Delivery {
  readonly port: number;
  readonly isMirror: boolean;
  readonly peer: Endpoint;
  readonly own: Endpoint;
}

export interface IncomingClient {
  /** Takes over `end`. False when it has no room: `end` is still the caller's. */
  deliver(delivery: Delivery, end: StreamEnd): boolean;
  /** The same of a copy; `onCut` is called when it was cut off because nobody took it. */
  mirror(delivery: Omit<Delivery, "isMirror">, tap: Tap, onCut: () => void): boolean;
  warn(text: string): void;
}

export interface Subscription extends Wish {
  readonly client: IncomingClient;
  /** What `filter` says; undefined: every connection. */
  readonly test: RequestTest | undefined;
  readonly settings: ReadFilter | undefined;
  readonly judge: JudgeShare | undefined;
  readonly since: Date;
  /** It is not in force yet. */
  isAnnounced: boolean;
}

export interface Verdict {
  readonly errno: number;
  readonly error: string;
}

export const WELCOME: Verdict = { errno: 0, error: "" };

/** What its filter says; undefined: it has none. */
export function settingsOf({ port, filter }: Wish): ReadFilter | undefined | Verdict {
  if (filter === "") return undefined;
  try {
    const settings = readHttpFilter(filter);
    PassageFilters.of(programOf([settings.filter]))[Symbol.dispose]();
    return settings;
  } catch (error) {
    return { errno: ERRNO.EINVAL, error: `port ${port} has a filter that cannot be read: ${error}` };
  }
}

export function isWhole({ isSteal, filter }: Wish): boolean {
  return isSteal && filter === "";
}

export function describe({ who, since }: Pick<Wish, "who"> & { readonly since: Date }): string {
  return `${who} since ${since.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function stolen(port: number, who: string): Verdict {
  return { errno: ERRNO.EADDRINUSE, error: `port ${port} of the target is stolen already, by ${who}` };
}

export function noRedirect(port: number, status: number): Verdict {
  const reasons: Readonly<Record<number, string>> = {
    [ERRNO.EPERM]: "the agent needs the capability NET_ADMIN",
    [ERRNO.EPROTONOSUPPORT]: "the kernel has no nftables (CONFIG_NF_TABLES)",
    [ERRNO.EOPNOTSUPP]: "the kernel's nftables cannot redirect (CONFIG_NFT_REDIR, CONFIG_NFT_NAT, CONFIG_NFT_FIB_INET)",
    [ERRNO.ENOENT]: "the kernel's nftables cannot redirect (CONFIG_NFT_REDIR, CONFIG_NFT_NAT, CONFIG_NFT_FIB_INET)",
    [ERRNO.ENOSPC]: "too many ports are redirected",
  };
  const reason = reasons[-status] ?? `error ${-status} of the system`;
  return { errno: -status, error: `port ${port} of the target cannot be redirected: ${reason}` };
}

/** The head of a request says by itself, and to native code, whether it is wanted. */
export function isDecidedByHead(settings: ReadFilter | undefined): boolean {
  return settings !== undefined && !settings.hasBody && !settings.marksAnswers && settings.programs.length === 0;
}
