/** hosts(5): lines of an address and its names; names are the same in upper and lower case, but not with a dot at the end. */
import { equalBytes } from "../base/bytes.ts";
import { isLoopback6, parseAddress, unmapped4 } from "../base/addresses.ts";

export interface HostsMatch {
  addresses: Uint8Array[];
  /** The first name on the first line that matched. */
  canonicalName: string;
  /** All other names on lines that matched. */
  aliases: string[];
}

interface Line {
  address: Uint8Array;
  names: string[];
}

function* lines(text: string): Generator<Line> {
  for (const line of text.split("\n")) {
    const [address, ...names] = line.replace(/#.*$/, "").trim().split(/\s+/);
    const bytes = names.length > 0 ? parseAddress(address!) : undefined;
    if (bytes) yield { address: bytes, names };
  }
}

/**
 * The addresses of `family` (0: both) that the file has for `name`; undefined when there are none. Line by line as glibc has it: without
 * `isMulti` (host.conf(5)) the first line that bears the name is all, with it what stands twice is told twice.
 */
export function findInHosts(text: string, name: string, family: number, isMulti: boolean): HostsMatch | undefined {
  const wanted = name.toLowerCase();
  const match: HostsMatch = { addresses: [], canonicalName: "", aliases: [] };
  for (const line of lines(text)) {
    const [official, ...others] = line.names;
    if (!line.names.some((other) => other.toLowerCase() === wanted)) continue;
    const address = inFamily(line.address, family);
    if (!address) continue;
    match.addresses.push(address);
    match.aliases.push(...others);
    match.canonicalName ||= official!;
    if (official !== match.canonicalName) match.aliases.push(official!);
    if (!isMulti) break;
  }
  return match.addresses.length > 0 ? match : undefined;
}

/** A question for IPv4 alone takes "::1" for 127.0.0.1, and a v4-mapped address for the IPv4 one. */
function inFamily(address: Uint8Array, family: number): Uint8Array | undefined {
  if (family === 0) return address;
  if (family === 6) return address.length === 16 ? address : undefined;
  if (address.length === 4) return address;
  return isLoopback6(address) ? Uint8Array.of(127, 0, 0, 1) : unmapped4(address);
}

/** The names on the first line that the file has for an address. */
export function namesInHosts(text: string, address: Uint8Array): string[] | undefined {
  const family = address.length === 4 ? 4 : 6;
  for (const line of lines(text)) {
    const its = inFamily(line.address, family);
    if (its && equalBytes(its, address)) return line.names;
  }
  return undefined;
}
