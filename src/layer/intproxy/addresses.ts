/** Socket addresses as keys and as sockets print them. */
import { toHex } from "../../base/bytes.ts";

/** ::ffff:a.b.c.d is a.b.c.d: what an IPv6 socket says of its IPv4 connection. A copy in any case. */
export function canonical(address: Uint8Array): Uint8Array<ArrayBuffer> {
  const isMapped = address.length === 16 && address.subarray(0, 12).every((byte, at) => byte === (at < 10 ? 0 : 0xff));
  return new Uint8Array(isMapped ? address.subarray(12) : address);
}

export function keyOf(address: Uint8Array, port: number): string {
  return `${hostOf(address)}:${port}`;
}

/** An address of 4 or 16 bytes as sockets print it. */
export function hostOf(address: Uint8Array): string {
  const bytes = canonical(address);
  return bytes.length === 4 ? bytes.join(".") : text6(bytes);
}

function text6(bytes: Uint8Array): string {
  const words = toHex(bytes).replace(/.{4}(?=.)/g, "$&:");
  return new URL(`http://[${words}]`).hostname.slice(1, -1);
}
