/** Socket addresses as keys and as sockets print them. */
import { unmapped4 } from "../../base/addresses.ts";
import { toHex } from "../../base/bytes.ts";

/** ::ffff:a.b.c.d is a.b.c.d: what an IPv6 socket says of its IPv4 connection. A copy in any case. */
export function canonical(address: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(unmapped4(address) ?? address);
}

export function keyOf(address: Uint8Array, port: number): string {
  return `${hostOf(address)}:${port}`;
}

/** As people write it: brackets around what has colons. */
export function endpointOf(address: Uint8Array, port: number): string {
  const host = hostOf(address);
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An address of 4 or 16 bytes as sockets print it. */
export function hostOf(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const bytes = canonical(address);
  return bytes.length === 4 ? bytes.join(".") : text6(bytes);
}

function text6(bytes: Uint8Array): string {
  const words = toHex(bytes).replace(/.{4}(?=.)/g, "$&:");
  return new URL(`http://[${words}]`).hostname.slice(1, -1);
}

/** 4 or 6, then 16 bytes. */
const RECORD_BYTES = 17;

/** The addresses in the records of a ResolveReply. Copies. */
export function addressesIn(records: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.floor(records.length / RECORD_BYTES) }, (_, index) => {
    const at = index * RECORD_BYTES;
    return records.slice(at + 1, at + 1 + (records[at] === 4 ? 4 : 16));
  });
}
