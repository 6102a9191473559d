/**
 * Which destinations are the target's and which this machine's, as configuration files say it: a list of
 * `[tcp://|udp://]HOST[:PORT]`, HOST being a name, an address, a subnet or nothing, PORT 0 or absent being any. Either those
 * that match are remote and all others local, or the other way round.
 */
import { parseAddress } from "../base/addresses.ts";
import { equalBytes } from "../base/bytes.ts";

export type Protocol = "tcp" | "udp";

export interface AddressRule {
  readonly protocol: Protocol | undefined;
  /** In lower case, without the dot at its end. */
  readonly name: string | undefined;
  readonly subnet: { readonly bytes: Uint8Array; readonly prefixBits: number } | undefined;
  /** 0: any. */
  readonly port: number;
}

/** As configured; the rules are texts that parseAddressRule() takes. */
export interface AddressFilter {
  readonly side: "remote" | "local";
  readonly rules: readonly string[];
}

/** The rule, or why the text is none. */
export function parseAddressRule(text: string): AddressRule | string {
  const [, scheme, rest] = /^(?:([^/:[\]]*):\/\/)?(.*)$/s.exec(text) ?? [];
  if (scheme !== undefined && scheme !== "tcp" && scheme !== "udp") return `"${scheme}" is neither tcp nor udp`;
  const protocol = scheme as Protocol | undefined;
  const parts = /^(\[[0-9a-fA-F:.]*\]|[^:[\]/]*)(?:\/(\d+))?(?::(\d+))?$/.exec(rest!);
  const bare6 = parts ? undefined : /^([0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?:\/(\d+))?$/.exec(rest!);
  if (!parts && !bare6) return "it is not [tcp://|udp://]HOST[/BITS][:PORT]";
  const host = (parts?.[1] ?? bare6![1]!).replace(/^\[(.*)\]$/, "$1");
  const bits = parts?.[2] ?? bare6?.[2];
  const port = Number(parts?.[3] ?? 0);
  if (port > 65535) return `there is no port ${port}`;
  if (text === "") return "it is empty";
  if (host === "") return bits === undefined ? { protocol, name: undefined, subnet: undefined, port } : "no address";
  const bytes = parseAddress(host);
  if (!bytes) {
    if (bits !== undefined) return `"${host}" is a name, and only addresses have subnets`;
    if (!/^[a-z0-9_.-]+$/i.test(host) || host.length > 255) return `"${host}" is no host name`;
    return { protocol, name: normalName(host), subnet: undefined, port };
  }
  const prefixBits = Number(bits ?? bytes.length * 8);
  if (prefixBits > bytes.length * 8) return `an address of ${bytes.length * 8} bits has no subnet of ${prefixBits}`;
  return { protocol, name: undefined, subnet: { bytes, prefixBits }, port };
}

/** `names` are those that are known to stand for the address, as normalName() has them. */
export function matchesRule(
  rule: AddressRule,
  protocol: Protocol,
  address: Uint8Array,
  port: number,
  names: ReadonlySet<string>,
): boolean {
  if (rule.protocol !== undefined && rule.protocol !== protocol) return false;
  if (rule.port !== 0 && rule.port !== port) return false;
  if (rule.subnet) return isWithin(address, rule.subnet.bytes, rule.subnet.prefixBits);
  return rule.name === undefined || names.has(rule.name);
}

/** Names are compared without regard to case and to the dot that makes them absolute. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/(?<=.)\.$/, "");
}

/**
 * The names of an outgoing filter also say where they are resolved, or a name would be asked for on one side and its
 * address be used on the other. Without a filter of its own, DNS takes them when the filter speaks of names alone.
 */
export function dnsFilterOf(
  outgoing: AddressFilter | undefined,
  dns: AddressFilter | undefined,
): AddressFilter | undefined {
  if (!outgoing || (dns && dns.side !== outgoing.side)) return dns;
  const named = outgoing.rules.filter((text) => {
    const rule = parseAddressRule(text);
    return typeof rule === "object" && rule.name !== undefined;
  });
  if (dns) return { side: dns.side, rules: [...new Set([...dns.rules, ...named])] };
  const isAboutNames = named.length > 0 && (outgoing.side === "local" || named.length === outgoing.rules.length);
  return isAboutNames ? { side: outgoing.side, rules: named } : undefined;
}

function isWithin(address: Uint8Array, subnet: Uint8Array, prefixBits: number): boolean {
  if (address.length !== subnet.length) return false;
  const whole = prefixBits >> 3;
  if (!equalBytes(address.subarray(0, whole), subnet.subarray(0, whole))) return false;
  const mask = 0xff00 >> (prefixBits & 7) & 0xff;
  return mask === 0 || (address[whole]! & mask) === (subnet[whole]! & mask);
}
