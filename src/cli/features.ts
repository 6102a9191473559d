/** What this machine's kernel and libc can do for a run, and what of an agent's is missing: as lists of features. */
import { ERRNO } from "../base/errors.ts";
import type { AGENT } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { listenersOn, openBlackHole } from "../sys/relay.ts";

export interface Feature {
  readonly name: string;
  readonly isThere: boolean;
  /** What is lost without it. */
  readonly without: string;
}

/** The oldest glibc that the shim is loaded by. */
const LEAST_GLIBC = "2.28";

export function glibcVersion(): string | undefined {
  try {
    const libc = Deno.dlopen("libc.so.6", { gnu_get_libc_version: { parameters: [], result: "pointer" } });
    const text = libc.symbols.gnu_get_libc_version();
    const version = text === null ? undefined : Deno.UnsafePointerView.getCString(text);
    libc.close();
    return version;
  } catch {
    return undefined;
  }
}

export function featuresHere(): Feature[] {
  const glibc = glibcVersion();
  const isBlackHole = (family: 4 | 6) => {
    const hole = openBlackHole(family);
    if (typeof hole === "number") return false;
    hole[Symbol.dispose]();
    return true;
  };
  return [
    {
      name: `glibc ${glibc ?? "of no known version"}`,
      isThere: glibc !== undefined && isAtLeast(glibc, LEAST_GLIBC),
      without: `programs cannot be entered: the shim needs glibc ${LEAST_GLIBC}`,
    },
    {
      name: "memfd_create(2)",
      isThere: isAtLeast(Deno.osRelease(), "3.17"),
      without: "files of the target cannot be opened",
    },
    {
      name: "socket filters on loopback",
      isThere: isBlackHole(4),
      without: "connections that do not block begin before it is known whether they succeed",
    },
    { name: "IPv6 on loopback", isThere: isBlackHole(6), without: "IPv6 connections of programs are refused" },
    {
      name: "sock_diag(7)",
      isThere: typeof listenersOn(1) !== "number",
      without: "who listens is looked up in /proc, which takes milliseconds",
    },
  ];
}

/** linux/capability.h */
const CAPABILITIES: Readonly<Record<string, number>> = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  DAC_READ_SEARCH: 2,
  FOWNER: 3,
  FSETID: 4,
  SETGID: 6,
  SETUID: 7,
  NET_ADMIN: 12,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
};

type Told = Pick<MessageNamed<typeof AGENT, "Features">, "capabilities" | "redirectErrno">;

export function capabilitiesOf({ capabilities }: Told): string[] {
  return Object.entries(CAPABILITIES).filter(([, bit]) => capabilities >> BigInt(bit) & 1n).map(([name]) => name);
}

export function featuresThere(told: Told, isTargetless: boolean): Feature[] {
  const has = (...names: string[]) => names.every((it) => capabilitiesOf(told).includes(it));
  if (isTargetless) return [];
  return [
    {
      name: "entering the target (SYS_ADMIN, SYS_PTRACE)",
      isThere: has("SYS_ADMIN", "SYS_PTRACE"),
      without: "neither its network nor its files are reached",
    },
    {
      name: "files as the target's own user reads them (SETUID, SETGID, DAC_READ_SEARCH)",
      isThere: has("SETUID", "SETGID", "DAC_READ_SEARCH"),
      without: "files of a target that is not root, or that only their owner may read, are refused",
    },
    {
      name: "files as the target's root writes them (DAC_OVERRIDE, CHOWN, FOWNER, FSETID)",
      isThere: has("DAC_OVERRIDE", "CHOWN", "FOWNER", "FSETID"),
      without: "files of others cannot be written; an agent has these where feature.fs.mode is write",
    },
    {
      name: "mirroring and stealing (NET_ADMIN, nftables)",
      isThere: told.redirectErrno === 0,
      without: `connections to the target stay with it: ${whyNoRedirect(told.redirectErrno)}`,
    },
  ];
}

function whyNoRedirect(errno: number): string {
  const reasons: Readonly<Record<number, string>> = {
    [ERRNO.EPERM]: "the agent has no NET_ADMIN",
    [ERRNO.EPROTONOSUPPORT]: "its kernel has no nftables",
    [ERRNO.EOPNOTSUPP]: "its kernel's nftables cannot redirect",
    [ERRNO.ENOENT]: "its kernel's nftables cannot redirect",
  };
  return reasons[errno] ?? `error ${errno} of the system`;
}

function isAtLeast(version: string, least: string): boolean {
  const numbers = (text: string) => text.split(/[^0-9]/).slice(0, 2).map(Number) as [number, number];
  const [major, minor] = numbers(version);
  const [leastMajor, leastMinor] = numbers(least);
  return major > leastMajor || major === leastMajor && minor >= leastMinor;
}
