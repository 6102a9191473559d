/**
 * Connections that are passed on without TypeScript: native/sys/passage.c. A connection is started with both descriptors and is
 * heard of again when it is over, or when a request on it is somebody's.
 */
import { ERRNO } from "../base/errors.ts";
import { loadSys } from "./load.ts";
import type { Outlet } from "./outlet.ts";
import type { Arrival, Endpoint } from "./redirected.ts";
import type { Sockets } from "./sockets.ts";

const sys = loadSys({
  passage_open: { parameters: ["buffer"], result: "pointer" },
  passage_notice: { parameters: ["pointer"], result: "i32" },
  passage_start: { parameters: ["pointer", "buffer", "buffer", "pointer", "pointer"], result: "i32" },
  passage_take: { parameters: ["pointer", "buffer", "u32", "buffer", "u32"], result: "u32" },
  passage_end_idle: { parameters: ["pointer"], result: "void" },
  passage_reset_all: { parameters: ["pointer"], result: "void" },
  passage_close: { parameters: ["pointer"], result: "void" },
  passage_filters: { parameters: ["buffer", "u32"], result: "pointer" },
  passage_filters_release: { parameters: ["pointer"], result: "void" },
  passage_tap: { parameters: ["pointer", "u32", "pointer"], result: "pointer" },
  tap_read: { parameters: ["pointer", "buffer", "u32"], result: "i32" },
  tap_close: { parameters: ["pointer"], result: "void" },
});

type Pointer = Deno.PointerValue;

/** C's struct start. */
const START_BYTES = 48;
/** C's struct telling, and how many are taken at once. */
const TELLING_WORDS = 5;
const MOST_TOLD = 128;
/** A head, and what was read with its end. */
const TOLD_BYTES = 1 << 20;
const TOLD = { closed: 0, handed: 1, tap: 2, begun: 3, taken: 4, missed: 5, spoken: 6, refused: 7, outlet: 8 } as const;
/** C's struct begun. */
const BEGUN_ENDS = 8;
/** C's struct ends. */
const ENDS = { peer: 0, own: 16, peerPort: 32, ownPort: 34, family: 36, bytes: 40 } as const;

/** Whether a request is anybody's, for native/sys/http_filter.c. */
export class PassageFilters implements Disposable {
  readonly pointer: Pointer;

  private constructor(pointer: Pointer) {
    this.pointer = pointer;
  }

  /** Throws `TypeError` when the program is not sound. */
  static of(program: Uint8Array<ArrayBuffer>): PassageFilters {
    const pointer = sys.passage_filters(program, program.length);
    if (pointer === null) throw new TypeError("A filter is not sound");
    return new PassageFilters(pointer);
  }

  /** Connections that were started with it keep it, and are handed over at their next request. */
  [Symbol.dispose](): void {
    sys.passage_filters_release(this.pointer);
  }
}

/** A copy of what a client says. To be closed by whoever opened it. */
export class Tap {
  readonly pointer: Pointer;
  readonly passage: Passage;
  readonly #onClosed: () => void;
  #isOpen = true;
  #wake: (() => void) | undefined;

  constructor(pointer: Pointer, passage: Passage, onClosed: () => void) {
    this.pointer = pointer;
    this.passage = passage;
    this.#onClosed = onClosed;
  }

  /** Null when the client has ended, or it was closed; "cut" when it was not read fast enough. */
  async read(into: Uint8Array<ArrayBuffer>): Promise<number | null | "cut"> {
    while (this.#isOpen) {
      const count = sys.tap_read(this.pointer, into, into.length);
      if (count > 0) return count;
      if (count === 0) return null;
      if (count !== -ERRNO.EAGAIN) return "cut";
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return null;
  }

  onReady(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    sys.tap_close(this.pointer);
    this.#onClosed();
    this.onReady();
  }
}

export interface PassageStart {
  readonly id: number;
  readonly client: number;
  /** -1: dialled when it is needed. */
  readonly target: number;
  readonly original: Endpoint;
  readonly mark: number;
  /** Without: bytes, whatever they are. */
  readonly filters?: PassageFilters;
  /** How long it may take until it is known to be HTTP; 0: it is. */
  readonly detectionMs?: number;
  /** What the client has said already. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
  readonly taps?: Taps;
}

export interface PassageListener {
  onClosed(id: number): void;
  /** Somebody has connected to a port that is sniffed. The tap is the listener's. */
  onBegun(tap: Tap, peer: Endpoint, own: Endpoint): void;
  /** A connection that was the target's is ours (queue.ts), with what its peer has said. */
  onTaken(arrival: Arrival, bytes: Uint8Array<ArrayBuffer>): void;
  /** What was spoken on a port until now: bits (queue.ts). */
  onSpoken(port: number, spoken: number): void;
  /** Nobody listens on this port. */
  onRefused(port: number): void;
  /** So many come to this port that some are not copied. */
  onMissed(port: number): void;
  /** The descriptors are the listener's; `target` is -1 when there is none yet. */
  onHanded(id: number, client: number, target: number, bytes: Uint8Array<ArrayBuffer>): void;
}

/** Those of one connection. */
export class Taps {
  readonly #open: (next: Pointer) => Tap | undefined;
  first: Pointer = null;

  constructor(open: (next: Pointer) => Tap | undefined) {
    this.#open = open;
  }

