/** Passes on what is answered to a request of HTTP/1, as it comes, and tells how that ended. */
import type { StreamEnd } from "../../../base/socket_end.ts";
import type { AnswerField } from "../http2/routes.ts";
import { concatBytes } from "../../../base/bytes.ts";
import { parseResponse, passBody, peekBody, readHead, type RequestHead, withHeader } from "./message.ts";
import type { ByteReader } from "./reader.ts";

/** "last": its connection ends with it. "nothing": there was none. */
export type Answered = "complete" | "last" | "upgrade" | "nothing";

export interface AnswerOptions {
  /** What it says, whatever else it said there. */
  readonly fields: readonly AnswerField[];
  /** That the client may go on was said to it already. */
  readonly isContinued: boolean;
  /** The client's connection is to end with it. */
  isLast(): boolean;
  /** Who answers may leave in the midst of it: what is soon complete is said as a whole, or not at all. */
  readonly isHeldBack: boolean;
  /** Who should answer has left: the beginning of an answer is nothing. */
  hasLeft(): boolean;
}

/** What is held back, and for how long. */
const HELD_BYTES = 64 << 10;
const HELD_MS = 100;

const LAST: AnswerField = ["Connection", "close"];

export async function passAnswer(
  request: RequestHead,
  reader: ByteReader,
  peer: StreamEnd,
  options: AnswerOptions,
): Promise<Answered> {
  const write = (bytes: Uint8Array) => peer.writeAll(bytes);
  while (true) {
    const bytes = await readHead(reader).catch(() => "end" as const);
    if (bytes === "end") return "nothing";
    const head = bytes === "no HTTP" ? undefined : parseResponse(bytes, request);
    if (!head) {
      if (bytes === "no HTTP" && reader.isEnded && options.hasLeft()) return "nothing";
      // Not ours to judge: as it is, to the end.
      if (bytes !== "no HTTP") await write(bytes);
      await passBody(reader, "to the end", write);
      return "last";
    }
    const { status } = head;
    if (status === 100 && options.isContinued) continue;
    if (status < 200 && status !== 101) {
      await write(head.bytes);
      continue;
    }
    const isUpgrade = status === 101 || (request.isConnect && status < 300);
    const framing = isUpgrade ? 0 : head.framing;
    if (options.isHeldBack && typeof framing === "number" && framing > 0) {
      const body = await peekBody(reader, framing, HELD_BYTES, HELD_MS).catch(() => undefined);
      if (!body && (reader.isEnded || reader.isBroken) && options.hasLeft()) return "nothing";
    }
    const isLast = !isUpgrade && options.isLast();
    // It says who has got the connection.
    const fields = isLast ? [...options.fields, LAST] : options.fields;
    const said = fields.reduce(withHeader, head.bytes);
    if (typeof framing === "number" && framing > 0 && reader.held.length >= framing) {
      await write(concatBytes([said, reader.take(framing)]));
      return head.isLast || isLast ? "last" : "complete";
    }
    await write(said);
    if (isUpgrade) return "upgrade";
    const how = await passBody(reader, framing, write);
    if (how === "whole") return head.isLast || isLast ? "last" : "complete";
    if (how === "broken") await passBody(reader, "to the end", write);
    return "last";
  }
}
