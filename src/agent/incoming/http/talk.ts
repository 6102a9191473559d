/**
 * Follows HTTP/1 on a connection that somebody else relays, byte by byte: tells when nothing is under way on it. Changes nothing and
 * waits for nothing; what it cannot follow it gives up on.
 */
import { concatBytes } from "../../../base/bytes.ts";
import { looksLikeHttp, parseRequest, parseResponse, passBody, readHead } from "./message.ts";
import { ByteReader } from "./reader.ts";

/** Said, and not looked at because its turn has not come. */
const MOST_WAITING_BYTES = 256 << 10;

export class Talk {
  readonly #requests = new Heard();
  readonly #answers = new Heard();
  readonly #onBetween: (said: Uint8Array) => void;
  #isOver = false;

  /** `onBetween`: all requests but those in `said` have their answers, and no more. */
  constructor(onBetween: (said: Uint8Array) => void) {
    this.#onBetween = onBetween;
    this.#follow().catch(() => {}).finally(() => this.close());
  }

  /** It tells nothing any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  said(bytes: Uint8Array): void {
    this.#hear(this.#requests, bytes);
  }

  answered(bytes: Uint8Array): void {
    this.#hear(this.#answers, bytes);
  }

  close(): void {
    this.#isOver = true;
    this.#requests.close();
    this.#answers.close();
  }

  #hear(heard: Heard, bytes: Uint8Array): void {
    if (this.#isOver) return;
    if (heard.waitingBytes + bytes.length > MOST_WAITING_BYTES) return this.close();
    heard.add(bytes);
  }

  async #follow(): Promise<void> {
    while (await this.#exchange()) {
      if (this.#isOver) return;
      if (this.#answers.rest().length === 0) this.#onBetween(this.#requests.rest());
    }
  }

  /** False: it cannot be followed further, or is the last one. */
  async #exchange(): Promise<boolean> {
    if (!await isHttp(this.#requests.reader)) return false;
    const bytes = await readHead(this.#requests.reader);
    const request = typeof bytes === "string" ? undefined : parseRequest(bytes);
    if (!request || request.isLast || request.isConnect) return false;
    const asking = passBody(this.#requests.reader, request.framing, ignore);
    asking.catch(() => {});
    while (true) {
      const bytes = await readHead(this.#answers.reader);
      const head = typeof bytes === "string" ? undefined : parseResponse(bytes, request);
      if (!head || head.status === 101) return false;
      if (head.status < 200) continue;
      if (head.isLast || await passBody(this.#answers.reader, head.framing, ignore) !== "whole") return false;
      return await asking === "whole";
    }
  }
}

async function isHttp(reader: ByteReader): Promise<boolean> {
  let is: boolean | undefined;
  while ((is = looksLikeHttp(reader.held)) === undefined) if (!await reader.fill()) return false;
  return is;
}

async function ignore(): Promise<void> {}

/** What one side says. */
class Heard {
  readonly reader: ByteReader;
  readonly #waiting: Uint8Array[] = [];
  waitingBytes = 0;
  #isClosed = false;
  #wake = () => {};

  constructor() {
    this.reader = new ByteReader({ read: (into) => this.#read(into) });
  }

  add(bytes: Uint8Array): void {
    this.#waiting.push(bytes.slice());
    this.waitingBytes += bytes.length;
    this.#wake();
  }

  /** What nobody has taken. */
  rest(): Uint8Array {
    return concatBytes([this.reader.held, ...this.#waiting]);
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#wake();
  }

  async #read(into: Uint8Array): Promise<number | null> {
    while (this.#waiting.length === 0) {
      if (this.#isClosed) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const first = this.#waiting[0]!;
    const count = Math.min(first.length, into.length);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#waiting.shift();
    else this.#waiting[0] = first.subarray(count);
    this.waitingBytes -= count;
    return count;
  }
}
