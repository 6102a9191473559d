/** A stream of which it is not known yet whom it is for: how much of an answer its client lets us send is counted until then. */
import type { Asked, ClientStream } from "./exchange.ts";
import { CODE, StreamFault } from "./faults.ts";
import { MOST_WINDOW } from "./frames.ts";
import type { HeaderBlock } from "./header_block.ts";
import type { Link } from "./link.ts";

export abstract class Waiting implements ClientStream {
  readonly isAnswered = false;
  protected readonly asked: Asked;
  protected readonly client: Link;
  #window: number;

  constructor(asked: Asked, client: Link) {
    this.asked = asked;
    this.client = client;
    this.#window = client.peer.initialWindow;
  }

  abstract onRequestData(bytes: Uint8Array, overhead: number, isEnd: boolean): void;
  abstract onRequestTrailers(block: HeaderBlock, isEnd: boolean): void;
  abstract cancel(): void;

  onWindow(bytes: number): void {
    this.#window += bytes;
    if (this.#window > MOST_WINDOW) {
      throw new StreamFault(this.asked.stream, CODE.flowControlError, "A window becomes too large");
    }
  }

  /** Now it is known: it goes on with the window that it has by now. */
  protected goOn(next: ClientStream): void {
    next.onWindow(this.#window - this.client.peer.initialWindow);
  }
}
