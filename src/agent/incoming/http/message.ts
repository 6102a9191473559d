/**
 * As much of HTTP/1 (RFC 9112) as it takes to find where a message ends: its head, and the framing of its body. Nothing is
 * changed and nothing is judged that does not matter for that; what is no HTTP is said so.
 */
import { concatBytes, fromUtf8, utf8 } from "../../../base/bytes.ts";
import { whenLate } from "../../../base/late.ts";
import type { RequestFacts } from "../../../proto/http_filter.ts";
import type { ByteReader } from "./reader.ts";

/** Longest head that is looked at. */
export const MOST_HEAD_BYTES = 256 << 10;

/** How long a body is: so many bytes, in chunks, or to the end of the connection. */
export type Framing = number | "chunked" | "to the end";

export interface RequestHead extends RequestFacts {
  readonly bytes: Uint8Array;
  readonly framing: Framing;
  readonly isLast: boolean;
  readonly isConnect: boolean;
  /** Its body may wait for an interim answer (RFC 9110 10.1.1). */
  readonly awaitsContinue: boolean;
  readonly isHead: boolean;
}

export interface ResponseHead {
  readonly bytes: Uint8Array;
  readonly status: number;
  readonly framing: Framing;
  readonly isLast: boolean;
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ \r\n]+) HTTP\/1\.([01])$/;
const STATUS_LINE = /^HTTP\/1\.([01]) ([0-9]{3})(?: .*)?$/;
/** RFC 9112 5.1, 5.2: a blank before the colon, or a folded line, and some read it as a framing header. */
const UNSURE_HEADER = /^\s|^(?:content-length|transfer-encoding)\s+:/i;
/** RFC 9112 2.2, 5: what else a line of a request's head has to be, or somebody reads another one. */
const CLEAR_HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\0]*$/;
const COLON = 0x3a;
const latin1 = new TextDecoder("latin1");

/** The next head, "end" when there is none, "no HTTP". `taken` leave the reader. */
export async function readHead(reader: ByteReader): Promise<Uint8Array | "end" | "no HTTP"> {
  while (true) {
    skipEmptyLines(reader);
    const end = headEnd(reader.held);
    if (end > 0) return reader.take(end).slice();
    if (reader.held.length > MOST_HEAD_BYTES) return "no HTTP";
    if (!await reader.fill()) return reader.held.length === 0 ? "end" : "no HTTP";
  }
}

/** RFC 9112 2.2: an empty line before a request is passed over. */
function skipEmptyLines(reader: ByteReader): void {
  let count = 0;
  while (reader.held[count] === 13 && reader.held[count + 1] === 10) count += 2;
  if (count > 0) reader.take(count);
}

/** Where the head ends, its empty line included; 0: not yet. */
export function headEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return 0;
}

/** Could these bytes be the beginning of an HTTP/1 request? Undefined: too early to tell. */
export function looksLikeHttp(bytes: Uint8Array): boolean | undefined {
  const end = bytes.indexOf(10);
  const line = latin1.decode(bytes.subarray(0, end < 0 ? Math.min(bytes.length, MOST_HEAD_BYTES) : end)).replace(
    /\r$/,
    "",
  );
  if (end >= 0) return REQUEST_LINE.test(line);
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]{0,64}(?: [^ \r\n]*(?: [HTP/1.0]{0,8})?)?$/.test(line)) return undefined;
  return false;
}

/** Undefined: it is none, or two readers could disagree about where it ends. */
export function parseRequest(bytes: Uint8Array): RequestHead | undefined {
  const lines = linesOf(bytes);
  const match = REQUEST_LINE.exec(latin1.decode(lines[0]!));
  if (!match) return undefined;
  const headers = lines.slice(1);
  if (!headers.every((line) => CLEAR_HEADER.test(fromLatin1(line)))) return undefined;
  const method = lines[0]!.subarray(0, match[1]!.length);
  const target = lines[0]!.subarray(method.length + 1, method.length + 1 + match[2]!.length);
  const framing = framingOf(headers) ?? 0;
  // RFC 9112 6.1, 6.3: chunks are of HTTP/1.1, and the end of a connection ends no request.
  const isUnclear = framing === "broken" || framing === "to the end" || (framing === "chunked" && match[3] === "0");
  if (isUnclear) return undefined;
  const isLast = isLastMessage(headers, match[3]!);
  return {
    bytes,
    method,
    target,
    headers: headers.map(fieldOf),
    framing,
    isLast,
    isConnect: match[1] === "CONNECT",
    awaitsContinue: match[3] === "1" && valuesOf(headers, "expect").includes("100-continue"),
    isHead: match[1] === "HEAD",
  };
}

