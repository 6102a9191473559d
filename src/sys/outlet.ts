/**
 * Taps whose bytes leave as frames to one client, those of many connections in one piece: native/sys/outlet.c. It lives as long as
 * its passage at most.
 */
import { loadSys } from "./load.ts";
import type { Passage, Tap } from "./passage.ts";

const sys = loadSys({
  outlet_open: { parameters: ["pointer", "u32", "buffer", "u32", "u32"], result: "pointer" },
  outlet_close: { parameters: ["pointer"], result: "void" },
  outlet_join: { parameters: ["pointer", "pointer", "u32", "u32"], result: "void" },
  outlet_credit: { parameters: ["pointer", "u32"], result: "void" },
  outlet_take: { parameters: ["pointer", "buffer", "u32", "buffer", "u32", "buffer"], result: "u32" },
});

const MOST_ENDED = 256;
/** C's struct ended. */
const ENDED_WORDS = 2;

/** What stands before the bytes of a frame, and where in it the number of the stream does. */
export interface FrameHead {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly streamAt: number;
}

export interface OutletListener {
  /** There is something to take. */
  onReady(): void;
  /** Its passage is going, and its taps have to be closed. */
  onClosing(): void;
}

/** What was taken: so many bytes of frames, and the streams that end with them. */
export interface Taken {
  readonly count: number;
  readonly ended: readonly { readonly stream: number; readonly isCut: boolean }[];
}

export class Outlet {
  readonly #passage: Passage;
  readonly #pointer: Deno.PointerValue;
  readonly #id: number;
  readonly #listener: OutletListener;
  readonly #ended = new Uint32Array(MOST_ENDED * ENDED_WORDS);
  readonly #endedCount = new Uint32Array(1);
  #isOpen = true;

  private constructor(passage: Passage, id: number, pointer: Deno.PointerValue, listener: OutletListener) {
    this.#passage = passage;
    this.#id = id;
    this.#pointer = pointer;
    this.#listener = listener;
  }

  /** Undefined: memory is short. */
  static open(passage: Passage, head: FrameHead, listener: OutletListener): Outlet | undefined {
    const id = passage.newOutlet();
    const pointer = sys.outlet_open(passage.hub, id, head.bytes, head.bytes.length, head.streamAt);
    if (pointer === null) return undefined;
    const outlet = new Outlet(passage, id, pointer, listener);
    passage.outlets.set(id, outlet);
    return outlet;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  isOf(passage: Passage): boolean {
    return this.#isOpen && this.#passage === passage;
  }

  /** What the tap has leaves here from now on, and is not to be read. */
  join(tap: Tap, stream: number, windowBytes: number): void {
    sys.outlet_join(this.#pointer, tap.pointer, stream, windowBytes);
  }

  /** So many bytes more may leave. */
  credit(tap: Tap, bytes: number): void {
    sys.outlet_credit(tap.pointer, bytes);
  }

  /** Undefined: there is nothing now, and the listener will hear of it. */
  take(into: Uint8Array<ArrayBuffer>): Taken | undefined {
    const [ended, endedCount] = [this.#ended, this.#endedCount];
    const count = sys.outlet_take(this.#pointer, into, into.length, ended, MOST_ENDED, endedCount);
    if (count === 0 && endedCount[0] === 0) return undefined;
    const of = (at: number) => ({ stream: ended[at * ENDED_WORDS]!, isCut: ended[at * ENDED_WORDS + 1] !== 0 });
    return { count, ended: Array.from({ length: endedCount[0]! }, (_, at) => of(at)) };
  }

  onReady(): void {
    this.#listener.onReady();
  }

  onClosing(): void {
    this.#listener.onClosing();
  }

  /** After its taps. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#passage.outlets.delete(this.#id);
    sys.outlet_close(this.#pointer);
  }
}
