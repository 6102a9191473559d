/**
 * `Upgrade: h2c` (RFC 7540 3.2): the offer to go on with HTTP/2 on this connection. Who agreed would get every later request,
 * whatever the filters say, so it is taken out: a server may ignore it, and the connection stays HTTP/1.1.
 */

/** The head of a request without the offer, where there is one; anything else as it was. */
export function withoutHttp2Offer(head: Uint8Array): Uint8Array {
  if (!mayOffer(head)) return head;
  let text = "";
  for (const byte of head) text += String.fromCharCode(byte);
  if (!/^http2-settings[ \t]*:/im.test(text)) return head;
  const lines = text.split("\n").flatMap((line) => lineWithout(line));
  return Uint8Array.from(lines.join("\n"), (it) => it.charCodeAt(0));
}

/** Does a line begin with "h…2"? Most requests are left alone without further ado. */
function mayOffer(head: Uint8Array): boolean {
  for (let at = head.indexOf(10); at >= 0; at = head.indexOf(10, at + 1)) {
    if (head[at + 5] === 0x32 && (head[at + 1]! | 0x20) === 0x68) return true;
  }
  return false;
}

function lineWithout(line: string): string[] {
  const match = /^(http2-settings|upgrade|connection)([ \t]*:)(.*?)(\r?)$/i.exec(line);
  if (!match) return [line];
  const [, name, colon, value, end] = match;
  if (name!.toLowerCase() === "http2-settings") return [];
  const left = value!.split(",").map((it) => it.trim()).filter((it) => !/^(h2c|http2-settings|)$/i.test(it));
  return left.length === 0 || isOnlyUpgrade(left) ? [] : [`${name}${colon} ${left.join(", ")}${end}`];
}

/** "Connection: Upgrade" without anything to upgrade to says nothing. */
function isOnlyUpgrade(options: readonly string[]): boolean {
  return options.length === 1 && /^upgrade$/i.test(options[0]!);
}