export function parseResponse(bytes: Uint8Array, request: RequestHead): ResponseHead | undefined {
  const lines = linesOf(bytes);
  const match = STATUS_LINE.exec(latin1.decode(lines[0]!));
  if (!match) return undefined;
  const status = Number(match[2]);
  const isBodiless = request.isHead || status < 200 || status === 204 || status === 304;
  const headers = lines.slice(1);
  const framing = isBodiless ? 0 : framingOf(headers) ?? "to the end";
  if (framing === "broken") return undefined;
  const isLast = isLastMessage(headers, match[1]!) || framing === "to the end";
  return { bytes, status, framing, isLast };
}

/** The head with this header, and no other of its name. */
export function withHeader(head: Uint8Array, [name, value]: readonly [name: string, value: string]): Uint8Array {
  const kept: Uint8Array[] = [];
  let isLeftOut = false;
  for (let from = 0, end; from < head.length; from = end) {
    end = head.indexOf(10, from) + 1;
    const line = head.subarray(from, end);
    const isFolded = isBlank(line[0]!);
    if (!isFolded) {
      isLeftOut = latin1.decode(line.subarray(0, name.length + 1)).toLowerCase() === `${name.toLowerCase()}:`;
    }
    if (end === head.length) kept.push(utf8(`${name}: ${value}\r\n`));
    if (!isLeftOut) kept.push(line);
  }
  return concatBytes(kept);
}

function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    const end = bytes[at - 1] === 13 ? at - 1 : at;
    if (end > from) lines.push(bytes.subarray(from, end));
    from = at + 1;
  }
  return lines;
}

/** "Name: value", however many blanks stand around the value. */
function fieldOf(line: Uint8Array): Uint8Array {
  const start = line.indexOf(COLON) + 1;
  if (start === 0) return line;
  let [from, end] = [start, line.length];
  while (from < end && isBlank(line[from]!)) from++;
  while (end > from && isBlank(line[end - 1]!)) end--;
  if (from === start + 1 && line[start] === 32 && end === line.length) return line;
  return concatBytes([line.subarray(0, start), utf8(" "), line.subarray(from, end)]);
}

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9;
}

/** The values of a header, in lower case; several headers of one name are one list. */
function valuesOf(headers: readonly Uint8Array[], name: string): string[] {
  return headers.flatMap((line) => {
    const colon = line.indexOf(COLON);
    if (colon !== name.length || latin1.decode(line.subarray(0, colon)).toLowerCase() !== name) return [];
    return fromLatin1(line.subarray(colon + 1)).toLowerCase().split(",").map((it) =>
      it.replace(/^[ \t]+|[ \t]+$/g, "")
    );
  });
}

function fromLatin1(bytes: Uint8Array): string {
  return latin1.decode(bytes);
}

/** "broken": two readers of this message could disagree about where it ends (RFC 9112 6.3). */
function framingOf(headers: readonly Uint8Array[]): Framing | "broken" | undefined {
  if (headers.some((line) => UNSURE_HEADER.test(fromLatin1(line)))) return "broken";
  const codings = valuesOf(headers, "transfer-encoding");
  const lengths = new Set(valuesOf(headers, "content-length"));
  if (codings.length > 0) {
    return lengths.size > 0 ? "broken" : codings.at(-1) === "chunked" ? "chunked" : "to the end";
  }
  if (lengths.size === 0) return undefined;
  const [length] = lengths;
  return lengths.size === 1 && /^[0-9]{1,15}$/.test(length!) ? Number(length) : "broken";
}

function isLastMessage(headers: readonly Uint8Array[], minor: string): boolean {
  const options = valuesOf(headers, "connection");
  return options.includes("close") || (minor === "0" && !options.includes("keep-alive"));
}

/** "cut": the connection ended before it. "broken": these are no chunks; what is none of them is left in the reader. */
export type Passed = "whole" | "cut" | "broken";

