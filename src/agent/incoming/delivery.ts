/** The incoming streams of one session: numbers them, and tells the client of each before its first byte. */
import type { StreamEnd } from "../../base/socket_end.ts";
import { AGENT_LIMITS, FIRST_INCOMING_STREAM } from "../../proto/agent.ts";
import type { AgentLink } from "../../proto/agent_link.ts";
import { type StreamMessage, Streams } from "../../proto/streams.ts";
import type { Tap } from "../../sys/passage.ts";
import { MirrorStreams } from "./mirror_streams.ts";
import type { Delivery, IncomingClient } from "./wishes.ts";

export class IncomingStreams implements IncomingClient {
  readonly #link: AgentLink;
  readonly #streams: Streams;
  readonly #mirrors: MirrorStreams;
  #last = 0;
  #isClosed = false;

  constructor(link: AgentLink) {
    this.#link = link;
    this.#streams = new Streams(link);
    this.#mirrors = new MirrorStreams(link);
  }

  deliver(delivery: Delivery, end: StreamEnd): boolean {
    const stream = this.#begin(delivery);
    if (stream !== undefined) this.#streams.add(stream, end);
    return stream !== undefined;
  }

  mirror(delivery: Omit<Delivery, "isMirror">, tap: Tap, onCut: () => void): boolean {
    const stream = this.#begin({ ...delivery, isMirror: true });
    if (stream !== undefined) this.#mirrors.add(stream, tap, onCut);
    return stream !== undefined;
  }

  warn(text: string): void {
    this.#link.send({ type: "Warning", id: 0, text });
  }

  /** Throws `WireError` when the client ignores the window of a stream. */
  onMessage(message: StreamMessage): void {
    (this.#mirrors.has(message.stream) ? this.#mirrors : this.#streams).onMessage(message);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#streams.resetAll();
    await Promise.all([this.#streams.settled(), this.#mirrors.close()]);
  }

  /** Its client knows of a stream. Undefined: there is no room. */
  #begin({ port, isMirror, peer, own }: Delivery): number | undefined {
    if (this.#isClosed || this.#streams.size + this.#mirrors.size >= AGENT_LIMITS.openStreams) return undefined;
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
    return stream;
  }

  #newStream(): number {
    do this.#last = (this.#last + 1) % 0x7fff_ffff; while (this.#isTaken(this.#last));
    return FIRST_INCOMING_STREAM + this.#last;
  }

  #isTaken(number: number): boolean {
    const stream = FIRST_INCOMING_STREAM + number;
    return this.#streams.has(stream) || this.#mirrors.has(stream);
  }
}