  add(): Tap | undefined {
    const tap = this.#open(this.first);
    if (tap) this.first = tap.pointer;
    return tap;
  }
}

export class Passage {
  readonly #hub: Pointer;
  readonly #listener: PassageListener;
  readonly #taps = new Map<number, Tap>();
  readonly #tellings = new Int32Array(MOST_TOLD * TELLING_WORDS);
  readonly #bytes = new Uint8Array(TOLD_BYTES);
  /** For src/sys/outlet.ts. */
  readonly outlets = new Map<number, Outlet>();
  #lastTap = 0;
  #lastOutlet = 0;
  #isClosed = false;

  private constructor(hub: Pointer, listener: PassageListener) {
    this.#hub = hub;
    this.#listener = listener;
  }

  /** For connections of this thread's network; or -errno. */
  static open(sockets: Sockets, listener: PassageListener): Passage | number {
    const error = new Int32Array(1);
    const hub = sys.passage_open(error);
    if (hub === null) return error[0]!;
    const passage = new Passage(hub, listener);
    sockets.watch(sys.passage_notice(hub), { onReady: () => passage.#hear() });
    return passage;
  }

  /** Takes the descriptors over, whatever comes of it. */
  start(start: PassageStart): void {
    const { original, bytes = new Uint8Array(), filters, detectionMs = 0, taps } = start;
    const record = new Uint8Array(START_BYTES);
    const words = [
      start.id,
      start.client,
      start.target,
      original.address.length === 4 ? 4 : 6,
      original.port,
      start.mark,
      detectionMs,
      bytes.length,
    ];
    record.set(new Uint8Array(new Int32Array(words).buffer));
    record.set(original.address, words.length * 4);
    sys.passage_start(this.#hub, record, bytes, filters?.pointer ?? null, taps?.first ?? null);
  }

  /** For src/sys/sniffer.ts and outlet.ts. */
  get hub(): Pointer {
    return this.#hub;
  }

  /** A number for an outlet. */
  newOutlet(): number {
    do this.#lastOutlet = (this.#lastOutlet + 1) & 0x7fff_ffff; while (this.outlets.has(this.#lastOutlet));
    return this.#lastOutlet;
  }

  /** For one connection; to be started with it. */
  taps(): Taps {
    return new Taps((next) => {
      // Those of a sniffer are 2^31 or more.
      const id = this.#lastTap = (this.#lastTap + 1) & 0x7fff_ffff;
      const pointer = sys.passage_tap(this.#hub, id, next);
      return pointer === null ? undefined : this.#newTap(id, pointer);
    });
  }

  #newTap(id: number, pointer: Pointer): Tap {
    const tap = new Tap(pointer, this, () => this.#taps.delete(id));
    this.#taps.set(id, tap);
    return tap;
  }

  #begin(id: number, bytes: Uint8Array<ArrayBuffer>): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const { peer, own } = endsIn(bytes.subarray(BEGUN_ENDS));
    const tap = this.#newTap(id, Deno.UnsafePointer.create(view.getBigUint64(0, true)));
    this.#listener.onBegun(tap, peer, own);
  }

  /** Connections of HTTP on which nothing is under way are ended. */
  endIdle(): void {
    sys.passage_end_idle(this.#hub);
  }

  /** Every connection is reset, and those that come. */
  resetAll(): void {
    sys.passage_reset_all(this.#hub);
  }

  /** Before its sockets are closed, after its sniffer is. */
  close(): void {
    this.#hear();
    for (const outlet of [...this.outlets.values()]) outlet.onClosing();
    for (const tap of [...this.#taps.values()]) tap.close();
    this.#isClosed = true;
    sys.passage_close(this.#hub);
  }

  #hear(): void {
    while (!this.#isClosed) { // what was told while it was closed is heard after it
      const count = sys.passage_take(this.#hub, this.#tellings, MOST_TOLD, this.#bytes, TOLD_BYTES);
      let from = 0;
      for (let at = 0; at < count * TELLING_WORDS; at += TELLING_WORDS) {
        const [kind, id, client, target, length] = this.#tellings.subarray(at, at + TELLING_WORDS);
        const bytes = this.#bytes.slice(from, from += length!);
        if (kind === TOLD.tap) this.#taps.get(id! >>> 0)?.onReady();
        else if (kind === TOLD.outlet) this.outlets.get(id!)?.onReady();
        else if (kind === TOLD.begun) this.#begin(id! >>> 0, bytes);
        else if (kind === TOLD.taken) {
          const { peer, own } = endsIn(bytes);
          this.#listener.onTaken({ fd: client!, peer, original: own }, bytes.slice(ENDS.bytes));
        } else if (kind === TOLD.missed) this.#listener.onMissed(id!);
        else if (kind === TOLD.spoken) this.#listener.onSpoken(id!, client!);
        else if (kind === TOLD.refused) this.#listener.onRefused(id!);
        else if (kind === TOLD.closed) this.#listener.onClosed(id!);
        else this.#listener.onHanded(id!, client!, target!, bytes);
      }
      if (count < MOST_TOLD) return;
    }
  }
}

function endsIn(bytes: Uint8Array<ArrayBuffer>): { peer: Endpoint; own: Endpoint } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint32(ENDS.family, true) === 4 ? 4 : 16;
  const endpoint = (at: number, portAt: number) => ({
    address: bytes.slice(at, at + length),
    port: view.getUint16(portAt, true),
  });
  return { peer: endpoint(ENDS.peer, ENDS.peerPort), own: endpoint(ENDS.own, ENDS.ownPort) };
}
