/** What can be wrong with HTTP/2 (RFC 9113), in two scopes kept apart by type: one stream, or the whole connection. */

/** RFC 9113 7: error codes. */
export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
} as const;

/** The peer broke the rules of the connection: it ends with GOAWAY and this code. */
export class ConnectionFault extends Error {
  override readonly name = "ConnectionFault";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** One stream ends with RST_STREAM and this code; the others go on. */
export class StreamFault extends Error {
  override readonly name = "StreamFault";
  readonly code: number;
  readonly stream: number;

  constructor(stream: number, code: number, message: string) {
    super(message);
    this.stream = stream;
    this.code = code;
  }
}

/** Not a fault of anybody else's: it has to be heard of. */
export function isBug(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
}
