/** IP addresses between their text and their bytes (4 or 16, network order). */

/** Bytes of a numeric address, undefined when it is none. An IPv6 zone (`%eth0`) is dropped. */
export function parseAddress(text: string): Uint8Array<ArrayBuffer> | undefined {
  return text.includes(":") ? parse6(text.replace(/%.*$/, "")) : parse4(text);
}

function parse4(text: string): Uint8Array<ArrayBuffer> | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const parts = match?.slice(1).map(Number);
  return parts?.every((part) => part < 256) ? Uint8Array.from(parts) : undefined;
}

/** The forms inet_aton(3) knows: "127.1", "0x7f000001", "0177.0.0.1"; getaddrinfo takes them as addresses too. */
export function parseOldAddress4(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+)){0,3}$/i.test(text)) return undefined;
  const parts = text.split(".").map((part) => {
    const isOctal = /^0\d+$/.test(part);
    return isOctal && /[89]/.test(part) ? NaN : isOctal ? parseInt(part, 8) : Number(part);
  });
  const last = parts.pop()!;
  // "the last part is interpreted as a value of as many bytes as are left"
  const room = 256 ** (4 - parts.length);
  if (!parts.every((part) => part < 256) || !(last < room)) return undefined;
  const bytes = Uint8Array.from([...parts, 0, 0, 0, 0].slice(0, 4));
  for (let at = 3, rest = last; at >= parts.length; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

function parse6(text: string): Uint8Array<ArrayBuffer> | undefined {
  const tail4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail4) {
    const bytes = parse4(tail4[2]!);
    if (!bytes) return undefined;
    const words = [0, 2].map((at) => ((bytes[at]! << 8) | bytes[at + 1]!).toString(16));
    return parse6(`${tail4[1]}${words.join(":")}`);
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [front, back] = halves.map((half) => half === "" ? [] : half.split(":"));
  const zeros = 8 - front!.length - (back?.length ?? 0);
  if (back ? zeros < 1 : zeros !== 0) return undefined;
  const words = back ? [...front!, ...Array(zeros).fill("0"), ...back] : front!;
  if (!words.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  return Uint8Array.from(words.flatMap((word) => [parseInt(word, 16) >> 8, parseInt(word, 16) & 0xff]));
}

/** The address as sockets and messages write it; IPv6 in full, without "::". */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const words = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at]! << 8) | bytes[2 * at + 1]!).toString(16));
  return words.join(":");
}

/** ::ffff:a.b.c.d */
export function mapped6(address4: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address4]);
}

/** The IPv4 address inside a v4-mapped one, undefined when it is not mapped. */
export function unmapped4(address: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const isMapped = address.length === 16 && address.subarray(0, 10).every((byte) => byte === 0) &&
    address[10] === 0xff && address[11] === 0xff;
  return isMapped ? address.slice(12) : undefined;
}

export function isLoopback6(address: Uint8Array): boolean {
  return address.length === 16 && address.subarray(0, 15).every((byte) => byte === 0) && address[15] === 1;
}

/** 127.0.0.0/8, mapped or not, and ::1. */
export function isLoopback(address: Uint8Array): boolean {
  const plain = unmapped4(address) ?? address;
  return plain.length === 4 ? plain[0] === 127 : isLoopback6(plain);
}
