/** The incoming streams of one session: numbers them, and tells the client of each before its first byte. */
import type { StreamEnd } from "../../base/socket_end.ts";
import { AGENT_LIMITS, FIRST_INCOMING_STREAM } from "../../proto/agent.ts";
import type { AgentLink } from "../../proto/agent_link.ts";
import { type StreamMessage, Streams } from "../../proto/streams.ts";
import type { Delivery, IncomingClient } from "./wishes.ts";

export class IncomingStreams implements IncomingClient {
  readonly #link: AgentLink;
  readonly #streams: Streams;
  #last = 0;
  #isClosed = false;

  constructor(link: AgentLink) {
    this.#link = link;
    this.#streams = new Streams(link);
  }

  deliver({ port, isMirror, peer, own }: Delivery, end: StreamEnd): boolean {
    if (this.#isClosed || this.#streams.size >= AGENT_LIMITS.openStreams) return false;
    const stream = this.#newStream();
    this.#link.send({
      type: "NewConnection",
      id: 0,
      stream,
      port,
      isMirror,
      peerAddress: peer.address,
      peerPort: peer.port,
      ownAddress: own.address,
      ownPort: own.port,
    });
    this.#streams.add(stream, end);
    return true;
  }

  warn(text: string): void {
    this.#link.send({ type: "Warning", id: 0, text });
  }

  /** Throws `WireError` when the client ignores the window of a stream. */
  onMessage(message: StreamMessage): void {
    this.#streams.onMessage(message);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#streams.resetAll();
    await this.#streams.settled();
  }

  #newStream(): number {
    do this.#last = (this.#last + 1) % 0x7fff_ffff; while (this.#streams.has(FIRST_INCOMING_STREAM + this.#last));
    return FIRST_INCOMING_STREAM + this.#last;
  }
}
