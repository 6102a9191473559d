/** What somebody wants of a port of the target, and what is answered. */
import { ERRNO } from "../../base/errors.ts";
import type { ReadFilter } from "../../proto/http_filter.ts";

export interface Wish {
  readonly port: number;
  readonly isSteal: boolean;
  /** Connections that exist are reset, so that their peers come anew. */
  readonly isFlush: boolean;
  readonly who: string;
  readonly filter: string;
}

export interface Verdict {
  readonly errno: number;
  readonly error: string;
}

export const WELCOME: Verdict = { errno: 0, error: "" };
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
