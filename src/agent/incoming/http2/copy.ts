/** A copy of a stream for a mirror: the request goes there too, what is answered goes nowhere. Who does not keep up loses it. */
import { CODE } from "./faults.ts";
import { Flow } from "./flow.ts";
import type { HeaderBlock } from "./header_block.ts";
import type { Call, Caller, Upstream } from "./upstream.ts";

/** What may wait here for the program, apart from what had been held when the copy began. */
const HELD_BYTES = 1 << 20;

export class Copy implements Caller {
  readonly #upstream: Upstream;
  readonly #flow: Flow;
  readonly #onSlow: () => void;
  readonly #mostBytes: number;
  readonly #call: Call;
  #isOver = false;

  constructor(
    upstream: Upstream,
    { block, isEnd, heldBytes }: { block: HeaderBlock; isEnd: boolean; heldBytes: number },
    onSlow: () => void,
  ) {
    this.#upstream = upstream;
    this.#mostBytes = HELD_BYTES + heldBytes;
    this.#onSlow = onSlow;
    this.#flow = new Flow(undefined, upstream.link, () => {});
    this.#call = upstream.call(this, this.#flow, block, isEnd);
  }

  data(bytes: Uint8Array, isEnd: boolean): void {
    if (this.#isOver) return;
    this.#flow.data(bytes, 0, isEnd);
    if (this.#flow.queuedBytes <= this.#mostBytes) return;
    this.#onSlow();
    this.cancel();
  }

  trailers(block: HeaderBlock): void {
    if (!this.#isOver) this.#flow.trailers(block);
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#over();
    this.#upstream.cancel(this.#call, CODE.cancel);
  }

  onAnswer(_: HeaderBlock, isEnd: boolean): void {
    if (isEnd) this.#answered();
  }

  onAnswerData(bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const { link } = this.#upstream;
    link.credit(bytes.length + overhead);
    if (isEnd) this.#answered();
    else if (bytes.length + overhead > 0) link.creditStream(this.#call.stream, bytes.length + overhead);
  }

  onReset(): void {
    this.#over();
  }

  onLost(): void {
    this.#over();
  }

  #answered(): void {
    // It came early: nobody wants the rest of the request.
    if (!this.#flow.isDone) return this.cancel();
    this.#over();
    this.#upstream.forget(this.#call);
  }

  #over(): void {
    this.#isOver = true;
    this.#flow.drop();
  }
}
