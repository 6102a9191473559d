/**
 * In which order a program should try the addresses of a name: RFC 3484 as glibc has it, with its tables (gai.conf is
 * not read). Which source an address would be reached from is the kernel's answer in the target's network, and how far that
 * source's own subnet goes.
 */
import { equalBytes } from "../base/bytes.ts";
import { sourceTowards } from "../sys/datagrams.ts";
import { mapped6, parseAddress } from "../base/addresses.ts";

interface Candidate {
  /** As 16 bytes, v4-mapped where it is IPv4. */
  address: Uint8Array;
  source: Uint8Array | undefined;
  original: Uint8Array;
  /** Of the source's subnet, of IPv4 as of a v4-mapped address; 128 where it is not known. */
  subnetBits: number;
}

type Prefix = [bytes: number[], bits: number, value: number];

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const LOOPBACK = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/** Longest prefix first. */
const LABELS: Prefix[] = [
  [LOOPBACK, 128, 0],
  [MAPPED, 96, 4],
  [[], 96, 3],
  [[0x20, 0x01, 0, 0], 32, 7],
  [[0x20, 0x02], 16, 2],
  [[0xfe, 0xc0], 10, 5],
  [[0xfc], 7, 6],
  [[], 0, 1],
];
const PRECEDENCES: Prefix[] = [
  [LOOPBACK, 128, 50],
  [MAPPED, 96, 10],
  [[], 96, 20],
  [[0x20, 0x02], 16, 30],
  [[], 0, 40],
];

const SCOPE = { linkLocal: 2, siteLocal: 5, global: 14 } as const;

export interface Network {
  /** The source that an address would be reached from; undefined: none. */
  sourceOf: (address: Uint8Array) => Uint8Array | undefined;
  /** The addresses of this network's interfaces, and how many bits name the subnet. */
  subnets: () => { address: Uint8Array; bits: number }[];
}

/** A new list; addresses of 4 or 16 bytes. `network` is the kernel's, in the main thread's namespace, except in tests. */
export function inOrder(addresses: Uint8Array[], network: Network = KERNEL): Uint8Array[] {
  if (addresses.length < 2) return addresses;
  const subnets = network.subnets();
  const candidates = addresses.map((original): Candidate => {
    const found = network.sourceOf(original);
    const own = found && subnets.find(({ address }) => equalBytes(address, found));
    const subnetBits = own ? own.bits + 128 - 8 * own.address.length : 128;
    return { original, address: as16(original), source: found && as16(found), subnetBits };
  });
  return candidates.sort(compare).map(({ original }) => original); // sort is stable: rule 10
}

const KERNEL: Network = {
  sourceOf: sourceTowards,
  subnets: () =>
    Deno.networkInterfaces().flatMap(({ address, cidr }) => {
      const bytes = parseAddress(address);
      return bytes ? [{ address: bytes, bits: Number(cidr.replace(/^.*\//, "")) }] : [];
    }),
};

function compare(a: Candidate, b: Candidate): number {
  // Rule 1: avoid unusable destinations.
  if (!a.source || !b.source) return Number(b.source !== undefined) - Number(a.source !== undefined);
  return (
    // Rule 2: prefer matching scope.
    claim(b, (it) => scope(it.address) === scope(it.source!)) -
      claim(a, (it) => scope(it.address) === scope(it.source!)) ||
    // Rule 5: prefer matching label.
    claim(b, (it) => look(LABELS, it.address) === look(LABELS, it.source!)) -
      claim(a, (it) => look(LABELS, it.address) === look(LABELS, it.source!)) ||
    // Rule 6: prefer higher precedence.
    look(PRECEDENCES, b.address) - look(PRECEDENCES, a.address) ||
    // Rule 8: prefer smaller scope.
    scope(a.address) - scope(b.address) ||
    // Rule 9: use longest matching prefix, among addresses of one family.
    (a.original.length === b.original.length ? commonBits(b) - commonBits(a) : 0)
  );
}

function claim(candidate: Candidate, holds: (it: Candidate) => boolean): number {
  return holds(candidate) ? 1 : 0;
}

function as16(address: Uint8Array): Uint8Array {
  return address.length === 4 ? mapped6(address) : address;
}

function isMapped(address: Uint8Array): boolean {
  return hasPrefix(address, MAPPED, 96);
}

function look(table: Prefix[], address: Uint8Array): number {
  return table.find(([bytes, bits]) => hasPrefix(address, bytes, bits))![2];
}

function hasPrefix(address: Uint8Array, bytes: number[], bits: number): boolean {
  for (let at = 0; at * 8 < bits; at++) {
    const mask = 0xff & (0xff << Math.max(0, 8 - (bits - at * 8)));
    if (((address[at]! ^ (bytes[at] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

function scope(address: Uint8Array): number {
  if (isMapped(address)) {
    const isLink = address[12] === 127 || (address[12] === 169 && address[13] === 254);
    return isLink ? SCOPE.linkLocal : SCOPE.global;
  }
  if (address[0] === 0xff) return address[1]! & 0xf;
  if (hasPrefix(address, [0xfe, 0x80], 10) || hasPrefix(address, LOOPBACK, 128)) return SCOPE.linkLocal;
  return hasPrefix(address, [0xfe, 0xc0], 10) ? SCOPE.siteLocal : SCOPE.global;
}

/** Of IPv4 only within the source's own subnet: "outside of subnets common address prefixes make no sense". */
function commonBits({ original, address, source, subnetBits }: Candidate): number {
  if (original.length === 4 && !hasPrefix(address, [...source!], subnetBits)) return 0;
  for (let at = 0; at < 16; at++) {
    const difference = address[at]! ^ source![at]!;
    if (difference !== 0) return at * 8 + Math.clz32(difference) - 24;
  }
  return 128;
}
