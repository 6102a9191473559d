/**
 * How `mirrord dump` prints what came in. Text of a terminal's user must not be able to do anything to the terminal: control
 * characters are written out, and what is no text is printed as hexdump -C does.
 */
import { concatBytes, utf8 } from "../base/bytes.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Dumper {
  opened(connection: number, port: number, peer: string, own: string): Bytes;
  /** What is printed now of these bytes; a character that is not whole waits for the next. */
  data(bytes: Uint8Array): Bytes;
  /** What was left, and that it has ended. */
  ended(): Bytes;
}

type Print = (connection: number, chunk: Chunk) => Bytes;
type Chunk = { readonly text: string; readonly bytes: Uint8Array } | {
  readonly text: undefined;
  readonly bytes: Uint8Array;
};

/** One connection's; `now` is the time of the lines of JSON. */
export function dumperFor(format: "text" | "json", now: () => Date = () => new Date()): Dumper {
  return format === "json" ? jsonDumper(now) : textDumper();
}

function textDumper(): Dumper {
  let connection = 0;
  const put: Print = (id, { text, bytes }) => {
    const head = utf8(`## Connection ${id}: ${bytes.length} bytes\n`);
    return concatBytes([head, text === undefined ? hexLines(bytes) : utf8(textLines(text))]);
  };
  const chunks = new Chunks();
  return {
    opened(id, _port, peer, own) {
      connection = id;
      return utf8(`## New connection ${id} from ${peer} to ${own}\n`);
    },
    data: (bytes) => printed(connection, chunks.next(bytes), put),
    ended: () => concatBytes([printed(connection, chunks.rest(), put), utf8(`## Connection ${connection} ended\n`)]),
  };
}

function jsonDumper(now: () => Date): Dumper {
  let connection = 0;
  const line = (value: object) => utf8(`${JSON.stringify({ ...value, time: now().toISOString() })}\n`);
  const put: Print = (id, { text, bytes }) =>
    line({ type: "data", connection: id, ...text === undefined ? { base64: bytes.toBase64() } : { text } });
  const chunks = new Chunks();
  return {
    opened(id, port, peer, own) {
      connection = id;
      return line({ type: "connection", connection: id, port, peer, address: own });
    },
    data: (bytes) => printed(connection, chunks.next(bytes), put),
    ended: () => concatBytes([printed(connection, chunks.rest(), put), line({ type: "end", connection })]),
  };
}

function printed(connection: number, chunk: Chunk, print: Print): Bytes {
  return chunk.bytes.length > 0 ? print(connection, chunk) : new Uint8Array(0);
}

/** Longest character of UTF-8, but for its last byte. */
const MOST_HELD = 3;

/** Tells text from other bytes, piece by piece. */
class Chunks {
  #held: Uint8Array = new Uint8Array();

  next(bytes: Uint8Array): Chunk {
    const all = this.#held.length === 0 ? bytes : concatBytes([this.#held, bytes]);
    const whole = all.length - cutBytes(all);
    this.#held = all.slice(whole);
    return chunkOf(all.subarray(0, whole));
  }

  rest(): Chunk {
    const left = this.#held;
    this.#held = new Uint8Array();
    return chunkOf(left);
  }
}

/** How many bytes at the end are the beginning of a character (RFC 3629, 3). */
function cutBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(MOST_HELD, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return byte < 0xf8 && length > back ? back : 0;
  }
  return 0;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** NUL and the like: who sends them sends no text. Tab, the ends of lines, form feed and escape are in texts. */
// deno-lint-ignore no-control-regex
const NO_TEXT = /[\x00-\x06\x0e-\x1a\x1c-\x1f]/;

function chunkOf(bytes: Uint8Array): Chunk {
  try {
    const text = strict.decode(bytes);
    if (!NO_TEXT.test(text)) return { text, bytes };
  } catch {
    // It is none.
  }
  return { text: undefined, bytes: bytes.slice() };
}

function textLines(text: string): string {
  // deno-lint-ignore no-control-regex
  const safe = text.replaceAll("\r\n", "\n").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, escaped);
  return safe.endsWith("\n") ? safe : `${safe}\n`;
}

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

const ROW_BYTES = 16;
/** "00000000  00 11 …  88 …  |0123456789abcdef|\n": where the digits begin, and the text. */
const DIGITS_AT = 10;
const TEXT_AT = 61;
const DIGITS = utf8("0123456789abcdef");
const [SPACE, BAR, DOT, NEWLINE] = [0x20, 0x7c, 0x2e, 0x0a];

/** Byte by byte into its place: traffic may be a lot. */
function hexLines(bytes: Uint8Array): Bytes {
  const rows = Math.ceil(bytes.length / ROW_BYTES);
  const lines = new Uint8Array(rows * (TEXT_AT + ROW_BYTES + 2)).fill(SPACE);
  let end = 0;
  for (let from = 0; from < bytes.length; from += ROW_BYTES) {
    const count = Math.min(ROW_BYTES, bytes.length - from);
    for (let digit = 0; digit < 8; digit++) lines[end + digit] = DIGITS[from >>> (28 - 4 * digit) & 15]!;
    lines[end + TEXT_AT - 1] = BAR;
    for (let at = 0; at < count; at++) {
      const byte = bytes[from + at]!;
      const place = end + DIGITS_AT + 3 * at + (at < ROW_BYTES / 2 ? 0 : 1);
      lines[place] = DIGITS[byte >> 4]!;
      lines[place + 1] = DIGITS[byte & 15]!;
      lines[end + TEXT_AT + at] = byte >= SPACE && byte < 0x7f ? byte : DOT;
    }
    end += TEXT_AT + count;
    lines[end++] = BAR;
    lines[end++] = NEWLINE;
  }
  return lines.subarray(0, end);
}
