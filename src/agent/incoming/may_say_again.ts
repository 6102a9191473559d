/**
 * What a client has said to a program that has ended may be said again to another one when that does nothing twice. Knows
 * HTTP/1 and the beginning of TLS; of whatever else nobody knows.
 */
import { fromUtf8 } from "../../base/bytes.ts";
import { headEnd, looksLikeHttp, parseRequest, type RequestHead } from "./http/message.ts";

/** RFC 8446 5.1: a record of the handshake, of any version. */
const HANDSHAKE = [0x16, 0x03];

/** RFC 9110 9.2.2: asked twice it does what it does asked once. */
export function isIdempotent({ method }: Pick<RequestHead, "method">): boolean {
  return /^(?:GET|HEAD|OPTIONS|PUT|DELETE|TRACE)$/.test(fromUtf8(method));
}

/** `bytes`: all that was said; nothing was answered. */
export function maySayAgain(bytes: Uint8Array): boolean {
  // A client's first words agree on nothing yet.
  if (HANDSHAKE.every((it, at) => bytes[at] === it)) return true;
  while (bytes.length > 0) {
    const end = headEnd(bytes);
    // Nobody can have begun with what is not said.
    if (end === 0) return looksLikeHttp(bytes) !== false;
    const head = parseRequest(bytes.slice(0, end));
    if (!head || !isIdempotent(head)) return false;
    if (typeof head.framing !== "number") return false;
    bytes = bytes.subarray(end + head.framing);
  }
  return true;
}
