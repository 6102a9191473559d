/** A duplex that lets everything through and remembers the types of the messages that were written to it, but for pings, which a timer sends. */
import { concatBytes } from "../../src/base/bytes.ts";
import type { Duplex } from "../../src/base/duplex.ts";
import { decodeAgentFrame } from "../../src/proto/agent_codec.ts";

export function spyOn(duplex: Duplex, types: string[]): Duplex {
  let pending = new Uint8Array(0);
  const note = (bytes: Uint8Array) => {
    pending = pending.length === 0 ? bytes.slice() : concatBytes([pending, bytes]);
    while (pending.length >= 4) {
      const end = 4 + new DataView(pending.buffer, pending.byteOffset).getUint32(0, true);
      if (pending.length < end) return;
      const message = decodeAgentFrame(pending.subarray(4, end));
      const type = "type" in message ? message.type : message.unknownType;
      if (type !== "Ping") types.push(type);
      pending = pending.subarray(end);
    }
  };
  return {
    read: (into) => duplex.read(into),
    writeAll(bytes) {
      note(bytes);
      return duplex.writeAll(bytes);
    },
    close: () => duplex.close(),
    [Symbol.dispose]: () => duplex.close(),
  };
}
