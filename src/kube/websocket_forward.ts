/**
 * A port-forward over a WebSocket of the protocol v4.channel.k8s.io, for where SPDY does not pass (spdy.ts).
 *
 * Every message begins with a channel: 0 is data, 1 an error in words. Each channel's first two bytes are the port.
 * There is no half-close.
 */
import { fromUtf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import type { Upgrade } from "./http_upgrade.ts";
import type { Explain } from "./spdy.ts";
import { openWebSocket, type WebSocketStream } from "./websocket.ts";

const PROTOCOL = "v4.channel.k8s.io";
const CHANNEL = { data: 0, error: 1 } as const;

/** Over a fresh connection, which the result owns from then on. Throws `HandshakeError`. */
export async function openWebSocketForward(
  duplex: Duplex,
  upgrade: Omit<Upgrade, "method">,
  explain: Explain,
): Promise<Duplex> {
  return new WebSocketForward(await openWebSocket(duplex, { ...upgrade, protocol: PROTOCOL }), explain);
}

class WebSocketForward implements Duplex {
  readonly #socket: WebSocketStream;
  readonly #explain: Explain;
  #channel: number | undefined;
  /** Bytes of the port that each channel still has to send. */
  readonly #portBytesDue: number[] = [2, 2];
  readonly #scratch = new Uint8Array(1024);

  constructor(socket: WebSocketStream, explain: Explain) {
    this.#socket = socket;
    this.#explain = explain;
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (true) {
      if (this.#channel === undefined) {
        if (!await this.#nextChannel()) return null;
      } else if (this.#portBytesDue[this.#channel]! > 0) {
        const due = this.#portBytesDue[this.#channel]!;
        const count = await this.#socket.read(this.#scratch.subarray(0, due));
        if (count === null) return null;
        if (count === 0) this.#channel = undefined;
        else this.#portBytesDue[this.#channel] = due - count;
      } else if (this.#channel === CHANNEL.error) {
        const count = await this.#socket.read(this.#scratch);
        if (count) throw this.#explain(fromUtf8(this.#scratch.subarray(0, count)));
        this.#channel = undefined;
      } else {
        const count = await this.#socket.read(into);
        if (count !== 0) return count;
        this.#channel = undefined;
      }
    }
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    return this.#socket.send(CHANNEL.data, bytes);
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #lastChannel = 0;

  /** Goes on to the next frame; a message's first byte is its channel. */
  async #nextChannel(): Promise<boolean> {
    const frame = await this.#socket.nextFrame();
    if (!frame) return false;
    if (frame.isFirst) {
      if (await this.#socket.read(this.#scratch.subarray(0, 1)) !== 1) return false;
      this.#lastChannel = this.#scratch[0]!;
    }
    if (this.#lastChannel > CHANNEL.error) {
      throw this.#explain("it speaks of a channel we did not ask for");
    }
    this.#channel = this.#lastChannel;
    return true;
  }
}
