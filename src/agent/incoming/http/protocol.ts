/** Which protocol a connection speaks, by the first that its client says. */
import { whenLate } from "../../../base/late.ts";
import { looksLikeHttp2 } from "../http2/frames.ts";
import { looksLikeHttp } from "./message.ts";
import type { ByteReader } from "./reader.ts";

export type Protocol = "HTTP/1" | "HTTP/2" | "another";

/** What was read stays in the reader. Who has not said what it speaks within `ms` is of another. */
export async function detectProtocol(reader: ByteReader, ms: number): Promise<Protocol> {
  const late = Promise.withResolvers<false>();
  const inTime = whenLate(ms, () => late.resolve(false));
  try {
    while (true) {
      const protocol = protocolOf(reader.held);
      if (protocol) return protocol;
      const filling = reader.fill();
      filling.catch(() => {});
      if (!await Promise.race([filling, late.promise])) return "another";
    }
  } finally {
    inTime();
  }
}

/** Undefined: too early to tell. */
function protocolOf(bytes: Uint8Array): Protocol | undefined {
  const isHttp2 = looksLikeHttp2(bytes);
  if (isHttp2) return "HTTP/2";
  const isHttp1 = looksLikeHttp(bytes);
  if (isHttp1) return "HTTP/1";
  return isHttp1 === undefined || isHttp2 === undefined ? undefined : "another";
}
