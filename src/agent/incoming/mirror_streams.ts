/**
 * The mirrored connections of one client, as streams that only go there: what all of them have to say leaves in one piece (sys/outlet.ts).
 * What the client says on them is thrown away. As with other streams a side has at most `streamWindowBytes` under way.
 *
 * State      event                                action > next
 * OPEN       bytes                                Data > OPEN
 * OPEN       the end                              End > ENDED
 * OPEN       it was cut off                       Reset, and the user is told > gone
 * OPEN       the client's End                     > HEARD
 * HEARD      the end                              End > gone
 * ENDED      the client's End                     > gone
 * any        the client's Reset                   > gone
 * any        our hub goes                         End, unless it was sent > as with the end
 */
import { AGENT_LIMITS } from "../../proto/agent.ts";
import { DATA_FRAME_HEAD } from "../../proto/agent_codec.ts";
import type { AgentLink } from "../../proto/agent_link.ts";
import type { StreamMessage } from "../../proto/streams.ts";
import { Outlet, type Taken } from "../../sys/outlet.ts";
import type { Passage, Tap } from "../../sys/passage.ts";

/** Frames that leave at once. */
const FRAMES_BYTES = 256 << 10;

interface Mirrored {
  readonly tap: Tap;
  readonly outlet: Outlet;
  readonly onCut: () => void;
  hasSentEnd: boolean;
  hasHeardEnd: boolean;
}

/** What leaves an outlet. */
interface Leaving {
  readonly frames: Uint8Array<ArrayBuffer>;
  isRunning: boolean;
  /** Never rejects. */
  running: Promise<void>;
}

export class MirrorStreams {
  readonly #link: AgentLink;
  readonly #streams = new Map<number, Mirrored>();
  readonly #outlets = new Map<Outlet, Leaving>();

  constructor(link: AgentLink) {
    this.#link = link;
  }

  get size(): number {
    return this.#streams.size;
  }

  has(stream: number): boolean {
    return this.#streams.has(stream);
  }

  /** Takes over `tap`. `onCut` is called when its bytes were not taken fast enough. */
  add(stream: number, tap: Tap, onCut: () => void): void {
    const outlet = this.#outletOf(tap.passage);
    if (!outlet) {
      this.#link.send({ type: "Reset", id: 0, stream });
      return tap.close();
    }
    this.#streams.set(stream, { tap, outlet, onCut, hasSentEnd: false, hasHeardEnd: false });
    outlet.join(tap, stream, AGENT_LIMITS.streamWindowBytes);
  }

  /** Of a stream that is one of these. */
  onMessage(message: StreamMessage): void {
    const { stream } = message;
    const mirrored = this.#streams.get(stream);
    if (!mirrored) return;
    switch (message.type) {
      case "Credit":
        if (!mirrored.hasSentEnd) mirrored.outlet.credit(mirrored.tap, message.bytes);
        return;
      case "Data":
        return this.#link.send({ type: "Credit", id: 0, stream, bytes: message.data.length });
      case "End":
        mirrored.hasHeardEnd = true;
        if (mirrored.hasSentEnd) this.#streams.delete(stream);
        return;
      case "Reset":
        this.#streams.delete(stream);
        return mirrored.tap.close();
    }
  }

  /** The client is told nothing any more. Resolves when nothing runs. */
  async close(): Promise<void> {
    for (const { tap } of this.#streams.values()) tap.close();
    this.#streams.clear();
    const running = [...this.#outlets.values()].map((it) => it.running);
    for (const outlet of this.#outlets.keys()) outlet.close();
    this.#outlets.clear();
    await Promise.all(running);
  }

  #outletOf(passage: Passage): Outlet | undefined {
    for (const outlet of this.#outlets.keys()) if (outlet.isOf(passage)) return outlet;
    const outlet = Outlet.open(passage, DATA_FRAME_HEAD, {
      onReady: () => this.#begin(outlet!),
      onClosing: () => this.#leave(outlet!),
    });
    const frames = new Uint8Array(FRAMES_BYTES);
    if (outlet) this.#outlets.set(outlet, { frames, isRunning: false, running: Promise.resolve() });
    return outlet;
  }

  #begin(outlet: Outlet): void {
    const leaving = this.#outlets.get(outlet);
    if (leaving && !leaving.isRunning) leaving.running = this.#send(outlet, leaving);
  }

  /** All that is ready, and what gets ready meanwhile. */
  async #send(outlet: Outlet, leaving: Leaving): Promise<void> {
    leaving.isRunning = true;
    for (let taken: Taken | undefined; outlet.isOpen && (taken = outlet.take(leaving.frames));) {
      const left = taken.count > 0 ? this.#link.sendBulkFrame(leaving.frames.subarray(0, taken.count)) : undefined;
      for (const { stream, isCut } of taken.ended) this.#end(stream, isCut);
      await left;
    }
    // At once: who is told from now on begins anew.
    leaving.isRunning = false;
  }

  #end(stream: number, isCut: boolean): void {
    const mirrored = this.#streams.get(stream);
    if (!mirrored || mirrored.hasSentEnd) return;
    if (isCut) mirrored.onCut();
    this.#link.send({ type: isCut ? "Reset" : "End", id: 0, stream });
    mirrored.tap.close();
    mirrored.hasSentEnd = true;
    if (isCut || mirrored.hasHeardEnd) this.#streams.delete(stream);
  }

  #leave(outlet: Outlet): void {
    for (const [stream, mirrored] of this.#streams) if (mirrored.outlet === outlet) this.#end(stream, false);
    this.#outlets.delete(outlet);
    outlet.close();
  }
}