/** Passes a body on, unchanged. */
export async function passBody(
  reader: ByteReader,
  framing: Framing,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<Passed> {
  if (framing === "chunked") return await passChunks(reader, write);
  let left = framing === "to the end" ? Infinity : framing;
  while (left > 0) {
    if (reader.held.length === 0 && !await reader.fill()) return framing === "to the end" ? "whole" : "cut";
    const bytes = reader.take(Math.min(left, reader.held.length));
    left -= bytes.length;
    await write(bytes);
  }
  return "whole";
}

/**
 * What a body is, left in the reader. Undefined when it is longer than `mostBytes`, does not come whole within `ms`, or is
 * broken.
 */
export async function peekBody(
  reader: ByteReader,
  framing: Framing,
  mostBytes: number,
  ms: number,
): Promise<Uint8Array | undefined> {
  const late = Promise.withResolvers<false>();
  const inTime = whenLate(ms, () => late.resolve(false));
  try {
    while (true) {
      const body = bodyIn(reader.held, framing, mostBytes);
      if (body !== "not yet") return body;
      const filling = reader.fill();
      filling.catch(() => {});
      if (!await Promise.race([filling, late.promise])) return undefined;
    }
  } finally {
    inTime();
  }
}

/** A chunk's size and the ends of its lines, and trailers, come on top of a body. */
const CHUNKED_OVERHEAD = 8;

function bodyIn(bytes: Uint8Array, framing: Framing, mostBytes: number): Uint8Array | undefined | "not yet" {
  if (framing === "to the end") return undefined;
  if (framing === "chunked") return chunksIn(bytes, mostBytes);
  if (framing > mostBytes) return undefined;
  return bytes.length < framing ? "not yet" : bytes.subarray(0, framing);
}

function chunksIn(bytes: Uint8Array, mostBytes: number): Uint8Array | undefined | "not yet" {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let at = 0;;) {
    const end = bytes.indexOf(10, at);
    if (end < 0) return bytes.length > (mostBytes + MOST_HEAD_BYTES) * CHUNKED_OVERHEAD ? undefined : "not yet";
    const length = chunkSize(bytes.subarray(at, end + 1));
    if (length === undefined || (size += length) > mostBytes) return undefined;
    if (length === 0) return concatBytes(parts);
    if (bytes.length < end + 1 + length + 2) return "not yet";
    parts.push(bytes.subarray(end + 1, end + 1 + length));
    at = end + 1 + length + 2;
    if (bytes[at - 2] !== 13 || bytes[at - 1] !== 10) return undefined;
  }
}

function chunkSize(line: Uint8Array): number | undefined {
  const size = /^([0-9A-Fa-f]{1,12})(?=[;\s])/.exec(fromUtf8(line))?.[1];
  return size === undefined ? undefined : Number.parseInt(size, 16);
}

/** RFC 9112 7.1: chunks until the one of size 0, then trailers until an empty line. */
async function passChunks(reader: ByteReader, write: (bytes: Uint8Array) => Promise<void>): Promise<Passed> {
  while (true) {
    const line = await lineIn(reader);
    if (!(line instanceof Uint8Array)) return await unpassed(line, reader, write);
    const size = chunkSize(line);
    if (size === undefined) return "broken";
    await write(reader.take(line.length));
    if (size === 0) break;
    if (await passBody(reader, size, write) === "cut") return "cut";
    while (reader.held.length < 2) if (!await reader.fill()) return await unpassed("cut", reader, write);
    if (reader.held[0] !== 13 || reader.held[1] !== 10) return "broken";
    await write(reader.take(2));
  }
  while (true) {
    const line = await lineIn(reader);
    if (!(line instanceof Uint8Array)) return await unpassed(line, reader, write);
    await write(reader.take(line.length));
    if (line.length <= 2) return "whole";
  }
}

/** What ends in the midst of a chunk is passed on as far as it came. */
async function unpassed(
  how: "cut" | "broken",
  reader: ByteReader,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<Passed> {
  if (how === "cut" && reader.held.length > 0) await write(reader.take());
  return how;
}

/** The line that begins here, which stays in the reader. */
async function lineIn(reader: ByteReader): Promise<Uint8Array | "cut" | "broken"> {
  while (true) {
    const end = reader.held.indexOf(10);
    if (end >= 0) return reader.held.slice(0, end + 1);
    if (reader.held.length > MOST_HEAD_BYTES) return "broken";
    if (!await reader.fill()) return "cut";
  }
}
